// The native quantiser against the plain one: the same bytes for every kind of values.

import { afterAll, describe, expect, it } from 'vitest';
import { dequantizeSource, quantizeReference } from '../../quant/reference.ts';
import { findSourceFormat, sourceFormats } from '../../quant/registry.ts';
import { randomNumbers } from '../../testing/case-data.ts';
import { addonPath } from './addon.ts';
import { openCpuDevice } from './device.ts';
import { quantizeNative, quantizesNatively } from './quantize.ts';

const columns = 768;
const random = randomNumbers(17);
const normal = (): number => Math.sqrt(-2 * Math.log(random() + 1e-9)) * Math.cos(2 * Math.PI * random());
const largest = 3.4028234663852886e38;

/** Rows of different kinds, and of numbers at the ends of what f32 and the scales hold. */
const kinds: Readonly<Record<string, (i: number) => number>> = {
  normal: () => 0.02 * normal(),
  large: () => 3000 * normal(),
  tiny: () => 1e-6 * normal(),
  outliers: (i) => (i % 97 === 0 ? 8 : 0.01) * normal(),
  'of one sign': () => -0.5 - random(),
  'above zero': () => 0.5 + random(),
  constant: () => 0.125,
  'a large constant': () => -1e30,
  zero: () => 0,
  'zeros of both signs': (i) => (i % 3 === 0 ? -0 : 0),
  sparse: (i) => (i % 7 === 0 ? normal() : 0),
  'one value': (i) => (i % 256 === 200 ? -3 : 0),
  'two values': (i) => (i % 2 === 0 ? 1 : -1),
  'ties of whole steps': (i) => ((i % 33) - 16) / 2,
  subnormal: () => 1e-44 * normal(),
  'about the least scale': () => 1e-30 * normal(),
  'above what halves hold': () => 1e7 * normal(),
  'the largest numbers': (i) => (i % 5 === 0 ? largest : -largest * random()),
  'all sizes': () => normal() * 2 ** (120 * normal() * 0.3),
  'sizes by group': (i) => normal() * 2 ** ((i >> 5) % 24),
};
const names = Object.keys(kinds);
const values = new Float32Array(names.length * columns).map((_, i) => {
  const value = (kinds[names[Math.floor(i / columns)] ?? ''] ?? (() => 0))(i % columns);
  return Math.max(-largest, Math.min(largest, value));
});

const formats = sourceFormats.filter(quantizesNatively);

describe.skipIf(addonPath() === undefined)('native quantising', () => {
  const device = openCpuDevice();
  afterAll(() => device.dispose());

  it('has all affine formats and the K-quants', () => {
    const made = formats.map(({ name }) => name.replace(/\/.*/, ''));
    const affine = ['mlx2', 'mlx3', 'mlx4', 'mlx5', 'mlx6', 'mlx8'];
    expect([...new Set(made)]).toEqual(['q2_k', 'q3_k', 'q4_k', 'q5_k', 'q6_k', ...affine]);
    expect(formats).toHaveLength(5 + 6 * 9);
  });

  it.each(formats)('gives the bytes of the plain one: $name', async (format) => {
    const plain = quantizeReference(format, values, names.length, columns);
    const native = await quantizeNative(device, format, values, names.length, columns);
    const rowBytes = format.rowBytes(columns);
    const differing = names.filter((_, row) =>
      plain.some((part, p) => {
        const size = rowBytes[p] as number;
        return part
          .subarray(row * size, (row + 1) * size)
          .some((byte, i) => byte !== native[p]?.[row * size + i]);
      }),
    );
    expect(differing).toEqual([]);
    expect(native.map((part) => part.length)).toEqual(plain.map((part) => part.length));
    expect(dequantizeSource(format, native, names.length, columns).some(Number.isNaN)).toBe(false);
  });

  it('leaves other formats to the plain one, and refuses what does not fit', async () => {
    for (const name of ['q4_0', 'iq4_nl', 'mlx-mxfp4', 'nf4/64/f32', 'bf16'])
      expect(quantizesNatively(findSourceFormat(name) ?? expect.fail(name))).toBe(false);
    const format = findSourceFormat('q4_k') ?? expect.fail('q4_k');
    await expect(quantizeNative(device, format, values, names.length, columns / 3)).rejects.toThrow(
      `quantising [${names.length}, 256] to q4_k: quantize: the values are not those of the matrix`,
    );
  });
});
