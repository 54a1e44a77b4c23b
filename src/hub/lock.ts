// One downloader per file across processes: a lock file that its owner touches while it works. A lock whose owner died is
// taken over, and an owner that slept so long that it lost its lock stops and waits like others. Losing a race here costs time,
// not data: files get their final name only after their checksum was right.

import { randomUUID } from 'node:crypto';
import { open, readFile, readlink, rename, rm, stat, utimes } from 'node:fs/promises';
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
  /** Where `pid` means something: containers of one host count their processes each for themselves. */
  readonly space: string;
}

const defaultHeartbeatMs = 2000;

/** The namespace of this process's id; empty where there is only one. */
export const processSpace = (): Promise<string> => readlink('/proc/self/ns/pid').catch(() => '');

/**
 * Runs `work` while holding the lock file `path`; waits for another holder first. The signal that `work` gets is aborted when the
 * lock was lost, and then all begins anew.
 */
export async function withLock<T>(
  path: string,
  options: LockOptions,
  work: (lost: AbortSignal) => Promise<T>,
): Promise<T> {
  const { heartbeatMs = defaultHeartbeatMs } = options;
  for (;;) {
    const id = await acquire(path, options);
    const lost = new AbortController();
    const beat = setInterval(() => void touch(path, id, lost), heartbeatMs);
    beat.unref();
    try {
      return await work(lost.signal);
    } catch (error) {
      if (!lost.signal.aborted && (await isHeldBy(path, id))) throw error;
      options.signal?.throwIfAborted();
    } finally {
      clearInterval(beat);
      if (await isHeldBy(path, id)) await rm(path, { force: true });
    }
  }
}

const isHeldBy = async (path: string, id: string): Promise<boolean> => (await read(path))?.id === id;

/** Shows that the holder is there, or tells it that it is the holder no more. */
async function touch(path: string, id: string, lost: AbortController): Promise<void> {
  if (!(await isHeldBy(path, id))) return lost.abort(new Error(`${path} was taken over`));
  const now = new Date();
  await utimes(path, now, now).catch(() => {});
}

/** Takes the lock and returns the holder's id. */
async function acquire(path: string, options: LockOptions): Promise<string> {
  const { signal, onWait, pollMs = 250, heartbeatMs = defaultHeartbeatMs, staleMs = 20_000 } = options;
  const space = await processSpace();
  const pause = (ms: number): Promise<void> =>
    sleep(ms, undefined, signal ? { signal } : {}).catch(() => signal?.throwIfAborted());
  const owner: Owner = { id: randomUUID(), pid: process.pid, host: hostname(), space };
  let told = false;
  for (;;) {
    signal?.throwIfAborted();
    if (await create(path, JSON.stringify(owner))) return owner.id;
    const holder = await read(path);
    if (holder === undefined) continue;
    const age = await ageOf(path);
    if (isDead(holder, space)) {
      await steal(path, holder);
      continue;
    }
    if (age > staleMs) {
      // Where this process slept, too, as on a laptop that was closed, the holder gets the time to show itself.
      await pause(2 * heartbeatMs);
      if ((await isHeldBy(path, holder.id)) && (await ageOf(path)) > age) await steal(path, holder);
      continue;
    }
    if (!told) onWait?.(`process ${holder.pid}${holder.host === hostname() ? '' : ` on ${holder.host}`}`);
    told = true;
    await pause(pollMs);
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
    return {
      id: String(value.id),
      pid: Number(value.pid),
      host: String(value.host),
      space: String(value.space ?? ''),
    };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    return { id: '', pid: 0, host: '', space: '' };
  }
}

/** A process of this machine that is no more. */
const isDead = (holder: Owner, space: string): boolean =>
  holder.host === hostname() && holder.space === space && holder.pid !== process.pid && !isAlive(holder.pid);

/** Milliseconds since a lock was touched; 0 when it is gone. */
const ageOf = (path: string): Promise<number> =>
  stat(path).then(
    ({ mtimeMs }) => Date.now() - mtimeMs,
    () => 0,
  );

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
