// Array kernels on WebGPU against plain loops: reductions, strided copies, gather, scatter_add and sorting, over odd shapes,
// every dtype, sizes that vary, and the ways that only large arrays take.

import { afterAll, describe, expect, it } from 'vitest';
import type { NDArray } from '../../src/array/array.ts';
import { fromData } from '../../src/array/creation.ts';
import { sort } from '../../src/array/ops/indexing/sort.ts';
import { typedView } from '../../src/array/ops/operands.ts';
import { bytesPerElement, type DType, type TypedArray } from '../../src/base/dtype.ts';
import { openNodeGpu } from '../../src/device/webgpu/node.ts';
import { input, unary } from '../../src/kernel/expr.ts';
import type { Param } from '../../src/kernel/signature.ts';
import { codeOf, type ReductionKind } from '../../src/kernel/signature.ts';
import { kernelCodes } from '../../src/kernel/signatures.ts';
import { buildTileProgram } from '../../src/kernel/tile-program.ts';
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from '../../src/quant/half.ts';
import { expectAllClose } from '../../src/testing/allclose.ts';
import { randomNumbers } from '../../src/testing/case-data.ts';
import { encodeTileProgram } from '../../src/testing/tile-params.ts';
import { bytesOf, runDispatch } from './dispatch.ts';

const device = await openNodeGpu({ software: true });
afterAll(() => device.dispose());

const uniform = randomNumbers(11);
const random = (n: number): number => Math.floor(uniform() * n);
const exact = { absolute: 0, relative: 0 };

const encode = (dtype: DType, values: readonly number[]): Uint8Array => {
  const view = typedView(dtype, new Uint8Array(values.length * bytesPerElement(dtype)));
  const store = dtype === 'f16' ? f32ToF16 : dtype === 'bf16' ? f32ToBf16 : (x: number): number => x;
  values.forEach((x, i) => {
    view[i] = store(x);
  });
  return bytesOf(view);
};
const decode = (dtype: DType, bytes: Uint8Array): number[] =>
  Array.from(typedView(dtype, bytes), (x) =>
    dtype === 'f16' ? f16ToF32(x) : dtype === 'bf16' ? bf16ToF32(x) : x,
  );

/** Sizes as params: those in `vary` as plan scalars. */
const sizes = (values: Readonly<Record<string, number>>, vary: readonly string[]): Record<string, Param> =>
  Object.fromEntries(
    Object.entries(values).map(([name, v]) => [
      name,
      vary.includes(name) ? { scalar: name, mul: 1, add: 0 } : v,
    ]),
  );

