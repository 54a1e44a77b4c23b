// Every way that attention can be computed on a GPU (a software one will do) against its definition: layouts of single rows,
// tiles with loops in place of subgroup matrices, pages, rings, windows, sinks, soft caps.

import { afterAll, describe, expect, it } from 'vitest';
import { openNodeGpu } from '../../src/device/webgpu/node.ts';
import { attentionKernel } from '../../src/kernel/wgsl/attention/index.ts';
import { attentionShape } from '../../src/kernel/wgsl/attention/shape.ts';
import { tilePass } from '../../src/kernel/wgsl/attention/tiles.ts';
import { type GpuCapabilities, type GpuKernelPlan, KernelRequest } from '../../src/kernel/wgsl/contract.ts';
import { f16ToF32, f32ToF16 } from '../../src/quant/half.ts';
import { type KvCodes, kvCodes, kvRowSizes, readKvRow, writeKvRow } from '../../src/quant/kv-rows.ts';
import { expectAllClose } from '../../src/testing/allclose.ts';
import { randomNumbers } from '../../src/testing/case-data.ts';
import { runPlan } from './run-plan.ts';

const device = await openNodeGpu({ software: true }).catch((error: Error) => error.message);

interface Case {
  readonly positions: readonly number[];
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly cap: number;
  readonly f16: boolean;
  /** Rows as codes, in place of floats. */
  readonly codes?: KvCodes;
  readonly window?: number;
  readonly softcap?: number;
  readonly ring?: number;
  readonly sinks?: boolean;
  /** Scores that differ by more than tiles let a maximum lag behind. */
  readonly loud?: boolean;
  /** Sequence of each row: the cache has pages, which are dealt out in a shuffled order. */
  readonly sequences?: readonly number[];
}

const scale = 0.17;

interface Data {
  /** As codes. */
  readonly coded?: readonly Uint8Array[];
  readonly q: Float32Array;
  readonly caches: readonly Float32Array[];
  readonly sinks: Float32Array;
  readonly pages: Int32Array;
  readonly maxPages: number;
  readonly sequenceCount: number;
}

function makeData(c: Case): Data {
  const uniform = randomNumbers(c.cap + c.headDim);
  const normal = (n: number): Float32Array =>
    Float32Array.from(
      { length: n },
      () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(6.2831853 * uniform()),
    );
  const round = (x: Float32Array): Float32Array => {
    const { codes } = c;
    if (codes === undefined) return c.f16 ? x.map((v) => f16ToF32(f32ToF16(v))) : x;
    const bytes = codedRows(c, codes, x);
    const row = kvRowSizes(codes, c.headDim).bytes;
    const out = new Float32Array(x.length);
    for (let i = 0; i < x.length / c.headDim; i++)
      out.set(readKvRow(codes, bytes, c.headDim, i * row), i * c.headDim);
    return out;
  };
  const sequenceCount = Math.max(0, ...(c.sequences ?? [])) + 1;
  const maxPages = Math.ceil((Math.max(...c.positions) + 1) / 32) + 1;
  const free = Array.from({ length: c.cap / 32 }, (_, i) => i).sort(() => uniform() - 0.5);
  const pages = new Int32Array(sequenceCount * maxPages).fill(-1);
  c.sequences?.forEach((sequence, row) => {
    for (let p = 0; p <= (c.positions[row] as number) >> 5; p++) {
      if (pages[sequence * maxPages + p] === -1) pages[sequence * maxPages + p] = free.pop() ?? -1;
    }
  });
  const size = c.kvHeads * c.cap * c.headDim;
  const q = normal(c.positions.length * c.heads * c.headDim).map((x) => (c.loud ? 20 * x : x));
  const numbers = [normal(size), normal(size)];
  return {
    q,
    caches: numbers.map(round),
    ...(c.codes === undefined ? {} : { coded: numbers.map((x) => codedRows(c, c.codes as KvCodes, x)) }),
    sinks: normal(c.heads),
    pages,
    maxPages,
    sequenceCount,
  };
}

