// Files of prefixes: what is written is read, and damage of any kind is a bad_file.

import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { IngotError } from '../../base/errors.ts';
import { randomNumbers } from '../../testing/case-data.ts';
import { readLayers, readSegment, segmentHash, writeSegment } from './segment.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ingot-segment-'));
});
afterAll(() => rm(folder, { recursive: true }));

const tokens = Int32Array.from({ length: 70 }, (_, i) => i * 31);
const segment = { hash: segmentHash('ab', tokens), parent: 'ab', from: 64, tokens };
const layers = [
  { first: 64, arrays: [new Uint8Array(300).fill(1), new Uint8Array(300).fill(2)] },
  { first: 133, arrays: [new Uint8Array(16).fill(3)] },
];

it('reads what was written', async () => {
  const path = join(folder, 'whole');
  await writeSegment(path, segment, layers);
  expect(await readSegment(path, 70)).toEqual(segment);
  expect(await readLayers(path, 70)).toEqual(layers);
  await expect(readSegment(path, 69)).rejects.toThrow('has 280 bytes of tokens');
});

it('refuses a file in which any byte is another, or that is longer or shorter', async () => {
  const path = join(folder, 'damaged');
  await writeSegment(path, segment, layers);
  const whole = readFileSync(path);
  const random = randomNumbers(1);
  const damaged = Array.from({ length: 300 }, (_, i) => {
    if (i % 3 === 0) return whole.subarray(0, Math.floor(random() * whole.length));
    const bytes = Buffer.from(whole);
    const at = Math.floor(random() * whole.length);
    bytes[at] = (bytes[at] ?? 0) ^ (1 + Math.floor(random() * 255));
    return bytes;
  });
  for (const bytes of [...damaged, Buffer.concat([whole, Buffer.of(0)])]) {
    await writeFile(path, bytes);
    const error = await readLayers(path, 1000).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(IngotError);
    expect((error as IngotError).code).toBe('bad_file');
  }
});
