// One downloader per file across processes: a lock file that its owner touches while it works. A lock whose owner died is
// taken over. Losing a race here costs time, not data: files get their final name only after their checksum was right.

import { randomUUID } from 'node:crypto';
import { open, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

export interface LockOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called once when another process holds the lock. */
  readonly onWait?: (owner: string) => void;
  readonly pollMs?: number;
  readonly heartbeatMs?: number;
  /** A lock not touched for this long has no owner any more. */
  readonly staleMs?: number;
}

interface Owner {
  readonly id: string;
  readonly pid: number;
  readonly host: string;
}

/** Runs `work` while holding the lock file `path`; waits for another holder first. */
export async function withLock<T>(path: string, options: LockOptions, work: () => Promise<T>): Promise<T> {
  const { heartbeatMs = 2000 } = options;
  await acquire(path, options);
  const beat = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => {});
  }, heartbeatMs);
  beat.unref();
  try {
    return await work();
  } finally {
    clearInterval(beat);
    await rm(path, { force: true });
  }
}

async function acquire(path: string, options: LockOptions): Promise<void> {
  const { signal, onWait, pollMs = 250, staleMs = 20_000 } = options;
  const owner: Owner = { id: randomUUID(), pid: process.pid, host: hostname() };
  let told = false;
  for (;;) {
    signal?.throwIfAborted();
    if (await create(path, JSON.stringify(owner))) return;
    const holder = await read(path);
    if (holder === undefined) continue;
    if (await isStale(path, holder, staleMs)) {
      await steal(path, holder);
      continue;
    }
    if (!told) onWait?.(`process ${holder.pid}${holder.host === hostname() ? '' : ` on ${holder.host}`}`);
    told = true;
    await sleep(pollMs, undefined, signal ? { signal } : {}).catch(() => signal?.throwIfAborted());
  }
}

async function create(path: string, text: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx');
    try {
      await file.writeFile(text);
    } finally {
      await file.close();
    }
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** The holder; undefined when the lock is gone. A lock that cannot be read belongs to a process about to write it. */
async function read(path: string): Promise<Owner | undefined> {
  try {
    const value = JSON.parse(await readFile(path, 'utf8')) as Partial<Owner>;
    return { id: String(value.id), pid: Number(value.pid), host: String(value.host) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    return { id: '', pid: 0, host: '' };
  }
}

async function isStale(path: string, holder: Owner, staleMs: number): Promise<boolean> {
  if (holder.host === hostname() && holder.pid !== process.pid && !isAlive(holder.pid)) return true;
  const age = await stat(path).then(
    ({ mtimeMs }) => Date.now() - mtimeMs,
    () => 0,
  );
  return age > staleMs;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Moves a dead lock away: of two processes that try, only one moves it. */
async function steal(path: string, holder: Owner): Promise<void> {
  const aside = `${path}.${randomUUID().slice(0, 8)}`;
  try {
    await rename(path, aside);
  } catch {
    return;
  }
  const moved = await read(aside);
  if (moved && moved.id !== holder.id) {
    // Somebody else took the lock over in between; give it back.
    await rename(aside, path).catch(() => {});
    return;
  }
  await rm(aside, { force: true });
}
