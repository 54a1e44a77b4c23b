import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { renameWhenWhole, writeAtomically, writeTensorData } from './atomic-file.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ingot-atomic-'));
});
afterEach(() => rm(folder, { recursive: true }));

function signal() {
  let resolve = (): void => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

describe('atomic files', () => {
  it('appear whole', async () => {
    const path = join(folder, 'new/file');
    await writeAtomically(path, async (sink) => {
      await sink.write(new Uint8Array([1, 2]));
      expect(sink.position).toBe(2);
      await sink.write(new Uint8Array([3]));
    });
    expect([...(await readFile(path))]).toEqual([1, 2, 3]);
    expect(await readdir(join(folder, 'new'))).toEqual(['file']);
  });

  it('leave nothing behind and keep the old file when the disk is full', async () => {
    const path = join(folder, 'file');
    await writeFile(path, 'old');
    const failing = writeAtomically(path, async (sink) => {
      await sink.write(new Uint8Array(10));
      throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
    });
    await expect(failing).rejects.toMatchObject({ code: 'disk_full' });
    await expect(failing).rejects.toThrow(`${path}: the disk is full after 10 bytes`);
    expect(await readdir(folder)).toEqual(['file']);
    expect(await readFile(path, 'utf8')).toBe('old');
  });

  it('pass on other failures', async () => {
    const reason = new Error('stopped');
    await expect(writeAtomically(join(folder, 'x'), () => Promise.reject(reason))).rejects.toBe(reason);
    expect(await readdir(folder)).toEqual([]);
  });

  it('leave nothing when the process exits in between, in folders too', async () => {
    const before = process.listeners('exit');
    const [begun, stop] = [signal(), signal()];
    const writing = renameWhenWhole(join(folder, 'new'), async (temporary) => {
      await mkdir(temporary);
      await writeAtomically(join(temporary, 'file'), async (sink) => {
        await sink.write(new Uint8Array(10));
        begun.resolve();
        await stop.promise;
      });
    });
    const outcome = expect(writing).rejects.toThrow();
    await begun.promise;
    expect(await readdir(folder)).toHaveLength(1);
    const added = process.listeners('exit').filter((listener) => !before.includes(listener));
    expect(added).toHaveLength(1);
    added[0]?.(0);
    expect(await readdir(folder)).toEqual([]);
    stop.resolve();
    await outcome;
    expect(process.listeners('exit')).toEqual(before);
  });

  it('remove what a killed process of this machine left of the same file', async () => {
    const dead = spawnSync(process.execPath, ['-e', '']).pid;
    const host = hostname().replace(/[^\w-]/g, '_');
    const left = [
      `file.${host}-${dead}-0123abcd.partial`,
      `file.${host}-${process.pid}-0123abcd.partial`, // is running
      `file.elsewhere-${dead}-0123abcd.partial`,
      `other.${host}-${dead}-0123abcd.partial`,
    ];
    for (const name of left) await mkdir(join(folder, name));
    await writeAtomically(join(folder, 'file'), (sink) => sink.write(new Uint8Array(1)));
    expect((await readdir(folder)).sort()).toEqual(['file', ...left.slice(1)].sort());
  });

  it('check the bytes of a tensor', async () => {
    const short = writeAtomically(join(folder, 'x'), (sink) =>
      writeTensorData(sink, 'w', () => [new Uint8Array(3), new Uint8Array(4)], 8),
    );
    await expect(short).rejects.toThrow('tensor w: 8 bytes expected, 7 produced');
  });
});
