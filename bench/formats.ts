// Products with weights of every layout that files are read into: one row against the bandwidth, many rows against Q4_0's rate, each
// beside what it is compared with, turn by turn.

import type { NDArray } from '../src/array/array.ts';
import { compile } from '../src/array/compile.ts';
import { linear } from '../src/array/ops/linear/linear.ts';
import type { Plan } from '../src/array/plan.ts';
import { Weight } from '../src/array/weight.ts';
import { significant } from '../src/base/statistics.ts';
import { formatTable } from '../src/cli/table.ts';
import type { CpuDevice } from '../src/device/cpu/device.ts';
import { openBandwidthProbe } from '../src/device/cpu/doctor.ts';
import {
  formatLayout,
  layoutOf,
  panelBytes,
  panelRows,
  quantizedSpec,
  sameLayout,
  type WeightLayout,
} from '../src/quant/layout.ts';
import { sourceFormats } from '../src/quant/registry.ts';
import { randomNumbers } from '../src/testing/case-data.ts';
import { randomPacked } from '../src/testing/random-packed.ts';

/** What one layout reached. Shares of what was measured in the same turns. */
export interface FormatRow {
  readonly layout: string;
  /** Formats of files that become this layout. */
  readonly formats: readonly string[];
  /** Packed bits per weight. */
  readonly bits: number;
  readonly oneRow: Reached & { readonly GBs: number };
  readonly manyRows: Reached & { readonly GOPS: number };
}

export interface Reached {
  readonly share: number;
  readonly bar: number;
  readonly reached: boolean;
}

const K = 4096;
const matrixBytes = 64 << 20;
/** Matrices that one row goes through in turn: caches of 32 MB keep much of a single one. */
const matrices = 4;
const many = { rows: 256, N: 2048 } as const;

/** A layout and the formats that are packed into it. */
interface Entry {
  readonly layout: WeightLayout;
  readonly formats: string[];
}

/** Every layout once, with the scales that files have: bf16 for MLX's, f16 also for GPTQ and AWQ, f32 for FP8 in blocks. */
function entries(): readonly Entry[] {
  const found: Entry[] = [];
  for (const { name, layout } of sourceFormats) {
    const { metaDtype, group } = layout;
    const spec = quantizedSpec(layout.kind);
    const many = (spec?.scales?.length ?? 1) > 1;
    const gptq = layout.kind === 'q4a' && group === 128 && metaDtype === 'f16';
    const block = layout.kind === 'f8' && group === 128 && metaDtype === 'f32';
    const plain = ['q4_1', 'q5_1', 'nvfp4', 'nvfp4/16/f32'].includes(name);
    if (many && !plain && !gptq && !block && metaDtype !== 'bf16') continue;
    const same = found.find((entry) => sameLayout(entry.layout, layout));
    if (same !== undefined) same.formats.push(name);
    else found.push({ layout, formats: [gptq ? 'gptq, awq' : name] });
  }
  return found;
}

const isGrid = (name: string): boolean => name.startsWith('iq');

/** Shares that a layout is to reach: of the bandwidth, and of Q4_0's rate. */
const bars = ({ layout, formats }: Entry): { readonly one: number; readonly many: number } => {
  const bits = quantizedSpec(layout.kind)?.bits ?? 16;
  return { one: bits <= 3 ? 0.7 : 0.8, many: formats.every(isGrid) ? 0.6 : 0.8 };
};

/** A matrix of about `bytes`, the same few panels again and again. */
function matrix(device: CpuDevice, layout: WeightLayout, N: number): Weight {
  const panels = Math.min(8, N / panelRows);
  const piece = randomPacked(layout, panels * panelRows, K, randomNumbers(7));
  const size = (N / panelRows) * panelBytes(layout, K);
  const buffer = device.allocate(size, formatLayout(layout));
  for (let at = 0; at < size; at += piece.length)
    device.write(buffer, at, piece.subarray(0, Math.min(piece.length, size - at)));
  return new Weight({ device, buffer, layout, shape: [N, K] });
}

/** The product of some rows with one matrix or several, ready to run. */
interface Product {
  readonly weights: readonly Weight[];
  readonly plan: Plan;
}

