// linear: x Wᵀ with packed weights. One op covers what fusion makes of it: an RMS norm before, several weights that share
// the input, a bias, a residual after, and act(gate) * up.

import { elementCount, formatShape, maxElements } from '../../../base/shape.ts';
import { erf } from '../../../kernel/scalar-functions.ts';
import type { Glu, KernelPrecision } from '../../../kernel/signature.ts';
import type { NDArray, Operand } from '../../array.ts';
import { defineOp, type OpCase, type Operands } from '../../op.ts';
import type { Tensor, ValueType } from '../../types.ts';
import type { Weight } from '../../weight.ts';
import { normalizeRows } from '../nn/rms-norm.ts';
import {
  countParam,
  expectDtype,
  expectShape,
  floats,
  numel,
  operand,
  optional,
  output,
  shapeError,
  writeFloats,
} from '../operands.ts';
import { dequantize } from './embedding.ts';
import {
  gluValue,
  layoutParams,
  magnitude,
  maxAbs,
  multiplyPacked,
  packedShape,
  productError,
} from './packed.ts';

export interface LinearAttrs {
  readonly precision: KernelPrecision;
  /** RMS norm of x with the norm weight (operand 1) before the product. */
  readonly norm: { readonly eps: number; readonly offset: number } | null;
  readonly glu: Glu;
}

/** Operands: x, norm weight or null, residual or null, then per segment weight and bias or null. */
export const linearSegments = <T>(
  inputs: Operands<T>,
): readonly { readonly w: T; readonly bias: T | null }[] =>
  Array.from({ length: (inputs.length - 3) / 2 }, (_, s) => ({
    w: operand(inputs, 3 + 2 * s),
    bias: optional(inputs, 4 + 2 * s),
  }));

export const linearOp = defineOp<LinearAttrs>({
  name: 'linear',
  infer: (inputs, { glu }) => {
    const x = operand(inputs, 0);
    expectDtype(x, ['f32', 'f16', 'bf16'], 'linear');
    const K = operand(x.shape, x.shape.length - 1);
    const outputs = linearSegments(inputs).map(({ w, bias }): ValueType => {
      const packed = packedShape(w, 2, 'linear');
      if (packed.columns !== K) {
        shapeError(
          'linear',
          `x ${formatShape(x.shape)} does not fit a weight of ${formatShape(w.shape)} [N, K]`,
        );
      }
      if (bias !== null) expectShape(bias, [packed.rows], 'linear: bias');
      return { shape: [...x.shape.slice(0, -1), packed.rows], dtype: x.dtype };
    });
    const residual = optional(inputs, 2);
    const norm = optional(inputs, 1);
    if (residual !== null) expectShape(residual, operand(outputs, 0).shape, 'linear: residual');
    if (norm !== null) expectShape(norm, [K], 'linear: norm weight');
    if (glu !== 'none') expectShape(operand(outputs, 1), operand(outputs, 0).shape, 'linear: up');
    return glu === 'none' ? outputs : outputs.slice(0, 1);
  },
  reference: (inputs, outputs, attrs) => {
    const x = operand(inputs, 0);
    const K = x.shape[x.shape.length - 1] as number;
    const rows = numel(x.shape) / K;
    const norm = optional(inputs, 1);
    const weight = norm === null ? null : floats(norm);
    const input =
      attrs.norm === null
        ? floats(x)
        : normalizeRows(floats(x), K, weight, attrs.norm.eps, attrs.norm.offset);
    const products = linearSegments(inputs).map((s) => product(s, input, rows));
    const residual = optional(inputs, 2);
    const added = residual === null ? null : floats(residual);
    outputs.forEach((out, o) => {
      const y = operand(products, o);
      const up = attrs.glu === 'none' ? null : operand(products, 1);
      writeFloats(out, (z) => {
        for (let i = 0; i < z.length; i++) {
          const value =
            up === null ? (y[i] as number) : gluValue(attrs.glu, y[i] as number, up[i] as number, erf);
          z[i] = value + (added === null ? 0 : (added[i] as number));
        }
      });
    });
  },
  composite: (inputs, { precision, norm, glu }) => {
    const x = operand(inputs, 0);
    const weight = optional(inputs, 1);
    const residual = optional(inputs, 2);
    const input = norm === null ? x : x.rmsNorm(weight, norm.eps, { offset: norm.offset });
    const ys = linearSegments(inputs).map(({ w, bias }) => plainLinear(input, w, bias, precision));
    const [gate, up] = [operand(ys, 0), ys[1]];
    const activated = { none: gate, silu: gate.silu(), gelu_tanh: gate.geluTanh(), gelu_erf: gate.gelu() }[
      glu
    ];
    const first = glu === 'none' || up === undefined ? gate : activated.mul(up);
    const sum = residual === null ? first : first.add(residual);
    return glu === 'none' ? [sum, ...ys.slice(1)] : [sum];
  },
  vjp: ({ inputs, grads, attrs }) => {
    // Fusion runs after differentiation, so only the plain form has to be differentiated. Packed weights are constants.
    const [{ w, bias }] = linearSegments(inputs) as [{ w: NDArray; bias: NDArray | null }];
    const g = operand(grads, 0);
    if (attrs.norm !== null || attrs.glu !== 'none' || grads.length > 1) {
      shapeError('linear', 'only the unfused form has a gradient');
    }
    const dx = g.matmul(dequantize(w).cast(g.dtype));
    const rows = g.shape.slice(0, -1).map((_, i) => i);
    return [dx, null, optional(inputs, 2) && g, null, bias && g.sum(rows)];
  },
  kernel: {
    emit: (context) => {
      const { inputs, outputs, attrs } = context;
      const x = operand(inputs, 0);
      const segments = linearSegments(inputs);
      const { shape } = x.type;
      context.emit(
        'linear',
        {
          x,
          normWeight: optional(inputs, 1),
          residual: optional(inputs, 2),
          segments: segments.map(({ w, bias }, s) => ({ w, bias, y: outputs[s] ?? null })),
        },
        {
          rows: countParam(elementCount(shape.slice(0, -1))),
          K: countParam(elementCount(shape.slice(-1))),
          precision: attrs.precision,
          normEps: attrs.norm?.eps ?? 0,
          normOffset: attrs.norm?.offset ?? 0,
          glu: attrs.glu,
          segments: segments.map(({ w }) => {
            const { layout, rows } = packedShape(w.type, 2, 'linear');
            return { N: rows, ...layoutParams(layout) };
          }),
        },
      );
    },
  },
  tolerance: (inputs, outputs, attrs) => {
    const x = operand(inputs, 0);
    const K = x.shape[x.shape.length - 1] as number;
    const norm = optional(inputs, 1);
    const weight = norm === null ? null : floats(norm);
    const rows =
      attrs.norm === null
        ? floats(x)
        : normalizeRows(floats(x), K, weight, attrs.norm.eps, attrs.norm.offset);
    const size = magnitude(...linearSegments(inputs).map(({ w }) => w));
    const error = productError(K, maxAbs(rows), size, attrs.precision);
    const scale = attrs.glu === 'none' ? 1 : 2 * (1 + maxAbs(floats(output(outputs))));
    return { absolute: error * scale, relative: 2 ** -20 };
  },
  flops: (inputs) => {
    const rows = maxElements(operand(inputs, 0).shape.slice(0, -1));
    return linearSegments(inputs).reduce((n, { w }) => n + 2 * rows * maxElements(w.shape), 0);
  },
  cases: linearCases(),
});

