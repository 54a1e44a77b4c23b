// Puts one verified file into the cache: lock, room, download into a partial file, checksum, rename. Under the final name there
// is never anything but the whole file.

import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { createInflateRaw } from 'node:zlib';
import { IngotError } from '../base/errors.ts';
import { formatBytes } from '../base/text.ts';
import { requireSpace, writeError } from './disk.ts';
import { withLock } from './lock.ts';

export interface BlobTarget {
  /** Final path; its name is a checksum. */
  readonly path: string;
  readonly bytes: number;
  /** 64 hex digits: SHA-256 of the file. 40: git's object id. Undefined: only the size is checked. */
  readonly checksum: string | undefined;
  /** For messages. */
  readonly label: string;
}

/** Where the bytes come from. */
export interface BlobSource {
  /** Stands for exactly these remote bytes: a partial file of another source is not continued. */
  readonly id: string;
  readonly compression: 'none' | 'deflate';
  /** Bytes that travel. */
  readonly transferBytes: number;
  /** Fills `partial`, going on where it stops. */
  readonly fetch: (partial: string, onBytes: (done: number) => void, signal?: AbortSignal) => Promise<void>;
}

export interface BlobOptions {
  readonly signal?: AbortSignal | undefined;
  /** Bytes that travelled so far. */
  readonly onBytes?: (done: number) => void;
  readonly onNotice?: (text: string) => void;
  readonly freeBytes?: (folder: string) => Promise<number>;
}

const exists = async (target: BlobTarget): Promise<boolean> =>
  (await stat(target.path).catch(() => undefined))?.size === target.bytes;

/** Makes sure `target.path` is there and right. Throws download_failed, disk_full, or the signal's reason. */
export async function obtainBlob(
  target: BlobTarget,
  source: BlobSource,
  options: BlobOptions,
): Promise<void> {
  if (await exists(target)) return;
  await mkdir(dirname(target.path), { recursive: true });
  const { signal, onNotice } = options;
  const onWait = (owner: string) => onNotice?.(`${owner} is downloading ${target.label}; waiting for it`);
  await withLock(`${target.path}.lock`, { signal, onWait }, async (lost) => {
    if (await exists(target)) return;
    const held = { ...options, signal: signal ? AbortSignal.any([signal, lost]) : lost };
    const id = createHash('sha256').update(source.id).digest('hex').slice(0, 12);
    const partial = `${target.path}.${id}.partial`;
    const before = await sizeOf(partial);
    const inflated = source.compression === 'deflate' ? target.bytes : 0;
    const missing = Math.max(0, source.transferBytes - before);
    await requireSpace(dirname(target.path), missing + inflated, options.freeBytes);
    try {
      await fetchAndCheck(target, source, partial, held);
    } catch (error) {
      // A holder before this one that was asleep and went on has finished it.
      if (await exists(target)) return;
      if (!(error instanceof WrongBytes) || before === 0) throw error;
      onNotice?.(`${target.label}: what an earlier run left did not fit; downloading it anew`);
      await fetchAndCheck(target, source, partial, held);
    }
    await removeScraps(target.path);
  });
}

/** The bytes that came are not the bytes that were promised. */
class WrongBytes extends IngotError {
  override readonly name = 'WrongBytes';
  constructor(label: string, problem: string, cause?: unknown) {
    super(
      'download_failed',
      `${label}: the download is damaged: ${problem}; it was removed, run the command again`,
      {
        cause,
        details: { label },
      },
    );
  }
}

const sizeOf = (path: string): Promise<number> =>
  stat(path).then(
    ({ size }) => size,
    () => 0,
  );

async function fetchAndCheck(
  target: BlobTarget,
  source: BlobSource,
  partial: string,
  options: BlobOptions,
): Promise<void> {
  await source.fetch(partial, (done) => options.onBytes?.(done), options.signal);
  const whole = source.compression === 'none' ? partial : `${target.path}.${process.pid}.tmp`;
  try {
    if (source.compression === 'deflate') await inflate(partial, whole, target, options.signal);
    else await check(createReadStream(partial), target, options.signal);
    await flush(whole);
    await rename(whole, target.path);
  } catch (error) {
    if (whole !== partial) await rm(whole, { force: true });
    const failure = writeError(error, target.path);
    if (failure instanceof WrongBytes || failure !== error) await rm(partial, { force: true });
    throw failure;
  }
}

/** To the disk before the final name: a power cut must not leave a hollow file under it. */
async function flush(path: string): Promise<void> {
  const file = await open(path, 'r+');
  try {
    await file.datasync();
  } finally {
    await file.close();
  }
}

function hasher(target: BlobTarget): Hash | undefined {
  if (target.checksum?.length === 64) return createHash('sha256');
  if (target.checksum?.length === 40) return createHash('sha1').update(`blob ${target.bytes}\0`);
  return undefined;
}

/** Reads a stream to its end and compares size and checksum; `write` sees every chunk. */
async function check(
  stream: AsyncIterable<Buffer>,
  target: BlobTarget,
  signal: AbortSignal | undefined,
  write?: (chunk: Buffer) => Promise<unknown>,
): Promise<void> {
  const hash = hasher(target);
  let bytes = 0;
  for await (const chunk of stream) {
    signal?.throwIfAborted();
    bytes += chunk.length;
    if (bytes > target.bytes) break;
    hash?.update(chunk);
    await write?.(chunk);
  }
  if (bytes !== target.bytes) {
    throw new WrongBytes(
      target.label,
      `${bytes > target.bytes ? 'more than ' : ''}${formatBytes(Math.min(bytes, target.bytes))} instead of ${target.bytes} bytes`,
    );
  }
  const digest = hash?.digest('hex');
  if (digest !== target.checksum) {
    throw new WrongBytes(target.label, `checksum ${digest} instead of ${target.checksum}`);
  }
}

async function inflate(
  from: string,
  to: string,
  target: BlobTarget,
  signal: AbortSignal | undefined,
): Promise<void> {
  const reader = createReadStream(from, { highWaterMark: 1 << 20 });
  const inflater = createInflateRaw({ chunkSize: 1 << 20 });
  reader.on('error', (error) => inflater.destroy(error));
  const output = await open(to, 'w');
  try {
    await check(reader.pipe(inflater), target, signal, (chunk) => output.write(chunk));
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    throw code.startsWith('Z_')
      ? new WrongBytes(target.label, `it does not inflate (${code})`, error)
      : error;
  } finally {
    reader.destroy();
    inflater.destroy();
    await output.close();
  }
}

/** Partial files of other sources, and what killed processes left; the lock is held, so nobody uses them. */
async function removeScraps(path: string): Promise<void> {
  const folder = dirname(path);
  const start = `${basename(path)}.`;
  const scraps = (await readdir(folder)).filter(
    (name) => name.startsWith(start) && /\.(partial|tmp)$/.test(name),
  );
  await Promise.all(scraps.map((name) => rm(join(folder, name), { force: true })));
}