function codedRows({ headDim }: Case, codes: KvCodes, x: Float32Array): Uint8Array {
  const { bytes } = kvRowSizes(codes, headDim);
  const out = new Uint8Array((x.length / headDim) * bytes);
  for (let i = 0; i < x.length / headDim; i++)
    writeKvRow(codes, x.subarray(i * headDim, (i + 1) * headDim), out, i * bytes);
  return out;
}

function slotOf(c: Case, d: Data, row: number, key: number): number {
  const sequence = c.sequences?.[row];
  if (sequence !== undefined)
    return (d.pages[sequence * d.maxPages + (key >> 5)] as number) * 32 + (key & 31);
  return c.ring ? key % c.ring : key;
}

function reference(c: Case, d: Data): Float64Array {
  const out = new Float64Array(d.q.length);
  const [k, v] = d.caches as readonly [Float32Array, Float32Array];
  c.positions.forEach((position, row) => {
    for (let h = 0; h < c.heads; h++) {
      const base = Math.floor((h * c.kvHeads) / c.heads) * c.cap;
      const at = (row * c.heads + h) * c.headDim;
      const slots: number[] = [];
      for (let key = c.window ? Math.max(0, position - c.window + 1) : 0; key <= position; key++)
        slots.push((base + slotOf(c, d, row, key)) * c.headDim);
      const scores = slots.map((slot) => {
        let dot = 0;
        for (let i = 0; i < c.headDim; i++) dot += (d.q[at + i] as number) * (k[slot + i] as number);
        return c.softcap ? c.softcap * Math.tanh((dot * scale) / c.softcap) : dot * scale;
      });
      const sink = c.sinks ? (d.sinks[h] as number) : Number.NEGATIVE_INFINITY;
      const most = Math.max(sink, ...scores);
      const weights = scores.map((s) => Math.exp(s - most));
      const sum = weights.reduce((a, b) => a + b, Math.exp(sink - most));
      for (let i = 0; i < c.headDim; i++) {
        out[at + i] =
          slots.reduce((a, slot, j) => a + (weights[j] as number) * (v[slot + i] as number), 0) / sum;
      }
    }
  });
  return out;
}

const bytesOf = (x: ArrayBufferView): Uint8Array => new Uint8Array(x.buffer, x.byteOffset, x.byteLength);

function buffersOf(c: Case, d: Data): readonly Uint8Array[] {
  const cache = d.coded ?? d.caches.map((x) => bytesOf(c.f16 ? Uint16Array.from(x, f32ToF16) : x));
  const paged = c.sequences
    ? [bytesOf(Int32Array.from(c.sequences)), bytesOf(d.pages)]
    : [new Uint8Array(0), new Uint8Array(0)];
  return [
    bytesOf(d.q),
    ...cache,
    bytesOf(Int32Array.from(c.positions)),
    c.sinks ? bytesOf(d.sinks) : new Uint8Array(0),
    new Uint8Array(d.q.byteLength),
    ...paged,
  ];
}

const paramsOf = (c: Case, d: Data): readonly number[] => [
  c.positions.length,
  c.heads,
  c.kvHeads,
  c.headDim,
  c.cap,
  c.codes === undefined ? (c.f16 ? 1 : 0) : 2 + kvCodes.indexOf(c.codes),
  scale,
  c.window ?? 0,
  c.softcap ?? 0,
  c.ring ?? 0,
  ...(c.sequences ? [d.sequenceCount, d.maxPages] : [0, 0]),
  0,
];

/** Score errors are relative errors of weights; a sum of n weights and products has a few roundings per level of its tree. */
function check(c: Case, d: Data, got: Uint8Array): void {
  const most = (x: Float32Array): number => x.reduce((a, v) => Math.max(a, Math.abs(v)), 0);
  const [k, v] = d.caches as readonly [Float32Array, Float32Array];
  const scores = c.headDim * 2 ** -23 * most(d.q) * most(k) * scale;
  const tolerance = { absolute: (2 * scores + 64 * 2 ** -23) * most(v), relative: 0 };
  expectAllClose(new Float32Array(got.slice().buffer), reference(c, d), tolerance, 'attention');
}