function product(s: { w: Tensor; bias: Tensor | null }, x: Float32Array, rows: number): Float32Array {
  const N = s.w.shape[0] as number;
  const y = new Float32Array(rows * N);
  const bias = s.bias === null ? null : floats(s.bias);
  multiplyPacked(s.w, 0, x, rows, (r, n, sum) => {
    y[r * N + n] = sum + (bias === null ? 0 : (bias[n] as number));
  });
  return y;
}

function linearCases(): readonly OpCase<LinearAttrs>[] {
  const plain: LinearAttrs = { precision: 'exact', norm: null, glu: 'none' };
  const fast: LinearAttrs = { ...plain, precision: 'fast' };
  const fine: LinearAttrs = { ...plain, precision: 'fine' };
  const layouts = ['f32', 'f16', 'bf16', 'q4', 'q4a', 'q8', 'q4k', 'q6k'] as const;
  const cases: OpCase<LinearAttrs>[] = layouts.flatMap((weight) =>
    [1, 5, 20, 40].flatMap((rows) =>
      [plain, fast, fine].map((attrs) => ({
        name: `${weight} ${rows} rows ${attrs.precision}`,
        inputs: [{ shape: [rows, 256] }, null, null, { shape: [40, 256], weight }, null],
        attrs,
      })),
    ),
  );
  const others = [
    ...(['q8a', 'q5', 'q5k', 'q3k', 'q2k', 'q2a', 'q3a', 'q5a', 'q6a'] as const),
    ...(['iq4nl', 'mxfp4', 'nf4', 'nvfp4', 'iq4xs', 'f8', 'mxfp8'] as const),
  ].flatMap((weight) =>
    [1, 5, 40].flatMap((rows) =>
      [plain, fast].map((attrs) => ({
        name: `${weight} ${rows} rows ${attrs.precision}`,
        inputs: [{ shape: [rows, 256] }, null, null, { shape: [40, 256], weight }, null],
        attrs,
      })),
    ),
  );
  const x = { shape: [3, 64] };
  const w = { shape: [32, 64], weight: 'q4' as const };
  const norm = { eps: 1e-5, offset: 0 };
  const positive = { shape: [64], fill: 'positive' as const };
  return [
    ...cases,
    ...others,
    { name: 'bias and residual', inputs: [x, null, { shape: [3, 32] }, w, { shape: [32] }], attrs: plain },
    {
      name: 'norm and three segments',
      inputs: [
        x,
        positive,
        null,
        w,
        null,
        { ...w, shape: [16, 64] },
        null,
        { ...w, shape: [16, 64] },
        { shape: [16] },
      ],
      attrs: { ...plain, norm },
    },
    {
      name: 'norm, gate and up',
      inputs: [x, positive, null, w, null, w, null],
      attrs: { ...plain, norm, glu: 'silu' },
    },
    { name: 'many rows', inputs: [{ shape: [70, 64] }, null, null, w, null], attrs: plain },
    {
      name: 'leading axes',
      inputs: [{ shape: [2, 3, 64] }, null, null, w, null],
      attrs: { ...plain, glu: 'none' },
    },
  ];
}

const plainLinear = (x: NDArray, w: Operand, bias: Operand | null, precision: KernelPrecision): NDArray =>
  x.apply(linearOp, [x, null, null, w, bias], { precision, norm: null, glu: 'none' });

export interface LinearOptions {
  readonly bias?: NDArray | undefined;
  /** Default 'fast': activations quantised to int8 per group where the weights are quantised. */
  readonly precision?: KernelPrecision | undefined;
}

/** `x [..., K]` times the transpose of a packed weight `[N, K]`: `[..., N]`. */
export const linear = (x: NDArray, w: Weight, options: LinearOptions = {}): NDArray =>
  plainLinear(x, w, options.bias ?? null, options.precision ?? 'fast');