describe('reduce', () => {
  const better = (kind: ReductionKind, a: number, b: number): boolean =>
    Number.isNaN(b) ? false : Number.isNaN(a) || (kind === 'argmax' ? a > b : a < b);

  function fold(kind: ReductionKind, dtype: DType, values: readonly number[]): number {
    const integers = dtype === 'i32' || dtype === 'u32';
    switch (kind) {
      case 'sum':
        return values.reduce((a, b) => (integers ? (a + b) | 0 : a + b), 0);
      case 'mean':
        return values.reduce((a, b) => a + b, 0) / values.length;
      case 'prod':
        return values.reduce((a, b) => (integers ? Math.imul(a, b) : a * b), 1);
      case 'max':
        return values.reduce((a, b) => Math.max(a, b));
      case 'min':
        return values.reduce((a, b) => Math.min(a, b));
      case 'any':
        return values.some((x) => x !== 0) ? 1 : 0;
      case 'all':
        return values.every((x) => x !== 0) ? 1 : 0;
      default:
        return values.reduce((best, x, i) => (better(kind, x, values[best] as number) ? i : best), 0);
    }
  }

  async function check(
    kind: ReductionKind,
    dtype: DType,
    [outer, D, inner]: readonly [number, number, number],
    options: { vary?: readonly string[]; values?: (i: number) => number; spare?: number } = {},
  ): Promise<void> {
    const { vary = [], values: make, spare = 0 } = options;
    const plain = (): number => (dtype === 'f32' ? uniform() * 2 - 1 : random(dtype === 'bool' ? 2 : 5));
    const values = Array.from({ length: outer * D * inner }, (_, i) => (make ?? plain)(i));
    const x = encode(dtype, values);
    const stored = decode(dtype, x);
    const to =
      kind === 'argmax' || kind === 'argmin' ? 'i32' : kind === 'any' || kind === 'all' ? 'bool' : dtype;
    const scale = (outer + (vary.includes('outer') ? spare : 0)) / outer;
    const y = new Uint8Array(outer * inner * scale * bytesPerElement(to)).fill(0x55);
    const capacity = new Uint8Array(x.length * scale);
    capacity.set(x);
    const p = sizes({ outer, D, inner }, vary);
    const [, got] = await runDispatch(device, {
      kernel: 'reduce',
      buffers: [capacity, y],
      params: [p.outer ?? 0, p.D ?? 0, p.inner ?? 0, codeOf('reduction', kind), codeOf('dtype', dtype)],
      scalars: { outer, D, inner },
    });
    const want = Array.from({ length: outer * inner }, (_, line) => {
      const [o, i] = [Math.floor(line / inner), line % inner];
      return fold(
        kind,
        dtype,
        Array.from({ length: D }, (__, d) => stored[(o * D + d) * inner + i] as number),
      );
    });
    const bound =
      to === 'f32' || to === 'f16' || to === 'bf16'
        ? { absolute: D * 2 ** -22, relative: D * 2 ** -24 + 2 ** -8 * (to === 'f32' ? 0 : 1) }
        : exact;
    const results = decode(to, got as Uint8Array).slice(0, want.length);
    const wrapped = to === 'u32' ? want.map((w) => w >>> 0) : want;
    expectAllClose(results, wrapped, bound, `${kind} ${dtype} [${outer}, ${D}, ${inner}]`);
    const written = Math.ceil((want.length * bytesPerElement(to)) / 1);
    expect([...(got as Uint8Array).slice(written)].every((b) => b === 0x55)).toBe(true);
  }

  it.each(kernelCodes.reduction)('%s over rows, columns and the middle', async (kind) => {
    const shapes = [
      [3, 64, 1],
      [2, 9, 5],
      [5, 7, 1],
      [1, 300, 1],
      [1, 33, 70],
    ] as const;
    const own = ['sum', 'mean', 'argmax', 'any'].includes(kind); // the others differ from these in one expression
    for (const shape of shapes.slice(0, own ? 5 : 2)) await check(kind, 'f32', shape);
  });
  it.each(kernelCodes.reduction)('%s of every dtype it takes', async (kind) => {
    const bytes: readonly DType[] = ['any', 'all', 'argmax', 'argmin'].includes(kind)
      ? ['i8', 'u8', 'bool']
      : [];
    const integers: readonly DType[] = kind === 'mean' ? [] : ['i32', 'u32', ...bytes];
    for (const dtype of [...integers, 'f16', 'bf16'] as const) await check(kind, dtype, [5, 12, 1]);
    await check(kind, 'f16', [3, 11, 3]);
  });
  it.each(['sum', 'argmax', 'max', 'all'] as const)(
    '%s of few long lines, which workgroups share',
    async (kind) => {
      await check(kind, 'f32', [1, 30000, 1]);
      await check(kind, 'f32', [3, 9001, 1]);
      await check(kind, 'f32', [2, 4099, 3]);
      await check(kind, 'f16', [1, 20001, 1]);
    },
  );
  it('counts whose sizes vary', async () => {
    for (const vary of ['outer', 'D', 'inner']) {
      await check('sum', 'f32', [6, 40, 1], { vary: [vary], spare: 3 });
      await check('any', 'bool', [7, 5, 3], { vary: [vary], spare: 2 });
    }
  });
  it('NaN wins among numbers, the first of equals among places', async () => {
    const values = (i: number): number => (i === 700 || i === 90 ? Number.NaN : i % 50);
    for (const kind of ['max', 'min', 'argmax', 'argmin'] as const) {
      await check(kind, 'f32', [2, 500, 1], { values });
      await check(kind, 'f32', [1, 12000, 1], { values });
      await check(kind, 'f32', [1, 12000, 1], { values: () => 2 });
    }
  });
  it('infinities', async () => {
    const values = (i: number): number => (i % 2 === 0 ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY);
    for (const kind of ['max', 'min', 'argmax'] as const) await check(kind, 'f32', [3, 31, 1], { values });
    await check('argmax', 'f32', [2, 9, 1], { values: () => Number.NEGATIVE_INFINITY });
  });
});