type Planner = (request: KernelRequest<'attention'>) => GpuKernelPlan;

async function run(
  gpu: GPUDevice,
  caps: GpuCapabilities,
  c: Case,
  plan: Planner,
  layout?: string,
  d: Data = makeData(c),
): Promise<Uint8Array> {
  const buffers = buffersOf(c, d);
  const params = paramsOf(c, d);
  const request = new KernelRequest({
    name: 'attention',
    params,
    bytes: buffers.map((b) => b.byteLength),
    caps,
    scalars: [],
    choose: (_, candidates) => (layout && candidates.includes(layout) ? layout : (candidates[0] ?? '')),
  });
  const results = await runPlan(gpu, plan(request), params, buffers);
  const y = results[5] as Uint8Array;
  check(c, d, y);
  return y;
}

/** As a test: the check of `run` is all. */
const passes = async (...args: Parameters<typeof run>): Promise<void> => {
  await run(...args);
};

const kernelPlan: Planner = (request) => attentionKernel.plan(request);
const tilePlan =
  (subgroups: number, keys: number): Planner =>
  (request) => {
    const shape = attentionShape(request);
    const filter = shape.slots.paged ? 'grouped' : 'all';
    return { variants: [{ passes: [tilePass(shape, { subgroups, keys, plain: true }, filter)] }] };
  };

const some = { heads: 4, kvHeads: 2, headDim: 64, cap: 96, f16: true } as const;
const range = (n: number, first = 0): number[] => Array.from({ length: n }, (_, i) => first + i);

