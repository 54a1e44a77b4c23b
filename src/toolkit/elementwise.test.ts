// Elementwise kernels: the language and its messages, one program on every device, gradients and batches.

import { afterAll, describe, expect, it } from 'vitest';
import type { NDArray } from '../array/array.ts';
import { compile } from '../array/compile.ts';
import { setDefaultDevice } from '../array/context.ts';
import { fromData } from '../array/creation.ts';
import { geluTanh } from '../array/ops/elementwise/gelu-tanh.ts';
import { grad } from '../array/transform/grad.ts';
import { vmap } from '../array/transform/vmap.ts';
import type { DType } from '../base/dtype.ts';
import { openJsDevice } from '../device/js/device.ts';
import { openDevice } from '../device/open.ts';
import { openNodeGpu } from '../device/webgpu/node.ts';
import { erf } from '../kernel/scalar-functions.ts';
import { expectAllClose } from '../testing/allclose.ts';
import { elementwise } from './elementwise.ts';

const js = openJsDevice();
setDefaultDevice(js);
const devices = [js, await openDevice('cpu'), await openNodeGpu({ software: true })];
const [, cpu, gpu] = devices as [typeof js, typeof js, typeof js];
afterAll(() => {
  for (const d of devices) d.dispose();
});

const xs = [-30, -3, -1.5, -0.5, 0, 0.25, 1, 2.5, 9, 40];
const ys = [2, -1, 0.5, 3, 1, -2, 4, 0.125, -5, 1];
const softplus = (x: number) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

/** Sources over x and y beside what they mean. */
const sources: Readonly<Record<string, (x: number, y: number) => number>> = {
  'x * tanh(log(1 + exp(min(x, 20)))) + 0 * y': (x) => x * Math.tanh(Math.log(1 + Math.exp(Math.min(x, 20)))),
  'let s = sigmoid(x); s * y - x / 4': (x, y) => sigmoid(x) * y - x / 4,
  'fn cube(v) = v * v * v; cube(x / 10) + cube(y)': (x, y) => (x / 10) ** 3 + y ** 3,
  'x > 0 && !(y < 1) || x == y ? x + y : x < -1 ? -y : 1/2': (x, y) =>
    (x > 0 && !(y < 1)) || x === y ? x + y : x < -1 ? -y : 0.5,
  'select(x, y, x < y)': (x, y) => (x < y ? y : x),
  'softplus(x) + log_sigmoid(y)': (x, y) => softplus(x) - softplus(-y),
  'gelu(x) + silu(y) + relu(x - y)': (x, y) =>
    0.5 * x * (1 + erf(x * Math.SQRT1_2)) + y * sigmoid(y) + Math.max(0, x - y),
  'clamp(x, -1, 1) + mix(x, y, 0.25) + fma(x, y, 2) + step(y, x)': (x, y) =>
    Math.min(Math.max(x, -1), 1) + 0.75 * x + 0.25 * y + x * y + 2 + (x >= y ? 1 : 0),
  'pow(abs(x) + 1, y / 4) + exp2(y) + log2(abs(x) + 1) + log10(abs(y))': (x, y) =>
    (Math.abs(x) + 1) ** (y / 4) + 2 ** y + Math.log2(Math.abs(x) + 1) + Math.log10(Math.abs(y)),
  'smoothstep(-2, 3, x) + fract(y) + saturate(x) + erfc(y) + mish(x) /* all */ // of it': (x, y) => {
    const t = Math.min(Math.max((x + 2) / 5, 0), 1);
    const rest = y - Math.floor(y) + Math.min(Math.max(x, 0), 1) + 1 - erf(y);
    return t * t * (3 - 2 * t) + rest + x * Math.tanh(softplus(x));
  },
  'f32(i32(x) & 3 | 1 << 2 ^ 0x10) + f32(u32(abs(y)) >> 1u) + f32(i32(x) % 3)': (x, y) =>
    ((Math.trunc(x) & 3) | ((1 << 2) ^ 16)) +
    (Math.trunc(Math.abs(y)) >> 1) +
    (((Math.trunc(x) % 3) + 3) % 3),
  'f32(i32(x) + select(0, 1, x > y) * 2 - -(y > 0 ? 3 : 4)) + f32(u32(abs(x)) % max(2, y > x ? 3 : 5))': (
    x,
    y,
  ) =>
    Math.trunc(x) +
    (x > y ? 2 : 0) +
    (y > 0 ? 3 : 4) +
    (Math.trunc(Math.abs(x)) % Math.max(2, y > x ? 3 : 5)),
  'let k = clamp(x > 0 ? 7 : 1, 2, 5); f32(i32(y) * k) + k / 2 + (x > y ? 1 : 2) / 4': (x, y) => {
    const k = x > 0 ? 5 : 2;
    return Math.trunc(y) * k + k / 2 + (x > y ? 0.25 : 0.5);
  },
  '-x + +y - -(y) + pi * 2 - e + (isnan(x) || !isfinite(y) || isinf(x) ? 1 : 0)': (x, y) =>
    -x + y + y + Math.PI * 2 - Math.E,
};

