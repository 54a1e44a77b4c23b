import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fastestReaders, type ReadShape, readersFor } from './readers.ts';

let folder: string;
let shape: ReadShape;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ingot-readers-'));
  const path = join(folder, 'experts');
  writeFileSync(path, new Uint8Array(4096));
  shape = { path, size: 4096, piece: 3 * 2 ** 20, readsPerJob: 1, jobs: 8 };
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('readers', () => {
  it('are as few as are within 5 % of the fastest, by the better of two measurements', () => {
    expect(fastestReaders(shape, () => 1)).toBe(1);
    expect(fastestReaders(shape, (_, readers) => 1 / readers)).toBe(16);
    expect(fastestReaders(shape, (_, readers) => 1 + 0.12 / readers)).toBe(4);
    let turn = 0;
    expect(fastestReaders(shape, (_, readers) => (turn++ === 0 ? 9 : 1 + 0.1 * readers))).toBe(1);
  });

  it('are measured once for a disk and a size of read, and remembered', async () => {
    const env = { cacheDir: join(folder, 'cache') };
    let measured = 0;
    const measure = (): number => 2 + measured++;
    expect(await readersFor(shape, env, measure)).toBe(2);
    expect(await readersFor({ ...shape, piece: 1.1 * shape.piece }, env, measure)).toBe(2);
    expect(await readersFor({ ...shape, piece: 4 * shape.piece }, env, measure)).toBe(3);
    expect(await readersFor(shape, env, measure)).toBe(2);
    expect(Object.values(JSON.parse(readFileSync(join(env.cacheDir, 'readers.json'), 'utf8')))).toEqual([
      2, 3,
    ]);
    // Damage counts as none, and so do numbers that cannot be.
    writeFileSync(join(env.cacheDir, 'readers.json'), '{"disk');
    expect(await readersFor(shape, env, measure)).toBe(4);
    const known = JSON.parse(readFileSync(join(env.cacheDir, 'readers.json'), 'utf8'));
    writeFileSync(
      join(env.cacheDir, 'readers.json'),
      JSON.stringify({ [Object.keys(known)[0] as string]: 1e9 }),
    );
    expect(await readersFor(shape, env, measure)).toBe(5);
    expect(await readersFor(undefined, env, measure)).toBeUndefined();
    // Where nothing can be written they are measured again.
    const blocked = { cacheDir: join(shape.path, 'file') };
    expect([await readersFor(shape, blocked, measure), await readersFor(shape, blocked, measure)]).toEqual([
      6, 7,
    ]);
  });
});
