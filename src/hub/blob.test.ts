// Downloads of which another process finishes the same file.

import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { obtainBlob } from './blob.ts';

test('a file that an earlier holder of the lock finished meanwhile is taken as it is', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ingot-blob-'));
  const path = join(folder, 'blob');
  const target = { path, bytes: 4, checksum: undefined, label: 'm.gguf' };
  const fetch = async (partial: string): Promise<void> => {
    await writeFile(path, 'done');
    await readFile(partial); // it has been given its final name
  };
  const source = { id: 'x', compression: 'none', transferBytes: 4, fetch } as const;
  await obtainBlob(target, source, { freeBytes: async () => 1e9 });
  expect(await readdir(folder)).toEqual(['blob']);
  await rm(folder, { recursive: true });
});