describe.skipIf(typeof device === 'string')(
  `attention on a GPU${typeof device === 'string' ? `: ${device}` : ''}`,
  () => {
    if (typeof device === 'string') return;
    const { gpu, caps } = device;
    const baseline: GpuCapabilities = {
      ...caps,
      subgroups: undefined,
      maxWorkgroupBytes: 16384,
      maxStorageBuffers: 8,
    };
    afterAll(() => device.dispose());

    const rowCases: Readonly<Record<string, Case>> = {
      'one row over splits': { ...some, positions: [90] },
      'window over splits': { ...some, positions: [95, 70, 3], window: 40 },
      'sinks and soft cap': { ...some, positions: [80, 2], sinks: true, softcap: 3 },
      'f32, seven heads for one': { ...some, heads: 7, kvHeads: 1, f16: false, positions: [66] },
      'odd head of 22': { ...some, headDim: 22, positions: [40, 41] },
      'head of 33 in f32': { ...some, headDim: 33, f16: false, positions: [40] },
      'head of 256, eleven heads': { ...some, heads: 11, kvHeads: 1, headDim: 256, positions: [70] },
      ring: { ...some, positions: [130, 131], window: 60, ring: 70 },
      'more rows than splits take': { ...some, positions: range(10, 50) },
      pages: { ...some, cap: 320, positions: [70, 33, 40, 41, 5], sequences: [2, 0, 1, 1, 3] },
      'pages with sinks': { ...some, cap: 224, positions: [70, 71, 40], sequences: [1, 1, 0], sinks: true },
    };
    const codedCases: Readonly<Record<string, Case>> = {
      q8: { ...some, positions: [90], codes: 'q8' },
      'q4, pages': { ...some, cap: 320, positions: [70, 33, 40], sequences: [2, 0, 1], codes: 'q4' },
      'q8, heads of 80': { ...some, headDim: 80, positions: [60, 61, 7], codes: 'q8' },
      'turbo4, a window': { ...some, positions: [80], window: 30, codes: 'turbo4' },
      'turbo3, heads of 48': { ...some, headDim: 48, positions: [60], codes: 'turbo3' },
      'turbo2, heads of 16': { ...some, headDim: 16, positions: [90, 50], codes: 'turbo2' },
    };
    it.each(Object.keys(codedCases))('rows as codes: %s', (name) =>
      passes(gpu, caps, codedCases[name] as Case, kernelPlan),
    );
    it('rows as codes without subgroups', () => passes(gpu, baseline, codedCases.q8 as Case, kernelPlan));

    const names = Object.keys(rowCases);
    it.each(names)('%s', (name) => passes(gpu, caps, rowCases[name] as Case, kernelPlan));
    it.each(['one row over splits', 'odd head of 22', 'head of 256, eleven heads', 'pages with sinks'])(
      '%s, without subgroups and more than the least memory',
      (name) => passes(gpu, baseline, rowCases[name] as Case, kernelPlan),
    );
    it.each([
      '128x64x32x4',
      '128x128x32x4',
      '128x64x64x4',
      '256x64x32x2',
      '64x64x64x4',
      '128x128x16x4',
      '128x64x32x2',
    ])('layout %s', (layout) =>
      passes(gpu, caps, { ...some, cap: 512, positions: [400, 130] }, kernelPlan, layout),
    );

    it('a row gives the same bits alone and in any batch', async () => {
      const all: Case = { ...some, headDim: 16, cap: 256, positions: [77, 20, 21], sequences: [0, 1, 1] };
      const data = makeData(all);
      const perRow = all.heads * all.headDim;
      const bits = async (rows: readonly number[]): Promise<readonly Uint8Array[]> => {
        const of = (list: readonly number[] = []): number[] => rows.map((r) => list[r] as number);
        const c: Case = { ...all, positions: of(all.positions), sequences: of(all.sequences) };
        const q = new Float32Array(rows.length * perRow);
        rows.forEach((r, i) => {
          q.set(data.q.subarray(r * perRow, (r + 1) * perRow), i * perRow);
        });
        const y = await run(gpu, caps, c, kernelPlan, undefined, { ...data, q });
        return rows.map((_, i) => y.slice(4 * i * perRow, 4 * (i + 1) * perRow));
      };
      const [alone] = await bits([0]);
      const [a, b, last] = await bits([1, 2, 0]);
      expect(last).toEqual(alone);
      expect(await bits([1, 2])).toEqual([a, b]);
    });

    // Loops in place of matrices are slow on a software GPU: heads are small here.
    const small = { ...some, headDim: 16 } as const;
    const tileCases: Readonly<Record<string, Case>> = {
      'tokens over several tiles': { ...small, positions: range(40, 20) },
      'three heads for one, head of 32': {
        ...small,
        heads: 3,
        kvHeads: 1,
        headDim: 32,
        positions: range(9, 60),
      },
      'window, sinks, soft cap': { ...small, positions: range(20, 70), window: 30, sinks: true, softcap: 4 },
      'maxima that grow': { ...small, positions: range(9, 80), loud: true },
      ring: { ...small, positions: range(12, 100), window: 50, ring: 80 },
      'positions in any order': { ...small, positions: [5, 90, 40, 41, 1, 95, 0, 33, 64] },
      'pages of several sequences': {
        ...small,
        cap: 384,
        positions: [70, 30, 31, 32, 33, 9, 60, 61],
        sequences: [0, 1, 1, 1, 1, 2, 3, 3],
      },
    };
    const tileNames = Object.keys(tileCases).filter((n) => n !== 'pages of several sequences');
    it.each(tileNames)('tiles: %s', (name) => passes(gpu, caps, tileCases[name] as Case, tilePlan(2, 32)));
    it.each([
      [4, 32],
      [2, 64],
    ])('tiles of %i subgroups and %i keys', (subgroups, keys) =>
      passes(gpu, caps, tileCases['window, sinks, soft cap'] as Case, tilePlan(subgroups, keys)),
    );
    it('tiles: rows of several sequences, each its own', async () => {
      const c = tileCases['pages of several sequences'] as Case;
      const whole: Planner = (request) => {
        const shape = attentionShape(request);
        const [, many] = attentionKernel.plan(request).variants;
        const rowPasses = (many?.passes ?? []).slice(0, -1);
        const tiles = tilePass(shape, { subgroups: 1, keys: 32, plain: true }, 'grouped');
        return {
          variants: [{ passes: [...rowPasses, tiles] }],
          scratch: attentionKernel.plan(request).scratch ?? [],
        };
      };
      await passes(gpu, caps, c, whole);
    });
  },
);
