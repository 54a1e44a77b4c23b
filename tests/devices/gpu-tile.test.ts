// The tile kernel on WebGPU against the plain evaluator: every instruction on awkward numbers, broadcasting, dtypes, many
// inputs, arrays larger than a binding.

import { afterAll, describe, expect, it } from 'vitest';
import { typedView } from '../../src/array/ops/operands.ts';
import { bytesPerElement, type DType } from '../../src/base/dtype.ts';
import type { Device } from '../../src/device/device.ts';
import { openNodeGpu } from '../../src/device/webgpu/node.ts';
import { evaluateTileProgram } from '../../src/kernel/evaluate.ts';
import { binary, type Expr, input, instruction, registerKind, scalar } from '../../src/kernel/expr.ts';
import type { Param } from '../../src/kernel/signature.ts';
import { type RegisterKind, type TileOpcode, tileOpcodes } from '../../src/kernel/tile-opcodes.ts';
import { buildTileProgram } from '../../src/kernel/tile-program.ts';
import { bf16ToF32, f16ToF32 } from '../../src/quant/half.ts';
import { expectAllClose } from '../../src/testing/allclose.ts';
import { randomNumbers } from '../../src/testing/case-data.ts';
import { encodeTileProgram } from '../../src/testing/tile-params.ts';
import { bytesOf, runDispatch } from './dispatch.ts';

const device = await openNodeGpu({ software: true });
const narrow = await openNodeGpu({ software: true, limits: { maxStorageBuffers: 4, maxBindingBytes: 4096 } });
afterAll(() => {
  device.dispose();
  narrow.dispose();
});

interface Operand {
  readonly dtype: DType;
  readonly data: Uint8Array;
  readonly strides: readonly number[];
}

/** Runs expressions on a device and on the evaluator; the results of both, as numbers. */
async function both(
  on: Device,
  sizes: readonly number[],
  inputs: readonly Operand[],
  results: readonly Expr[],
  outputs: readonly DType[],
  dynamic = false,
) {
  const program = buildTileProgram(
    inputs.map((i) => registerKind(i.dtype)),
    results,
  );
  const count = sizes.reduce((n, d) => n * d, 1);
  const want = outputs.map((dtype) => typedView(dtype, new Uint8Array(count * bytesPerElement(dtype))));
  const typed = inputs.map((i) => ({ ...i, data: typedView(i.dtype, i.data) }));
  evaluateTileProgram(
    program,
    sizes,
    typed,
    outputs.map((dtype, o) => ({ dtype, data: want[o] as never })),
    { s: 3 },
  );
  const outer = sizes[0] ?? 1;
  const vary = (n: number): Param =>
    dynamic && n % outer === 0 ? { scalar: 'n', mul: n / outer, add: 0 } : n;
  const layout = {
    sizes: sizes.map((d, axis) => (axis === 0 ? vary(d) : d)),
    count: vary(count),
    inputs: inputs.map(({ dtype, strides }) => ({ dtype, strides })),
    outputs,
  };
  const got = await runDispatch(on, {
    kernel: 'tile',
    buffers: [...inputs.map((i) => i.data), ...want.map((w) => new Uint8Array(w.byteLength))],
    params: encodeTileProgram(program, layout),
    scalars: { n: outer, s: 3 },
    scalarTypes: { s: 'f32' },
  });
  return outputs.map((dtype, o) => ({
    got: numbers(dtype, typedView(dtype, got[inputs.length + o] as Uint8Array)),
    want: numbers(dtype, want[o] as never),
  }));
}

const numbers = (dtype: DType, data: ArrayLike<number>): number[] =>
  Array.from(data, (x) => (dtype === 'f16' ? f16ToF32(x) : dtype === 'bf16' ? bf16ToF32(x) : x));

const specials: Readonly<Record<RegisterKind, readonly number[]>> = {
  f32: [
    0,
    -0,
    1,
    -1,
    0.5,
    -0.5,
    1.5,
    2.5,
    -2.5,
    3,
    -3,
    7.25,
    -7.75,
    0.3,
    -0.7,
    0.95,
    4.2,
    -4.4,
    12.5,
    88,
    -87,
    1e-3,
    100.7,
    -523.2,
    5999,
    6001.25,
    -7003.4,
    1e5,
    123456.7,
    -3e7,
    1.7e12,
    3e38,
    2147483648,
    -2147483648,
    4294967296,
    255.5,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    Number.NaN,
  ],
  i32: [0, 1, -1, 2, -2, 3, 7, -7, 31, 32, 33, 100, -100, 65536, 2 ** 31 - 1, -(2 ** 31), 123456789],
  u32: [0, 1, 2, 3, 7, 31, 32, 33, 100, 255, 65536, 2 ** 31, 2 ** 32 - 1, 123456789],
  bool: [0, 1],
};