describe('the language', () => {
  it('means the same on every device, and runs as one program per kernel', async () => {
    const kernels = Object.keys(sources).map((s) => elementwise(s, { inputs: ['x', 'y'] }));
    const want = Object.values(sources).map((f) => xs.map((x, i) => f(x, ys[i] as number)));
    for (const device of devices) {
      const spec = { shape: [10], dtype: 'f32' as const };
      const fn = ({ x, y }: { x: NDArray; y: NDArray }) => kernels.map((k) => k(x, y));
      using plan = compile(fn, { device, inputs: { x: spec, y: spec } });
      const run = await plan.run({ inputs: { x: xs, y: ys } });
      for (const [i, source] of Object.keys(sources).entries()) {
        const got = await run[i]?.data();
        expectAllClose(
          got ?? [],
          want[i] ?? [],
          { absolute: 4e-6, relative: 4e-6 },
          `${device.name}: ${source}`,
        );
      }
      // Programs that share their inputs run together, so there are fewer of them than kernels.
      expect(plan.program.dispatches.length).toBeLessThan(kernels.length);
      expect(new Set(plan.program.dispatches.map((d) => d.kernel.name))).toEqual(new Set(['tile']));
    }
  });

  const wrong: Readonly<Record<string, readonly [source: string, message: string]>> = {
    'an unknown name': [
      'x + yy',
      "line 1, column 5: unknown name 'yy'; there is x, y; did you mean 'y'?\n  x + yy\n      ^",
    ],
    'an unknown function': [
      'x * sigmoyd(y)',
      "column 5: unknown function 'sigmoyd'; did you mean 'sigmoid'?",
    ],
    'a wrong arity': ['max(x)', 'column 1: max(a, b) takes 2 arguments, got 1'],
    'types that differ': [
      'x + i32(y)',
      "column 3: '+' takes operands of one type, got f32 and i32: convert one with f32(…)",
    ],
    'division of a bool': [
      '(x > 0) / (y > 0)',
      "column 9: '/' is not defined for bool: convert it to f32 or i32 or u32",
    ],
    'a number as a truth value': [
      'x ? x : y',
      "column 1: '?' takes a bool, got f32: compare it, as in x > 0",
    ],
    'not of a number': ['!x', "column 1: '!' takes a bool, got f32"],
    'bits of a float': ['x & y', "column 3: '&' is not defined for f32: convert it to i32 or u32 or bool"],
    'a fraction among integers': [
      'i32(x) + 0.5',
      "column 8: '+' takes operands of one type, got i32 and f32",
    ],
    'a choice of fractions among integers': [
      'i32(x) + select(0, 0.5, y > 0)',
      "column 8: '+' takes operands of one type, got i32 and f32",
    ],
    'a choice of numbers that a type cannot hold': [
      'u32(x) + (y > 0 ? 1 : -1)',
      'the constant -1 does not fit u32',
    ],
    'a choice of numbers as a bool': [
      '(x > 0) == (y > 0 ? 1 : 0)',
      "column 9: '==' takes operands of one type, got bool and f32",
    ],
    'a number that a type cannot hold': ['u32(x) + -1', 'the constant -1 does not fit u32'],
    'a missing parenthesis': [
      'exp(x + 1',
      "column 10: expected ',' between the arguments of 'exp', or ) to close it, found the end",
    ],
    'a missing operand': ['x * ', 'column 5: expected a value, found the end'],
    'a strange character': ['x @ y', "column 3: unexpected character '@'"],
    'something left over': ['x y', "column 3: unexpected 'y' after the expression"],
    'a number run into a name': ['2x', "'x' follows the number 2 directly: write * between them"],
    'a missing semicolon': [
      'let a = x\na + 1',
      "line 2, column 1: expected ';' after the value of 'a', found 'a'\n  a + 1\n  ^",
    ],
    'a second value': ['let a = x; let a = y; a', "column 16: 'a' has a value already"],
    'a value with the name of an input': ['let x = 1; x', "column 5: 'x' is an input already"],
    'a function that calls itself': ['fn f(v) = f(v); f(x)', "the function 'f' calls itself"],
    'a function that reads an input': [
      'fn f(v) = v + x; f(y)',
      "column 15: unknown name 'x': a function sees its parameters (v)",
    ],
    'a function without its arguments': ['exp + x', "'exp' is a function: write exp(x)"],
    'two results of one name': ['{ a: x, a: y }', "column 9: the result 'a' is there twice"],
    'no result': ['let a = x;', 'column 11: an expression is missing: what is the result?'],
    nothing: ['', 'column 1: an expression is missing'],
    'too deep': [`${'('.repeat(300)}x${')'.repeat(300)}`, 'more than 200 levels of nesting'],
  };
  it.each([
    [
      'a division of a bool',
      '(x > 0) / 2',
      "line 1, column 9: '/' takes operands of one type, got bool and 2: convert the bool with f32",
    ],
    [
      'a comparison in a row',
      '1 < x < 2',
      "line 1, column 7: '<' takes operands of one type, got bool and 2",
    ],
    ['a power in signs', 'x ** 2', "line 1, column 4: expected a value, found '*': a power is pow(x, y)"],
  ])('tells the remedy for %s', (_, source, message) => {
    expect(() => elementwise(source)(fromData([1, 2]))).toThrow(message);
  });

  it.each(Object.entries(wrong))('refuses %s at its character', (_, [source, message]) => {
    const x = fromData([1]);
    expect(() => elementwise(source, { inputs: ['x', 'y'] })(x, x)).toThrow(message);
  });

  it('refuses operands by their names', () => {
    const add = elementwise('a + b', { name: 'add' });
    expect(add.inputs).toEqual(['a', 'b']);
    expect(() => add(fromData([1]))).toThrow('add takes 2 operands (a, b), got 1');
    expect(() => add(fromData([1, 2]), fromData([1, 2, 3]))).toThrow(
      'add: b [3] does not broadcast with [2]; the operands are a [2], b [3]. Sizes along an axis are equal or 1',
    );
    expect(() => add(1, 2)).toThrow('add: no operand is an array; make one with full()');
    expect(() => add(fromData([1]), null as never)).toThrow('add: b must be an array or a number, got null');
    expect(() => elementwise(undefined as never)).toThrow('an expression is missing, got undefined');
    expect(() => elementwise('x', { dtype: 'f64' as never })).toThrow(
      'elementwise: dtype must be one of f32, f16, bf16, i32, u32, i8, u8, bool, got f64',
    );
    expect(() => elementwise('x', { gradient: { z: 'g' } })).toThrow(
      "gradient of 'z', which is no input; there is x",
    );
    expect(() => elementwise((x: NDArray) => x.sum(), { name: 'f' })(fromData([1]))).toThrow(
      'f: the function uses sum, which is no elementwise operation',
    );
    const bad = elementwise('sin(x)', { gradient: { x: 'g * cos(z)' } });
    expect(() => grad((x: NDArray) => bad(x).sum())(fromData([1]))).toThrow(
      "unknown name 'z'; there is x, y, g",
    );
  });
});

