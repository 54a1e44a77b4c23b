// Files that appear whole or not at all: written beside their final name, flushed to disk, then renamed.

import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { IngotError } from '../base/errors.ts';
import { formatBytes } from '../base/text.ts';

/** Somewhere bytes are appended to. */
export interface Sink {
  /** Bytes written so far. */
  readonly position: number;
  write(bytes: Uint8Array): Promise<void>;
}

/** What is being written and would stay when the process ended now. */
const unfinished = new Set<string>();

function removeUnfinished(): void {
  for (const path of unfinished) rmSync(path, { recursive: true, force: true });
}

/** Of this machine, as a part of a file's name. */
const host = hostname().replace(/[^\w-]/g, '_');

/** Removes what processes of this machine that were killed left of `path`. */
async function removeAbandoned(path: string): Promise<void> {
  const start = `${basename(path)}.${host}-`;
  const names = await readdir(dirname(path)).catch((): string[] => []);
  for (const name of names) {
    if (!name.startsWith(start)) continue;
    const pid = /^(\d+)-[0-9a-f]{8}\.partial$/.exec(name.slice(start.length))?.[1];
    if (pid !== undefined && !isRunning(Number(pid)))
      await rm(join(dirname(path), name), { recursive: true, force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'; // another user's process is one, too
  }
}

/**
 * Creates the file or folder `path`: `body` writes it at the temporary path it is given, which then gets the name. When `body` fails, or the
 * process exits before, nothing is left behind; what a killed process left is removed by the next one that writes `path`. Rejects with
 * disk_full when there is no room, else with what `body` threw.
 */
export async function renameWhenWhole(
  path: string,
  body: (temporary: string) => Promise<void>,
): Promise<void> {
  const temporary = `${path}.${host}-${process.pid}-${randomBytes(4).toString('hex')}.partial`;
  if (unfinished.size === 0) process.on('exit', removeUnfinished);
  unfinished.add(temporary);
  try {
    await mkdir(dirname(path), { recursive: true });
    await removeAbandoned(path);
    await body(temporary);
    await rename(temporary, path);
    await syncFolder(dirname(path));
  } catch (cause) {
    await rm(temporary, { recursive: true, force: true });
    throw translate(path, cause);
  } finally {
    unfinished.delete(temporary);
    if (unfinished.size === 0) process.off('exit', removeUnfinished);
  }
}

/**
 * Creates `path` with what `body` writes. When `body` or the disk fails, or the process exits, nothing is left behind and a file that was at
 * `path` before is untouched. Rejects with disk_full when there is no room, else with what `body` threw.
 */
export async function writeAtomically(path: string, body: (sink: Sink) => Promise<void>): Promise<void> {
  let written = 0;
  await renameWhenWhole(path, async (temporary) => {
    const handle = await open(temporary, 'wx');
    try {
      await body({
        get position() {
          return written;
        },
        async write(bytes) {
          for (let done = 0; done < bytes.byteLength; ) {
            const { bytesWritten } = await handle.write(
              bytes,
              done,
              Math.min(bytes.byteLength - done, 2 ** 30),
            );
            done += bytesWritten;
            written += bytesWritten;
          }
        },
      });
      await handle.sync();
    } catch (cause) {
      throw translate(path, cause, written);
    } finally {
      await handle.close();
    }
  });
}

/** Makes the rename itself durable, where the platform lets folders be opened. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function translate(path: string, cause: unknown, written?: number): unknown {
  if (cause instanceof IngotError && cause.details.path === path) return cause;
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'disk_full') {
    return new IngotError(
      'disk_full',
      `${path}: the disk is full${written === undefined ? '' : ` after ${formatBytes(written)}`}; free some space and try again (nothing was kept)`,
      { cause, details: { path, written } },
    );
  }
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
    return new IngotError('invalid_argument', `${path}: cannot be written (${String(code)})`, { cause });
  }
  return cause;
}

/** Collects what is written, for tests and small files. */
export class MemorySink implements Sink {
  readonly #chunks: Uint8Array[] = [];
  position = 0;

  async write(bytes: Uint8Array): Promise<void> {
    this.#chunks.push(bytes.slice());
    this.position += bytes.byteLength;
  }

  bytes(): Uint8Array {
    const all = new Uint8Array(this.position);
    let at = 0;
    for (const chunk of this.#chunks) {
      all.set(chunk, at);
      at += chunk.byteLength;
    }
    return all;
  }
}

/** Contents of a tensor for a writer: all bytes, or a function that produces them in pieces. */
export type TensorData = Uint8Array | (() => Iterable<Uint8Array> | AsyncIterable<Uint8Array>);

/** Writes a tensor's bytes. Throws invalid_argument unless exactly `expected` bytes come. */
export async function writeTensorData(
  sink: Sink,
  name: string,
  data: TensorData,
  expected: number,
): Promise<void> {
  const start = sink.position;
  if (data instanceof Uint8Array) await sink.write(data);
  else for await (const chunk of data()) await sink.write(chunk);
  const found = sink.position - start;
  if (found === expected) return;
  throw new IngotError('invalid_argument', `tensor ${name}: ${expected} bytes expected, ${found} produced`);
}

/** Writes zeros up to the next multiple of `alignment`. */
export async function pad(sink: Sink, alignment: number): Promise<void> {
  const rest = sink.position % alignment;
  if (rest !== 0) await sink.write(new Uint8Array(alignment - rest));
}
