// Downloads a byte range of an address into a partial file and goes on where it stopped: after a lost connection at once,
// after a killed process in the next run. The partial file's name must stand for one exact source.

import { constants, open as openFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { IngotError } from '../base/errors.ts';
import { isDiskFull, writeError } from './disk.ts';
import {
  type HttpOptions,
  type HttpResponse,
  HttpStatusError,
  hostOf,
  open,
  UnreachableError,
} from './http.ts';

export interface Transfer {
  readonly url: string;
  readonly http: HttpOptions;
  /** File that grows. */
  readonly partial: string;
  /** Offset in the remote file of the first wanted byte, and how many. */
  readonly start: number;
  readonly length: number;
  /** Strong validator of the remote file: with it a changed file restarts the download. */
  readonly etag?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onBytes?: (bytesDone: number) => void;
  /** Attempts without a single new byte before giving up. Default 4. */
  readonly attempts?: number;
  readonly retryDelayMs?: number;
}

const sizeOf = (path: string): Promise<number> =>
  stat(path).then(
    ({ size }) => size,
    () => 0,
  );

/** Resolves when `partial` holds exactly `length` bytes. Throws download_failed, disk_full (partial removed) or the signal's reason. */
export async function transfer(job: Transfer): Promise<void> {
  const { partial, length, attempts = 4, retryDelayMs = 500 } = job;
  // There is no range of no bytes to ask for.
  if (length === 0) return await writeFile(partial, '');
  let fruitless = 0;
  let anyBytes = false;
  for (;;) {
    const done = await sizeOf(partial);
    if (done > length) await truncate(partial, 0);
    else if (done === length) return;
    try {
      await append(job, done > length ? 0 : done);
    } catch (error) {
      job.signal?.throwIfAborted();
      if (isDiskFull(error)) {
        await rm(partial, { force: true });
        throw writeError(error, partial);
      }
      const grew = (await sizeOf(partial)) > done;
      anyBytes ||= grew;
      // A source that never gave a byte is left at once: there may be another one.
      if (!isPassing(error) || (!anyBytes && error instanceof UnreachableError)) throw error;
      fruitless = grew ? 0 : fruitless + 1;
      if (fruitless >= attempts) throw gaveUp(job, await sizeOf(partial), error);
      await sleep(retryDelayMs * 2 ** fruitless, undefined, job.signal ? { signal: job.signal } : {}).catch(
        () => {},
      );
      job.signal?.throwIfAborted();
    }
  }
}

const isPassing = (error: unknown): boolean =>
  error instanceof HttpStatusError
    ? error.status >= 500 || error.status === 429
    : error instanceof UnreachableError;

function gaveUp(job: Transfer, done: number, cause: unknown): IngotError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new IngotError(
    'download_failed',
    `the download from ${hostOf(job.url)} stopped at ${done} of ${job.length} bytes: ${reason}; run the command again to go on from there`,
    { cause, details: { url: hostOf(job.url), bytesDone: done, bytesTotal: job.length } },
  );
}

async function append(job: Transfer, done: number): Promise<void> {
  const first = job.start + done;
  const last = job.start + job.length - 1;
  const response = await open(job.url, {
    ...job.http,
    signal: job.signal,
    headers: {
      ...job.http.headers,
      range: `bytes=${first}-${last}`,
      ...(job.etag === undefined ? {} : { 'if-range': `"${job.etag}"` }),
    },
  });
  const whole = response.status === 200;
  if (whole && job.start > 0) {
    response.body.destroy();
    throw new IngotError(
      'download_failed',
      `${hostOf(job.url)} does not serve parts of files (range requests)`,
    );
  }
  if (!whole) checkRange(response, first, job);
  // At places, not at the end: should another process write the same bytes at the same time, they stay the same.
  const file = await openFile(job.partial, whole ? 'w' : constants.O_WRONLY | constants.O_CREAT);
  try {
    let position = whole ? 0 : done;
    for await (const chunk of chunksOf(response)) {
      const room = job.length - position;
      const part = chunk.length > room ? chunk.subarray(0, room) : chunk;
      await file.write(part, 0, part.length, position);
      job.signal?.throwIfAborted();
      position = Math.min(position + chunk.length, job.length);
      job.onBytes?.(position);
      if (position === job.length) break;
    }
    if (position < job.length) throw new UnreachableError(job.url, 'the connection closed before the end');
  } finally {
    response.body.destroy();
    await file.close();
  }
}

function checkRange(response: HttpResponse, first: number, job: Transfer): void {
  const match = /^bytes (\d+)-/.exec(response.headers['content-range'] ?? '');
  if (response.status === 206 && match && Number(match[1]) === first) return;
  response.body.destroy();
  throw new IngotError(
    'download_failed',
    `${hostOf(job.url)} answered a request for bytes from ${first} with another part`,
  );
}

/** Chunks of a body; a broken connection becomes UnreachableError, errors of the reader pass. */
async function* chunksOf(response: HttpResponse): AsyncGenerator<Buffer> {
  const iterator = (response.body as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  for (;;) {
    const next = await iterator.next().catch((cause: unknown) => {
      if (cause instanceof IngotError) throw cause;
      throw new UnreachableError(
        response.url,
        cause instanceof Error ? cause.message : 'connection lost',
        cause,
      );
    });
    if (next.done === true) return;
    yield next.value;
  }
}
