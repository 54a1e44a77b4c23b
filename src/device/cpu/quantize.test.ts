// The native quantiser against the plain one: as good on every kind of values, and read back by the same reader.

import { afterAll, describe, expect, it } from 'vitest';
import { affineBits } from '../../quant/layout.ts';
import { dequantizeSource, quantizeReference } from '../../quant/reference.ts';
import { findSourceFormat } from '../../quant/registry.ts';
import { addonPath } from './addon.ts';
import { openCpuDevice } from './device.ts';
import { quantizeNative, quantizesNatively } from './quantize.ts';

const columns = 512;
const rows = 8;
let state = 1;
const random = (): number => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 32;
};
const normal = (): number => Math.sqrt(-2 * Math.log(random() + 1e-9)) * Math.cos(2 * Math.PI * random());

/** Rows of different kinds: normal, large, tiny, with outliers, all of one sign, constant, zero, sparse. */
const kinds: readonly ((i: number) => number)[] = [
  () => 0.02 * normal(),
  () => 3000 * normal(),
  () => 1e-6 * normal(),
  (i) => (i % 97 === 0 ? 8 : 0.01) * normal(),
  () => -0.5 - random(),
  () => 0.125,
  () => 0,
  (i) => (i % 7 === 0 ? normal() : 0),
];
const outliers = 3;
const values = Float32Array.from({ length: rows * columns }, (_, i) =>
  (kinds[Math.floor(i / columns)] ?? kinds[0])!(i),
);

/** Square of the values of a group of 16. */
const mean = (i: number): number =>
  values.subarray(i - (i % 16), i - (i % 16) + 16).reduce((sum, x) => sum + x * x, 1e-24) / 16;

const names = [
  'q2_k',
  'q3_k',
  'q4_k',
  'q5_k',
  'q6_k',
  ...affineBits.map((bits) => `mlx${bits}/${bits > 4 ? 32 : 64}/bf16`),
  'mlx4/128/f16',
  'mlx3/32/f32',
];

describe.skipIf(addonPath() === undefined)('native quantising', () => {
  const device = openCpuDevice();
  afterAll(() => device.dispose());

  it.each(names)('to %s is as good as the plain one', async (name) => {
    const format = findSourceFormat(name) ?? expect.fail(name);
    expect(quantizesNatively(format)).toBe(true);
    const [plain, native] = [
      quantizeReference(format, values, rows, columns),
      await quantizeNative(device, format, values, rows, columns),
    ].map((parts) => dequantizeSource(format, parts, rows, columns));
    for (let row = 0; row < rows; row++) {
      let [want, got, power] = [0, 0, 0];
      for (let i = row * columns; i < (row + 1) * columns; i++) {
        const x = values[i]!;
        // What the searches minimise, about: but for Q2_K squares count more where values are large.
        const weight = name === 'q3_k' ? x ** 2 + mean(i) : /^q[4-6]/.test(name) ? Math.abs(x) + 1e-12 : 1;
        want += weight * (x - plain![i]!) ** 2;
        got += weight * (x - native![i]!) ** 2;
        power += weight * x * x;
      }
      // One step of a scale is taken for another now and then: 2 % of an error that is itself small. Where a few values outweigh all others,
      // several scales give them exactly, and what the others lose depends on where the search begins.
      const slack = row === outliers ? 1.2 : 1.02;
      expect(got, `row ${row}`).toBeLessThanOrEqual(slack * want + 1e-9 * power);
    }
  });

  it('leaves other formats to the plain one, and refuses what does not fit', async () => {
    for (const name of ['q4_0', 'iq4_nl', 'mlx-mxfp4', 'nf4/64/f32', 'bf16'])
      expect(quantizesNatively(findSourceFormat(name) ?? expect.fail(name))).toBe(false);
    const format = findSourceFormat('q4_k') ?? expect.fail('q4_k');
    await expect(quantizeNative(device, format, values, rows, columns / 2)).rejects.toThrow(
      'quantising [8, 256] to q4_k: quantize: the values are not those of the matrix',
    );
  });
});