function product(device: CpuDevice, layout: WeightLayout, rows: number, N: number, count = 1): Product {
  const weights = Array.from({ length: count }, () => matrix(device, layout, N));
  const plan = compile(
    ({ x }) => weights.map((weight) => linear(x as NDArray, weight, { precision: 'fast' })),
    { device, inputs: { x: { shape: [rows, K], dtype: 'f32' } }, profile: true },
  );
  const uniform = randomNumbers(3);
  plan.write(
    'x',
    new Float32Array(rows * K).map(() => 2 * uniform() - 1),
  );
  return { weights, plan };
}

function dispose({ weights, plan }: Product): void {
  plan.dispose();
  for (const weight of weights) weight.dispose();
}

async function nanoseconds({ plan }: Product): Promise<number> {
  await plan.run();
  return plan.profile().reduce((sum, { ns }) => sum + ns, 0);
}

/** The best of `runs` turns of both, after one that does not count. */
async function inTurns(
  runs: number,
  first: () => Promise<number>,
  second: () => Promise<number>,
): Promise<readonly [number, number]> {
  let [a, b] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  for (let run = 0; run <= runs; run++) {
    const [x, y] = [await first(), await second()];
    if (run > 0) [a, b] = [Math.min(a, x), Math.min(b, y)];
  }
  return [a, b];
}

export interface FormatOptions {
  /** Only layouts of these kinds, or those that formats of these names become; none: all. */
  readonly only: readonly string[];
  readonly runs: number;
  readonly onRow?: (row: FormatRow) => void;
}

/** Rows of all layouts. Matrices of 64 MB are read by one row, one of 2048 x 4096 is multiplied by 256. */
export async function benchFormats(device: CpuDevice, options: FormatOptions): Promise<readonly FormatRow[]> {
  const { only, runs, onRow } = options;
  const wanted = entries().filter(
    ({ layout, formats }) =>
      only.length === 0 || only.includes(layout.kind) || formats.some((name) => only.includes(name)),
  );
  using probe = openBandwidthProbe(device, matrices * matrixBytes);
  const yardstick = product(device, layoutOf('q4'), many.rows, many.N);
  const rows: FormatRow[] = [];
  for (const entry of wanted) {
    const { layout, formats } = entry;
    const bar = bars(entry);
    const panel = panelBytes(layout, K);
    const N = Math.round(matrixBytes / panel) * panelRows;
    const one = product(device, layout, 1, N, matrices);
    const [perByte, oneNs] = await inTurns(
      runs,
      async () => 1 / (await probe.read()),
      () => nanoseconds(one),
    );
    dispose(one);
    const some = product(device, layout, many.rows, many.N);
    const [q4Ns, manyNs] = await inTurns(
      runs,
      () => nanoseconds(yardstick),
      () => nanoseconds(some),
    );
    dispose(some);
    const GBs = (matrices * (N / panelRows) * panel) / oneNs;
    const share = { one: GBs * perByte, many: q4Ns / manyNs };
    const row: FormatRow = {
      layout: formatLayout(layout),
      formats,
      bits: significant((8 * panel) / (panelRows * K), 3),
      oneRow: {
        GBs: significant(GBs, 3),
        share: significant(share.one, 3),
        bar: bar.one,
        reached: share.one >= bar.one,
      },
      manyRows: {
        GOPS: significant((2 * many.rows * many.N * K) / manyNs, 3),
        share: significant(share.many, 3),
        bar: bar.many,
        reached: share.many >= bar.many,
      },
    };
    rows.push(row);
    onRow?.(row);
  }
  dispose(yardstick);
  return rows;
}

const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;
const reachedText = ({ share, bar, reached }: Reached): readonly string[] => [
  percent(share),
  `${reached ? 'yes' : 'no'} (${percent(bar)})`,
];

/** Aligned rows for people. */
export const formatsTable = (rows: readonly FormatRow[]): string =>
  formatTable(
    [
      ['layout', 'formats', 'bits', '1 row GB/s', 'of read', 'bar', '256 rows GOPS', 'of Q4_0', 'bar'],
      ...rows.map(({ layout, formats, bits, oneRow, manyRows }) => [
        layout,
        formats.join(', '),
        `${bits}`,
        oneRow.GBs.toFixed(1),
        ...reachedText(oneRow),
        manyRows.GOPS.toFixed(0),
        ...reachedText(manyRows),
      ]),
    ],
    [2, 3, 4, 6, 7],
  );
