import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { writeAtomically, writeTensorData } from './atomic-file.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ingot-atomic-'));
});
afterEach(() => rm(folder, { recursive: true }));

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
    await expect(failing).rejects.toThrow('the disk is full after 10 bytes');
    expect(await readdir(folder)).toEqual(['file']);
    expect(await readFile(path, 'utf8')).toBe('old');
  });

  it('pass on other failures', async () => {
    const reason = new Error('stopped');
    await expect(writeAtomically(join(folder, 'x'), () => Promise.reject(reason))).rejects.toBe(reason);
    expect(await readdir(folder)).toEqual([]);
  });

  it('check the bytes of a tensor', async () => {
    const short = writeAtomically(join(folder, 'x'), (sink) =>
      writeTensorData(sink, 'w', () => [new Uint8Array(3), new Uint8Array(4)], 8),
    );
    await expect(short).rejects.toThrow('tensor w: 8 bytes expected, 7 produced');
  });
});
