// Attention over keys and values as codes: every level of the CPU against plain TypeScript, for few rows and many, heads of any size.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compile } from '../../src/array/compile.ts';
import { kvWrite } from '../../src/array/ops/memory/kv-write.ts';
import { attention } from '../../src/array/ops/nn/attention.ts';
import { State } from '../../src/array/weight.ts';
import { addonPath } from '../../src/device/cpu/addon.ts';
import { openCpuDevice } from '../../src/device/cpu/device.ts';
import type { Device } from '../../src/device/device.ts';
import { openJsDevice } from '../../src/device/js/device.ts';
import { type KvCodes, kvCodes, kvRowSizes } from '../../src/quant/kv-rows.ts';
import { caseTensor } from '../../src/testing/case-data.ts';

const [heads, kvHeads, scale] = [6, 2, 0.2] as const;

interface Case {
  readonly codes: KvCodes;
  readonly headDim: number;
  /** Positions that are written, and rows of them, the last, that attend. */
  readonly length: number;
  readonly rows: number;
  readonly window: number;
  readonly precision: 'fast' | 'exact';
}

/** The cache's bytes and what the rows attend to. */
async function attend(device: Device, c: Case) {
  const { codes, headDim, length, rows, window, precision } = c;
  const shape = [kvHeads, length + 3, kvRowSizes(codes, headDim).bytes];
  const states = ['k', 'v'].map((label) => new State({ device, shape, dtype: 'u8', label }));
  const [keys, values] = states as [State, State];
  const numbers = (n: number, seed: number) => caseTensor({ shape: [n] }, seed).data;
  const size = length * kvHeads * headDim;
  const plan = compile(
    (x) => {
      const written = kvWrite(keys, values, x.k, x.v, x.at, { codes });
      return attention(x.q, written[0], written[1], x.positions, { scale, window, precision, codes });
    },
    {
      device,
      inputs: {
        q: { shape: [rows, heads, headDim], dtype: 'f32' },
        k: { shape: [length, kvHeads, headDim], dtype: 'f32' },
        v: { shape: [length, kvHeads, headDim], dtype: 'f32' },
        at: { shape: [length], dtype: 'i32' },
        positions: { shape: [rows], dtype: 'i32' },
      },
    },
  );
  const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);
  const [y] = await plan.run({
    inputs: {
      q: numbers(rows * heads * headDim, 1),
      k: numbers(size, 2),
      v: numbers(size, 3),
      at: range(0, length),
      positions: range(length - rows, length),
    },
  });
  const found = { y: Float32Array.from((await y?.data()) ?? []), keys: await keys.read() };
  plan.dispose();
  for (const state of states) state.dispose();
  return found;
}

const cases = kvCodes.flatMap((codes): Case[] => [
  { codes, headDim: 64, length: 300, rows: 1, window: 0, precision: 'fast' },
  { codes, headDim: 80, length: 75, rows: 3, window: 20, precision: 'fast' },
  { codes, headDim: 16, length: 90, rows: 41, window: 0, precision: 'fast' },
  { codes, headDim: 48, length: 90, rows: 33, window: 30, precision: 'exact' },
  { codes, headDim: 128, length: 140, rows: 9, window: 0, precision: 'exact' },
]);
const nameOf = ({ codes, headDim, length, rows, precision }: Case): string =>
  `${codes}, ${rows} rows of heads of ${headDim} over ${length} keys, ${precision}`;

const levels = addonPath()
  ? openCpuDevice()
      .info.levels.filter(({ supported }) => supported)
      .map(({ name }) => name)
  : [];
const js = openJsDevice();
const wanted = new Map(cases.map((c) => [nameOf(c), attend(js, c)]));

describe.each(levels)('attention over codes on level %s', (level) => {
  let device: Device;
  beforeAll(() => {
    device = openCpuDevice({ level });
  });
  afterAll(() => device.dispose());
  it.each(cases.map((c) => [nameOf(c), c] as const))('%s', async (name, c) => {
    const want = await (wanted.get(name) as ReturnType<typeof attend>);
    const got = await attend(device, c);
    expect(got.keys).toEqual(want.keys);
    // Scores are of magnitude sqrt(headDim) * scale; where bf16 is allowed, four roundings of 2^-9 change them and three the values.
    const score = Math.sqrt(c.headDim) * scale * 6;
    const bound = c.precision === 'exact' ? 2 ** -15 * score : 2 ** -7 * score;
    const worst = want.y.reduce((max, x, i) => Math.max(max, Math.abs(x - (got.y[i] ?? Number.NaN))), 0);
    expect(worst).toBeLessThan(bound);
  });
});
