import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FileSource } from './file-source.ts';
import { MemorySource } from './source.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ingot-source-'));
});
afterAll(() => rm(folder, { recursive: true }));

describe('byte sources', () => {
  it('read ranges, from files and from memory', async () => {
    const bytes = Uint8Array.from({ length: 100 }, (_, i) => i);
    await writeFile(join(folder, 'a'), bytes);
    const file = await FileSource.open(join(folder, 'a'));
    for (const source of [file, new MemorySource(bytes)]) {
      expect(source.size).toBe(100);
      expect([...(await source.read(97, 3))]).toEqual([97, 98, 99]);
      expect((await source.read(100, 0)).byteLength).toBe(0);
      const target = new Uint8Array(2);
      await source.readInto(5, target);
      expect([...target]).toEqual([5, 6]);
      await source.close();
    }
  });

  it.each([
    [98, 3],
    [-1, 2],
    [0, 101],
    [2 ** 53, 1],
    [1.5, 1],
    [0, Number.NaN],
  ])('refuse %d + %d of 100 bytes', async (offset, length) => {
    const source = new MemorySource(new Uint8Array(100), 'some file');
    await expect(source.read(offset, length)).rejects.toThrow('some file: size:');
    await expect(source.read(offset, length)).rejects.toMatchObject({ code: 'bad_file' });
  });

  it('notice a file that became shorter', async () => {
    const path = join(folder, 'shrinks');
    await writeFile(path, new Uint8Array(100));
    const source = await FileSource.open(path);
    await truncate(path, 50);
    await expect(source.read(40, 20)).rejects.toThrow('became shorter while it was read (at byte 50)');
    await source.close();
    await expect(source.read(0, 1)).rejects.toThrow('shrinks: file: cannot be read');
  });

  it('name what cannot be opened', async () => {
    await expect(FileSource.open(join(folder, 'none'))).rejects.toMatchObject({ code: 'not_found' });
    await expect(FileSource.open(folder)).rejects.toThrow('is not a regular file');
  });
});
