import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { NDArray } from '../array/array.ts';
import { fromData } from '../array/creation.ts';
import { openJsDevice } from '../device/js/device.ts';
import { attentionSpec } from '../nn/contracts.ts';
import { StandardCache, standardCacheBytes } from './standard.ts';

const headDim = 4;
const device = openJsDevice();

/** Rows of one head whose key and value at position p are functions of p (and of a generation that tells writes apart). */
function rows(positions: readonly number[], generation: number, frequency: number): NDArray {
  const values = positions.flatMap((p) =>
    Array.from({ length: headDim }, (_, d) => Math.sin(frequency * (p + 1) * (d + 1) + generation)),
  );
  return fromData(Float32Array.from(values), [positions.length, 1, headDim], { device });
}

async function attend(
  cache: StandardCache,
  positions: readonly number[],
  generation = 0,
): Promise<Float32Array> {
  const [q, k, v] = [
    rows(positions, 0, 0.7),
    rows(positions, generation, 0.3),
    rows(positions, generation, 1.1),
  ];
  const at = fromData(Int32Array.from(positions), [positions.length], { device });
  const out = cache.attend(0, q, k, v, at, { scale: 0.5 });
  return Float32Array.from(await out.data());
}

const range = (from: number, to: number): readonly number[] =>
  Array.from({ length: to - from }, (_, i) => from + i);

describe('StandardCache', () => {
  it('gives the same attention from a ring as from a slot per position', async () => {
    const steps = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(steps, fc.integer({ min: 1, max: 9 }), async (sizes, window) => {
        const layers = [attentionSpec({ numKvHeads: 1, headDim, window })];
        const plain = new StandardCache(device, layers, { capacity: 64, dtype: 'f32' });
        const ring = new StandardCache(device, layers, { capacity: 64, dtype: 'f32', maxRows: 5 });
        expect(ring.bytes).toBeLessThan(plain.bytes);
        let at = 0;
        for (const size of sizes) {
          const positions = range(at, at + size);
          expect(await attend(ring, positions)).toEqual(await attend(plain, positions));
          at += size;
        }
      }),
      { numRuns: 25 },
    );
  });

  it('continues differently from any position at or after earliestRewind', async () => {
    const window = 6;
    const layers = [attentionSpec({ numKvHeads: 1, headDim, window })];
    const make = (maxRows?: number): StandardCache =>
      new StandardCache(device, layers, {
        capacity: 64,
        dtype: 'f32',
        ...(maxRows === undefined ? {} : { maxRows }),
      });
    const written = 20;
    const fill = async (cache: StandardCache): Promise<void> => {
      for (let at = 0; at < written; at += 4) await attend(cache, range(at, at + 4));
    };
    const earliest = make(4).earliestRewind(written);
    expect(earliest).toBe(16); // 9 slots hold 11 … 19; position 16 reads back to 11
    for (const to of [0, ...range(earliest, written + 1)]) {
      const [plain, ring] = [make(), make(4)];
      await fill(plain);
      await fill(ring);
      expect(await attend(ring, range(to, to + 4), 1), `from ${to}`).toEqual(
        await attend(plain, range(to, to + 4), 1),
      );
    }
    const [plain, ring] = [make(), make(4)];
    await fill(plain);
    await fill(ring);
    const before = [earliest - 1];
    expect(await attend(ring, before, 1)).not.toEqual(await attend(plain, before, 1));
  });

  it('can go back anywhere without windows', () => {
    const cache = new StandardCache(device, [attentionSpec({ numKvHeads: 1, headDim })], {
      capacity: 32,
      dtype: 'f16',
      maxRows: 4,
    });
    expect(cache.earliestRewind(32)).toBe(0);
  });

  it('takes the bytes it says, and gives them back', () => {
    const device = openJsDevice();
    const layers = [
      attentionSpec({ numKvHeads: 3, headDim: 64 }),
      attentionSpec({ numKvHeads: 2, headDim: 16, window: 8 }),
    ];
    const options = { capacity: 100, dtype: 'f16', maxRows: 5 } as const;
    const cache = new StandardCache(device, layers, options);
    expect(standardCacheBytes(layers, options)).toBe(2 * 2 * (3 * 100 * 64 + 2 * 12 * 16));
    expect(cache.bytes).toBe(standardCacheBytes(layers, options));
    expect(device.statistics().liveBytes).toBe(cache.bytes);
    cache.dispose();
    expect(device.statistics()).toMatchObject({ liveBuffers: 0, liveBytes: 0 });
  });

  it('rejects what it cannot hold', async () => {
    const layers = [attentionSpec({ numKvHeads: 1, headDim })];
    expect(() => new StandardCache(device, layers, { capacity: 0, dtype: 'f32' })).toThrow(
      'cache: capacity 0 must be at least 1',
    );
    const cache = new StandardCache(device, layers, { capacity: 4, dtype: 'f32' });
    const x = rows([0], 0, 1);
    const at = fromData(Int32Array.of(0), [1], { device });
    expect(() => cache.attend(1, x, x, x, at, { scale: 1 })).toThrow(
      'sequence memory: layer 1 of 1 does not exist',
    );
    await expect(attend(cache, [4])).rejects.toThrow('position 4 is outside a cache of 4');
  });
});