describe('copy', () => {
  interface Axis {
    readonly size: number;
    readonly from: number;
    readonly to: number;
  }
  async function check(bytes: 1 | 2 | 4, axes: readonly Axis[], fromOffset = 0, toOffset = 0, vary = false) {
    const reach = (key: 'from' | 'to', sign: 1 | -1): number =>
      axes.reduce((n, a) => n + Math.max(0, sign * a[key] * (a.size - 1)), 0);
    const source = fromOffset + reach('from', -1);
    const x = Uint8Array.from({ length: (source + reach('from', 1) + 1) * bytes }, () => random(256));
    const y = Uint8Array.from({ length: (toOffset + reach('to', 1) + 3) * bytes }, () => random(256));
    const want = y.slice();
    const walk = (axis: number, s: number, d: number): void => {
      const a = axes[axis];
      if (a === undefined) want.set(x.slice(s * bytes, (s + 1) * bytes), d * bytes);
      else for (let i = 0; i < a.size; i++) walk(axis + 1, s + i * a.from, d + i * a.to);
    };
    walk(0, source, toOffset);
    const outer = (n: number, i: number): Param => (vary && i === 0 ? { scalar: 'n', mul: 1, add: 0 } : n);
    const [, got] = await runDispatch(device, {
      kernel: 'copy',
      buffers: [x, y],
      params: [
        axes.length,
        bytes,
        ...axes.map((a, i) => outer(a.size, i)),
        ...axes.map((a) => a.from),
        ...axes.map((a) => a.to),
        source,
        toOffset,
      ],
      scalars: { n: axes[0]?.size ?? 1 },
    });
    expect(Buffer.compare(Buffer.from(got as Uint8Array), Buffer.from(want))).toBe(0);
  }
  const each = [1, 2, 4] as const;

  it.each(each)('runs of %i-byte elements, aligned and not', async (bytes) => {
    await check(bytes, [{ size: 64, from: 1, to: 1 }]);
    await check(bytes, [{ size: 61, from: 1, to: 1 }], 3, 5);
    await check(bytes, [{ size: 61, from: 1, to: 1 }], 8, 4);
    await check(bytes, []);
  });
  it.each(each)('rows of %i-byte elements into wider ones', async (bytes) => {
    await check(
      bytes,
      [
        { size: 5, from: 6, to: 11 },
        { size: 6, from: 1, to: 1 },
      ],
      0,
      5,
    );
    await check(
      bytes,
      [
        { size: 3, from: 8, to: 16 },
        { size: 8, from: 1, to: 1 },
      ],
      0,
      8,
    );
    await check(
      bytes,
      [
        { size: 4, from: 1, to: 3 },
        { size: 3, from: 7, to: 1 },
      ],
      2,
      1,
    );
  });
  it.each(each)('reversed and stepped %i-byte elements', async (bytes) => {
    await check(bytes, [{ size: 9, from: -1, to: 1 }]);
    await check(
      bytes,
      [
        { size: 4, from: -10, to: 5 },
        { size: 5, from: 2, to: 1 },
      ],
      3,
    );
  });
  it.each(each)('transposes of %i-byte elements', async (bytes) => {
    await check(bytes, [
      { size: 40, from: 1, to: 50 },
      { size: 50, from: 40, to: 1 },
    ]);
    await check(bytes, [
      { size: 3, from: 1 * 20 * 33, to: 33 * 20 },
      { size: 33, from: 1, to: 20 },
      { size: 20, from: 33, to: 1 },
    ]);
    await check(bytes, [
      { size: 33, from: 1, to: 60 },
      { size: 3, from: 33 * 20, to: 20 },
      { size: 20, from: 33, to: 1 },
    ]);
  });
  it('an outer size that varies', async () => {
    for (const bytes of each) {
      await check(
        bytes,
        [
          { size: 5, from: 12, to: 20 },
          { size: 12, from: 1, to: 1 },
        ],
        0,
        4,
        true,
      );
      await check(
        bytes,
        [
          { size: 40, from: 1, to: 50 },
          { size: 50, from: 40, to: 1 },
        ],
        0,
        0,
        true,
      );
    }
  });
});

