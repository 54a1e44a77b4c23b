// The evaluator against Math, integer semantics, broadcasting strides and 16-bit storage.
import { describe, expect, it } from 'vitest';
import { f16ToF32, f32ToBf16, f32ToF16 } from '../quant/half.ts';
import { evaluateTileProgram } from './evaluate.ts';
import { binary, constant, type Expr, input, instruction, scalar, unary } from './expr.ts';
import { erf, scalarFunctions } from './scalar-functions.ts';
import { buildTileProgram } from './tile-program.ts';

const x = input(0, 'f32');

function evaluate(e: Expr, values: readonly number[]): number[] {
  const out = new Float32Array(values.length);
  evaluateTileProgram(
    buildTileProgram(['f32'], [e]),
    [values.length],
    [{ data: Float32Array.from(values), dtype: 'f32', strides: [1] }],
    [{ data: out, dtype: 'f32' }],
  );
  return [...out];
}

describe('evaluateTileProgram', () => {
  it('rounds to f32 after every instruction', () => {
    const e = binary('sub', binary('add', x, constant(2 ** 24)), constant(2 ** 24));
    expect(evaluate(e, [1, 2, 0.25])).toEqual([0, 2, 0]);
  });
  it.each([
    'exp',
    'log',
    'sin',
    'cos',
    'tan',
    'tanh',
    'sqrt',
    'floor',
    'ceil',
    'trunc',
    'log1p',
    'expm1',
  ] as const)('%s is that of Math', (name) => {
    const values = [0.1, 0.5, 1, 2.5, 7.75].map(Math.fround);
    expect(evaluate(unary(name, x), values)).toEqual(values.map((v) => Math.fround(Math[name](v))));
  });
  it('follows strides, broadcasting rows and columns', () => {
    const program = buildTileProgram(['f32', 'f32'], [binary('add', x, input(1, 'f32'))]);
    const out = new Float32Array(6);
    evaluateTileProgram(
      program,
      [2, 3],
      [
        { data: Float32Array.of(10, 20, 30), dtype: 'f32', strides: [0, 1] },
        { data: Float32Array.of(1, 2), dtype: 'f32', strides: [1, 0] },
      ],
      [{ data: out, dtype: 'f32' }],
    );
    expect([...out]).toEqual([11, 21, 31, 12, 22, 32]);
  });
  it('stores f16 and bf16 as rounded bits and takes plan scalars', () => {
    const product = binary('mul', x, scalar('s', 'f32'));
    const program = buildTileProgram(['f32'], [product, product]);
    const f16 = new Uint16Array(2);
    const bf16 = new Uint16Array(2);
    const data = Uint16Array.of(f32ToF16(1.1), f32ToF16(-3.3));
    evaluateTileProgram(
      program,
      [2],
      [{ data, dtype: 'f16', strides: [1] }],
      [
        { data: f16, dtype: 'f16' },
        { data: bf16, dtype: 'bf16' },
      ],
      { s: 3 },
    );
    const want = [...data].map((h) => Math.fround(f16ToF32(h) * 3));
    expect([...f16]).toEqual(want.map(f32ToF16));
    expect([...bf16]).toEqual(want.map(f32ToBf16));
  });
  it('refuses operands that do not fit', () => {
    const program = buildTileProgram(['f32'], [unary('neg', x)]);
    const out = [{ data: new Float32Array(4), dtype: 'f32' as const }];
    const run = (n: number, stride: number, scalars = {}) =>
      evaluateTileProgram(
        program,
        [n],
        [{ data: new Float32Array(4), dtype: 'f32', strides: [stride] }],
        out,
        scalars,
      );
    expect(() => run(4, 2)).toThrow('input 0 has 4 elements, element 6 is read');
    expect(() => run(5, 0)).toThrow('output 0: f32 of 4 elements does not fit 5 results');
    expect(() => evaluateTileProgram(program, [4], [], out)).toThrow('1 inputs and 1 results, got 0 and 1');
    const named = buildTileProgram(['f32'], [scalar('s', 'f32')]);
    expect(() =>
      evaluateTileProgram(named, [1], [{ data: new Float32Array(1), dtype: 'f32', strides: [1] }], out),
    ).toThrow('no value for the plan scalar');
  });
});

describe('scalar functions', () => {
  it('round halves to even and keep the sign of zero', () => {
    expect([0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 3.2].map((v) => scalarFunctions.round_f32(v, 0, 0))).toEqual([
      0, 2, 2, -0, -2, -2, 3,
    ]);
  });
  it('divide integers toward minus infinity', () => {
    const pairs = [
      [7, 2],
      [-7, 2],
      [7, -2],
      [-7, -2],
      [5, 0],
    ] as const;
    expect(pairs.map(([a, b]) => scalarFunctions.div_i32(a, b, 0))).toEqual([3, -4, -4, 3, 0]);
    expect(pairs.map(([a, b]) => scalarFunctions.mod_i32(a, b, 0))).toEqual([1, 1, -1, -1, 0]);
    expect(scalarFunctions.mod_f32(-5.5, 2, 0)).toBe(0.5);
    expect(scalarFunctions.mod_f32(5.5, -2, 0)).toBe(-0.5);
  });
  it('saturate float to integer casts', () => {
    const to = (v: number) => [scalarFunctions.f32_to_i32(v, 0, 0), scalarFunctions.f32_to_u32(v, 0, 0)];
    expect([1e10, -1e10, Number.NaN, -1.9].map(to)).toEqual([
      [2147483647, 4294967295],
      [-2147483648, 0],
      [0, 0],
      [-1, 0],
    ]);
  });
  it('know the error function (values of DLMF 7.23 and mpmath)', () => {
    expect(erf(0.5)).toBeCloseTo(0.5204998778130465, 14);
    expect(erf(1)).toBeCloseTo(0.8427007929497149, 14);
    expect(erf(3.5)).toBeCloseTo(0.9999992569016276, 14);
    expect(erf(-2)).toBeCloseTo(-0.9953222650189527, 14);
    expect(scalarFunctions.gelu_erf_f32(-6, 0, 0) / -5.9195276e-9).toBeCloseTo(1, 5);
    expect(instruction('gelu_erf_f32', [x]).kind).toBe('f32');
  });
});
