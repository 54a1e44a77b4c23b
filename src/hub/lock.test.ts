import { spawnSync } from 'node:child_process';
import { utimesSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { processSpace, withLock } from './lock.ts';

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ingot-lock-'));
  path = join(folder, 'x.lock');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const quick = { pollMs: 2 };
const space = await processSpace();
const owner = (pid: number, host = hostname(), inside = space) =>
  JSON.stringify({ id: 'other', pid, host, space: inside });

test('never two at a time, and nothing is left', async () => {
  let inside = 0;
  let most = 0;
  const work = async () => {
    most = Math.max(most, ++inside);
    await sleep(3);
    inside--;
  };
  await Promise.all(Array.from({ length: 12 }, () => withLock(path, quick, work)));
  expect(most).toBe(1);
  expect(await readdir(folder)).toEqual([]);
});

test('is given back after an error', async () => {
  await expect(withLock(path, quick, () => Promise.reject(new Error('x')))).rejects.toThrow('x');
  expect(await withLock(path, quick, async () => 7)).toBe(7);
});

test('the lock of a dead process is taken over', async () => {
  const { pid } = spawnSync(process.execPath, ['-e', '0']);
  await writeFile(path, owner(pid));
  expect(await withLock(path, quick, async () => 'mine')).toBe('mine');
  expect(await readdir(folder)).toEqual([]);
});

test('the lock of another machine is taken over when it was not touched for long', async () => {
  await writeFile(path, owner(1, 'elsewhere'));
  const old = new Date(Date.now() - 60_000);
  await utimes(path, old, old);
  expect(await withLock(path, { ...quick, heartbeatMs: 2 }, async () => 'mine')).toBe('mine');
});

test('a holder that slept as long as the one that waits keeps its lock', async () => {
  await writeFile(path, owner(1, 'elsewhere'));
  const old = new Date(Date.now() - 60_000);
  await utimes(path, old, old);
  const controller = new AbortController();
  const waiting = withLock(path, { ...quick, heartbeatMs: 100, signal: controller.signal }, async () => 1);
  setTimeout(() => utimesSync(path, new Date(), new Date()), 20);
  setTimeout(() => controller.abort(new Error('stop')), 300);
  await expect(waiting).rejects.toThrow('stop');
  expect(JSON.parse(await readFile(path, 'utf8')).id).toBe('other');
});

test('waits for a living holder, says so once, and can be told to stop', async () => {
  await writeFile(path, owner(process.ppid));
  const controller = new AbortController();
  const said: string[] = [];
  const waiting = withLock(
    path,
    { ...quick, signal: controller.signal, onWait: (who) => said.push(who) },
    async () => 1,
  );
  await sleep(30);
  controller.abort(new Error('stop'));
  await expect(waiting).rejects.toThrow('stop');
  expect(said).toEqual([`process ${process.ppid}`]);
  expect(await readdir(folder)).toEqual(['x.lock']);
});

test('goes on when the holder is done', async () => {
  await writeFile(path, owner(process.ppid));
  const waiting = withLock(path, quick, async () => 'done');
  await sleep(10);
  await rm(path);
  expect(await waiting).toBe('done');
});

test('a process of another namespace is not taken for dead, and two of them do not rob each other', async () => {
  const { pid } = spawnSync(process.execPath, ['-e', '0']);
  await writeFile(path, owner(pid, hostname(), 'pid:[1]'));
  const controller = new AbortController();
  const waiting = withLock(path, { ...quick, signal: controller.signal }, async () => 1);
  await sleep(30);
  controller.abort(new Error('stop'));
  await expect(waiting).rejects.toThrow('stop');
  expect(JSON.parse(await readFile(path, 'utf8')).id).toBe('other');
});

test('a holder that lost its lock stops, waits and begins anew, and leaves the lock of the other alone', async () => {
  let runs = 0;
  const work = async (lost: AbortSignal): Promise<string> => {
    if (++runs > 1) return `run ${runs}`;
    await writeFile(path, owner(process.ppid));
    await new Promise((resolve) => lost.addEventListener('abort', resolve));
    // The other one works on while this one comes to its senses.
    setTimeout(() => rm(path), 20);
    throw lost.reason;
  };
  expect(await withLock(path, { ...quick, heartbeatMs: 2 }, work)).toBe('run 2');
});

test('a lock that another took over is not removed at the end', async () => {
  await withLock(path, quick, () => writeFile(path, owner(process.ppid)));
  expect(JSON.parse(await readFile(path, 'utf8')).id).toBe('other');
});