describe('gather', () => {
  const gather = (bytes: number, [outer, D, inner, n]: readonly number[], ids: readonly number[]) => {
    const x = Uint8Array.from({ length: (outer ?? 1) * (D ?? 1) * (inner ?? 1) * bytes }, () => random(256));
    const y = new Uint8Array((outer ?? 1) * (n ?? 1) * (inner ?? 1) * bytes);
    const params = [outer ?? 1, D ?? 1, inner ?? 1, n ?? 1, bytes];
    const run = runDispatch(device, { kernel: 'gather', buffers: [x, encode('i32', ids), y], params });
    return { x, run };
  };
  it.each([1, 2, 4])('rows of %i-byte elements', async (bytes) => {
    for (const shape of [
      [1, 5, 8, 3],
      [2, 7, 3, 4],
      [3, 4, 1, 5],
      [1, 6, 16, 2],
    ] as const) {
      const [outer, D, inner, n] = shape;
      const ids = Array.from({ length: n }, () => random(D));
      const { x, run } = gather(bytes, shape, ids);
      const row = inner * bytes;
      const want = Array.from({ length: outer }, (_, o) =>
        ids.flatMap((id) => [...x.slice((o * D + id) * row, (o * D + id + 1) * row)]),
      );
      expect([...((await run)[2] as Uint8Array)]).toEqual(want.flat());
    }
  });
  it.each([-6, 5])('index %i of 5 fails the run', async (id) => {
    await expect(gather(4, [1, 5, 4, 3], [0, id, 2]).run).rejects.toMatchObject({
      code: 'device_failed',
      message: expect.stringContaining(`(${id})`),
    });
  });
});

describe('scatter_add', () => {
  const scatter = (ids: readonly number[], inner: number, D: number, dtype: 'f32' | 'i32' = 'f32') => {
    const updates = Array.from({ length: ids.length * inner }, () =>
      dtype === 'f32' ? uniform() - 0.5 : random(100),
    );
    const table = new Float32Array(D * inner);
    ids.forEach((id, i) => {
      for (let k = 0; k < inner; k++) {
        const sum = (table[id * inner + k] as number) + Math.fround(updates[i * inner + k] as number);
        table[id * inner + k] = sum;
      }
    });
    const run = runDispatch(device, {
      kernel: 'scatter_add',
      buffers: [encode(dtype, updates), encode('i32', ids), new Uint8Array(D * inner * 4).fill(7)],
      params: [ids.length, inner, D, codeOf('dtype', dtype)],
    });
    return { table, run };
  };
  it('adds in the order of the indices: bit for bit what a loop gives', async () => {
    for (const [n, inner, D] of [
      [1, 1, 1],
      [30, 5, 4],
      [300, 3, 7],
      [20, 70, 50],
    ] as const) {
      const { table, run } = scatter(
        Array.from({ length: n }, () => random(D)),
        inner,
        D,
      );
      expect([...typedView('f32', (await run)[2] as Uint8Array)]).toEqual([...table]);
    }
    const { table, run } = scatter([2, 2, 0, 2], 3, 4, 'i32');
    expect([...typedView('i32', (await run)[2] as Uint8Array)]).toEqual([...table]);
  });
  it('an index outside the table fails the run', async () => {
    await expect(scatter([0, 9, 1], 2, 4).run).rejects.toMatchObject({ code: 'device_failed' });
  });
});

describe('candidates on a million elements', () => {
  const x = Int32Array.from({ length: (1 << 20) + 3 }, () => random(1000) - 500);
  const program = buildTileProgram(['i32'], [unary('neg', input(0, 'i32'))]);
  const layout = {
    sizes: [x.length],
    count: x.length,
    inputs: [{ dtype: 'i32', strides: [1] }],
    outputs: ['i32'],
  } as const;

  it.each(['1', '2', '4'])('tile of %s fours a thread', async (units) => {
    device.choices.force('tile i32 i32', units);
    const params = encodeTileProgram(program, layout);
    const [, got] = await runDispatch(device, {
      kernel: 'tile',
      buffers: [bytesOf(x), new Uint8Array(4 * x.length)],
      params,
    });
    expect(typedView('i32', got as Uint8Array).every((v, i) => v === -(x[i] as number))).toBe(true);
    expect(device.choices.asked.get('tile i32 i32')).toContain(units);
  });
  it.each([
    [1, 1 << 20, 1, ['256', '128', '64']],
    [1, 1024, 1024, ['8', '4', '16', '2']],
    [1 << 14, 64, 1, ['4', '2', '8', '1']],
  ] as const)('reduce of [%i, %i, %i] by threads per line', async (outer, D, inner, candidates) => {
    const want = new Int32Array(outer * inner);
    for (let i = 0; i < outer * D * inner; i++) {
      const line = Math.floor(i / (D * inner)) * inner + (i % inner);
      want[line] = (want[line] as number) + (x[i] as number);
    }
    const key = `reduce ${inner === 1 ? 'rows' : 'columns'} ${outer * inner}x${D}`;
    for (const candidate of candidates) {
      device.choices.force(key, candidate);
      const [, got] = await runDispatch(device, {
        kernel: 'reduce',
        buffers: [bytesOf(x.subarray(0, outer * D * inner)), new Uint8Array(want.byteLength)],
        params: [outer, D, inner, 0, codeOf('dtype', 'i32')],
      });
      expect(typedView('i32', got as Uint8Array)).toEqual(want);
    }
    expect(device.choices.asked.get(key)).toEqual(candidates);
  });
});