describe('an elementwise kernel', () => {
  const act = elementwise('{ y: silu(gate) * up + 1, s: sigmoid(gate) }', { name: 'act' });

  it('computes in f32 and stores what came in, with broadcasting, as one program with its neighbours', async () => {
    for (const [dtype, digits] of [
      ['f16', 2 ** -10],
      ['bf16', 2 ** -7],
    ] as readonly (readonly [DType, number])[]) {
      const [gate, up] = [fromData([0.5, -2, 3, 1], [2, 2]).cast(dtype), fromData([4, 5]).cast(dtype)];
      const { y, s } = act(gate, up) as { y: NDArray; s: NDArray };
      expect([y.dtype, s.dtype, y.shape]).toEqual([dtype, dtype, [2, 2]]);
      const want = [0.5, -2, 3, 1].map((g, i) => g * sigmoid(g) * [4, 5, 4, 5][i]! + 1);
      expectAllClose(await y.data(), want, { absolute: digits, relative: digits }, dtype);
    }
    const fn = ({ a, b }: { a: NDArray; b: NDArray }) => {
      const { y, s } = act(a.mul(2), b) as { y: NDArray; s: NDArray };
      return { y: y.add(1), s };
    };
    const specs = (b: DType) =>
      ({ a: { shape: [64, 33], dtype: 'f16' }, b: { shape: [33], dtype: b } }) as const;
    for (const device of devices) {
      for (const dtype of ['f32', 'f16'] as const) {
        using plan = compile(fn, { device, inputs: specs(dtype) });
        expect(plan.program.dispatches.map((d) => d.kernel.name)).toEqual(['tile']);
      }
    }
  });

  it('shows what runs', () => {
    const onGpu = act.source(gpu, { gate: { shape: [8, 4096], dtype: 'f32' } });
    expect(onGpu).toContain('@compute @workgroup_size(256)');
    expect(onGpu.match(/@compute/g)).toHaveLength(1);
    expect(act.source(cpu)).toContain('silu_f32');
    expect(act.source(js)).toContain('tile: its definition in TypeScript');
  });

  it('has the gradient of its expression, right at kinks', async () => {
    const at0 = { relu: 0, softplus: 0.5, log_sigmoid: 0.5, mish: 0.6, gelu_tanh: 0.5, silu: 0.5, expm1: 1 };
    for (const [name, want] of Object.entries(at0)) {
      const d = grad((x: NDArray) => elementwise(`${name}(x)`)(x).sum())(fromData([0]));
      expectAllClose(await d.data(), [want], { absolute: 1e-6, relative: 1e-6 }, name);
    }
    const kernel = elementwise('x * tanh(softplus(x)) * w');
    const x = fromData([-40, -2, 0.3, 5], [2, 2]);
    const w = fromData([2, 3]);
    const [dx, dw] = grad((a: NDArray, b: NDArray) => kernel(a, b).sum(), [0, 1] as const)(x, w) as NDArray[];
    const f = (v: number) => v * Math.tanh(softplus(v));
    const slope = [-40, -2, 0.3, 5].map((v, i) => ((f(v + 1e-5) - f(v - 1e-5)) / 2e-5) * [2, 3][i % 2]!);
    expectAllClose(await dx!.data(), slope, { absolute: 1e-5, relative: 1e-5 }, 'dx');
    expectAllClose(
      await dw!.data(),
      [f(-40) + f(0.3), f(-2) + f(5)],
      { absolute: 1e-5, relative: 1e-6 },
      'dw',
    );
  });

  it('takes a gradient by hand, and integers and flags as operands', async () => {
    const clipped = elementwise('clamp(x, -1, 1) * scale', {
      gradient: { x: 'g * scale' }, // straight through
    });
    const x = fromData([-3, 0.5, 3]);
    const d = grad((v: NDArray) => clipped(v, 2).sum())(x);
    expect([...(await d.data())]).toEqual([2, 2, 2]);
    const ids = fromData(Int32Array.from([5, -3, 8]));
    const odd = elementwise('ids % 2 == 1');
    expect([...(await odd(ids).data())]).toEqual([1, 1, 0]);
    expect([...(await elementwise('ids / 2')(ids).data())]).toEqual([2, -2, 4]);
    expect([...(await elementwise('flag ? x : 0')(fromData([true, false, true]), x).data())]).toEqual([
      -3, 0, 3,
    ]);
  });

  it('comes from a function as well, and maps over batches', async () => {
    const traced = elementwise((x: NDArray, y: NDArray) => geluTanh(x).mul(y));
    const written = elementwise('gelu_tanh(x) * y');
    const [x, y] = [fromData([1, -2, 3, 0.5, 6, 7], [3, 2]), fromData([2, 3])];
    expect([...(await traced(x, y).data())]).toEqual([...(await written(x, y).data())]);
    const rows = vmap((row: NDArray) => written(row, y))(x);
    expect([...(await rows.data())]).toEqual([...(await written(x, y).data())]);
  });
});