const viewOf = { f32: Float32Array, i32: Int32Array, u32: Uint32Array, bool: Uint8Array } as const;

/** All tuples of specials for operands of these kinds, at most a thousand. */
function tuples(kinds: readonly RegisterKind[]): readonly (readonly number[])[] {
  const all = kinds.reduce<number[][]>(
    (list, kind) => list.flatMap((head) => specials[kind].map((x) => [...head, x])),
    [[]],
  );
  return all.filter((_, i) => i % Math.ceil(all.length / 1500) === 0);
}

/** Functions that are approximated; all others are exact but for division and roots, which a GPU rounds loosely. */
const approximate =
  /^(exp|expm1|log|log1p|sin|cos|tan|tanh|sigmoid|erf|silu|gelu_tanh|gelu_erf|pow|div|sqrt|rsqrt|reciprocal)_f32$/;

describe('tile instructions', () => {
  const groups = new Map<string, TileOpcode[]>();
  for (const [name, operands, result] of tileOpcodes) {
    const key = `${operands} -> ${result}`;
    const list = groups.get(key) ?? [];
    groups.set(key, list);
    list.push(name);
  }
  const batches = [...groups].flatMap(([key, names]) => {
    const batch: { key: string; names: TileOpcode[] }[] = [];
    for (let i = 0; i < names.length; i += 4) batch.push({ key, names: names.slice(i, i + 4) });
    return batch;
  });
  for (const { key, names } of batches) {
    it(`${names.join(' ')} (${key})`, async () => {
      const kinds = (key.split(' -> ')[0] ?? '')
        .split(' ')
        .map((k) => (k === 'any' ? 'f32' : k)) as RegisterKind[];
      const cases = tuples(kinds);
      const operands = kinds.map((kind, i): Operand => {
        const data = bytesOf(viewOf[kind].from(cases.map((c) => c[i] ?? 0)));
        return { dtype: kind, data, strides: [1] };
      });
      const exprs = names.map((name) =>
        instruction(
          name,
          kinds.map((kind, i) => input(i, kind)),
        ),
      );
      const outputs = exprs.map((e) => e.kind as DType);
      const results = await both(device, [cases.length], operands, exprs, outputs);
      results.forEach(({ got, want }, o) => {
        const name = names[o] as TileOpcode;
        // a result below the smallest normal number may become zero
        const relative = approximate.test(name) ? (name === 'pow_f32' ? 32 : 8) * 2 ** -24 : 0;
        const absolute = relative > 0 ? relative : name.endsWith('_f32') ? 2 ** -126 : 0;
        const kept = cases.map((_, i) => i).filter((i) => comparable(name, cases[i] ?? []));
        expectAllClose(
          kept.map((i) => got[i] ?? 0),
          kept.map((i) => want[i] ?? 0),
          { absolute, relative },
          name,
        );
      });
    });
  }
});

/** The tangent near its poles is steeper than its operand is exact; 1 / x of a subnormal result may differ. */
function comparable(name: TileOpcode, [a = 0, b = 0]: readonly number[]): boolean {
  if (name === 'gelu_erf_f32') return a !== Number.NEGATIVE_INFINITY; // 0, where the definition is 0 times infinity
  if (name === 'tan_f32') return Math.abs(Math.cos(a)) > 0.01 || !Number.isFinite(a);
  if (name === 'div_f32' || name === 'reciprocal_f32') {
    const divisor = name === 'div_f32' ? b : a;
    return Math.abs(divisor) < 2 ** 125 || !Number.isFinite(divisor); // what a division is allowed to be wrong for
  }
  return true;
}