describe('empty arrays', () => {
  const empty = (shape: readonly number[]): NDArray => fromData(new Float32Array(0), shape, { device });
  it.each<readonly [string, () => NDArray, readonly number[]]>([
    ['elementwise', () => empty([0, 3]).add(1), []],
    ['reduced along the others', () => empty([0, 3]).sum([1]), []],
    ['transposed', () => empty([0, 3]).transpose(), []],
    ['sorted', () => sort(empty([0, 3])), []],
    ['of nothing', () => fromData(Float32Array.of(1, 2), [2], { device }).take(ids(), 0), []],
    ['added up', () => empty([0, 3]).sum([0]), [0, 0, 0]],
  ])('%s', async (_, make, want) => {
    const result = make();
    expect([...(await result.data())]).toEqual(want);
    result.dispose();
  });
  const ids = (): NDArray => fromData(new Int32Array(0), [0], { device });
  it('have no largest element', () => {
    expect(() => empty([0, 3]).max([0])).toThrow(/axis 0 of \[0, 3\] has no elements/);
  });
});

describe('sorting', () => {
  const order = (x: TypedArray, D: number, row: number, k: number, descending: boolean): number[] => {
    const above = (a: number, b: number): boolean => (Number.isNaN(a) ? !Number.isNaN(b) : a > b);
    const at = (i: number): number => x[row * D + i] as number;
    const all = Array.from({ length: D }, (_, i) => i).sort((a, b) => {
      const [first, second] = descending ? [at(a), at(b)] : [at(b), at(a)];
      return above(first, second) ? -1 : above(second, first) ? 1 : a - b;
    });
    return all.slice(0, k);
  };
  async function check(rows: number, D: number, k: number, descending: boolean, vary = false): Promise<void> {
    const values = Array.from({ length: rows * D }, () => {
      const u = random(40);
      if (u === 0) return Number.NaN;
      if (u < 4) return [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, -0, 0][u] as number;
      return u < 20 ? random(9) - 4 : uniform() * 10 - 5;
    });
    const x = encode('f32', values);
    const [, got, places] = await runDispatch(device, {
      kernel: k === D ? 'sort_rows' : 'topk_rows',
      buffers: [x, new Uint8Array(rows * k * 4), new Uint8Array(rows * k * 4)],
      params: [vary ? { scalar: 'rows', mul: 1, add: 0 } : rows, D, k, descending ? 1 : 0],
      scalars: { rows },
    });
    const view = typedView('f32', x);
    for (let row = 0; row < rows; row++) {
      const want = order(view, D, row, k, descending);
      const slice = <T extends TypedArray>(data: T): number[] => [...data.slice(row * k, (row + 1) * k)];
      expect(slice(typedView('i32', places as Uint8Array))).toEqual(want);
      expect(slice(typedView('f32', got as Uint8Array))).toEqual(want.map((i) => view[row * D + i]));
    }
  }
  /** Blocks of 512 keys, for one kernel and shape. */
  const small = (kernel: string, D: number, k: number): void =>
    device.choices.force(`${kernel} D${D} k${k}`, '512');

  it.each([1, 2, 3, 37, 256])('rows of %i', async (D) => {
    await check(3, D, D, false);
    await check(2, D, D, true, true);
  });
  it('a row as long as workgroup memory takes', () => check(1, 2048, 2048, false));
  it.each([513, 1600])('rows of %i, longer than a block', async (D) => {
    small('sort_rows', D, D);
    await check(2, D, D, false, true);
    await check(1, D, D, true);
  });
  it.each([
    [100, 1],
    [1300, 5],
    [2600, 100],
    [1400, 200],
  ])('of %i the best %i', async (D, k) => {
    small('topk_rows', D, k);
    await check(2, D, k, true);
    await check(1, D, k, false);
  });
});