describe('tile operands', () => {
  const uniform = randomNumbers(5);
  const random = (n: number): number => Math.floor(uniform() * n);
  const dtypes: readonly DType[] = ['f32', 'f16', 'bf16', 'i32', 'u32', 'i8', 'u8', 'bool'];

  function randomOperand(dtype: DType, sizes: readonly number[], wanted = random(4)): Operand {
    // 0: whole, 1: one element, else some axes broadcast
    const present = sizes.map(() => wanted === 0 || (wanted !== 1 && random(2) === 0));
    let stride = 1;
    const strides = sizes.map(() => 0);
    for (let axis = sizes.length - 1; axis >= 0; axis--) {
      if (!present[axis]) continue;
      strides[axis] = stride;
      stride *= sizes[axis] ?? 1;
    }
    const data = new Uint8Array(stride * bytesPerElement(dtype));
    for (let i = 0; i < data.length; i++) data[i] = dtype === 'bool' ? random(2) : random(120);
    return { dtype, data, strides };
  }
  /** Every operand as f32, all added. */
  const total = (inputs: readonly Operand[]): Expr =>
    inputs
      .map(({ dtype }, i): Expr => {
        const kind = registerKind(dtype);
        const x = input(i, kind);
        return kind === 'f32' ? x : instruction(`${kind}_to_f32`, [x]);
      })
      .reduce((a, b) => binary('add', a, b));
  const exact = { absolute: 0, relative: 2 ** -20 };

  it.each([
    [[1]],
    [[5]],
    [[3, 4]],
    [[4, 3]],
    [[2, 3, 8]],
    [[5, 1, 7]],
    [[3, 2, 4, 4]],
    [[9, 16]],
    [[2, 257]],
  ])('broadcasts to %j in every dtype', async (sizes) => {
    const inputs = [
      randomOperand(dtypes[random(8)] as DType, sizes, 0),
      randomOperand(dtypes[random(8)] as DType, sizes, 2),
      randomOperand(dtypes[random(8)] as DType, sizes),
    ];
    const dynamic = random(2) === 0;
    const [r] = await both(device, sizes, inputs, [total(inputs)], ['f32'], dynamic);
    expectAllClose(r?.got ?? [], r?.want ?? [], exact, `${inputs.map((i) => `${i.dtype} ${i.strides}`)}`);
  });

  it.each(dtypes)('stores %s, and leaves the rest of the last word', async (dtype) => {
    const sizes = [7];
    const source = randomOperand(dtype, sizes, 0);
    const x = input(0, registerKind(dtype));
    const program = buildTileProgram([registerKind(dtype)], [x]);
    const bytes = 7 * bytesPerElement(dtype);
    const params = encodeTileProgram(program, {
      sizes,
      count: 7,
      inputs: [{ dtype, strides: [1] }],
      outputs: [dtype],
    });
    const buffer = device.allocate(64, 'out');
    device.write(buffer, 0, new Uint8Array(64).fill(0xaa));
    const from = device.allocate(source.data.length, 'in');
    device.write(from, 0, source.data);
    const run = device.compile({
      dispatches: [
        {
          kernel: { kind: 'native', name: 'tile' },
          buffers: [
            { kind: 'buffer', buffer: from, offset: 0, byteLength: bytes },
            { kind: 'buffer', buffer, offset: 0, byteLength: bytes },
          ],
          params,
          label: 'tile',
        },
      ],
      arenaBytes: 0,
      scalars: [],
    });
    await run.run({});
    const got = await device.read(buffer, 0, 64);
    run.dispose();
    from.dispose();
    buffer.dispose();
    expect([...got.slice(0, bytes)]).toEqual([...source.data]);
    expect([...got.slice(bytes)]).toEqual(new Array(64 - bytes).fill(0xaa));
  });

  it('takes plan scalars as constants and gives several results', async () => {
    const sizes = [33];
    const inputs = [randomOperand('i32', sizes, 0)];
    const x = instruction('i32_to_f32', [input(0, 'i32')]);
    const results = [binary('mul', x, scalar('s', 'f32')), binary('gt', x, scalar('s', 'f32'))];
    const out = await both(device, sizes, inputs, results, ['f32', 'bool']);
    for (const { got, want } of out) expect(got).toEqual(want);
  });

  it('lays inputs side by side when a pass cannot bind them all', async () => {
    const sizes = [3, 13];
    const inputs = (['f32', 'u8', 'bool', 'i8', 'f16', 'u32'] as const).map((d, i) =>
      randomOperand(d, sizes, i % 3),
    );
    const five = inputs.slice(0, 5);
    const [r] = await both(narrow, sizes, five, [total(five)], ['f32']);
    expectAllClose(r?.got ?? [], r?.want ?? [], exact, 'five inputs, four buffers');
    await expect(both(narrow, sizes, inputs, [total(inputs)], ['f32'])).rejects.toThrow(
      /program of 6 arrays: this GPU takes 5 at most/,
    );
  });

  it('splits arrays that are larger than a binding', async () => {
    const sizes = [1000, 5];
    const inputs = [randomOperand('i32', sizes, 0), randomOperand('u8', [1], 0)].map((o, i) =>
      i === 0 ? o : { ...o, strides: [0, 0] },
    );
    for (const dynamic of [false, true]) {
      const [r] = await both(narrow, sizes, inputs, [total(inputs)], ['f32'], dynamic);
      expect(r?.got).toEqual(r?.want);
    }
  });
});
