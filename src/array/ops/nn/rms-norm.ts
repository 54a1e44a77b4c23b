// rmsNorm: x / rms(x) along the last axis, times a weight. https://arxiv.org/abs/1910.07467

import { epsilon } from '../../../base/dtype.ts';
import { elementCount, maxElements } from '../../../base/shape.ts';
import type { NDArray } from '../../array.ts';
import { defineOp } from '../../op.ts';
import { maxAbs } from '../linear/packed.ts';
import {
  countParam,
  expectFloat,
  expectShape,
  floats,
  operand,
  optional,
  output,
  rowsAlike,
  writeFloats,
} from '../operands.ts';
import { sumTo } from '../reduce/sum.ts';

export interface RmsNormAttrs {
  readonly eps: number;
  /** Added to the weight: 1 for models that store w - 1. */
  readonly offset: number;
}

/** Rows of D numbers, each normalised and scaled by `weight + offset` (1 without a weight). */
export function normalizeRows(
  x: Float32Array,
  D: number,
  weight: Float32Array | null,
  eps: number,
  offset: number,
): Float32Array {
  const out = new Float32Array(x.length);
  for (let o = 0; o < x.length; o += D) {
    let squares = 0;
    for (let i = 0; i < D; i++) squares += (x[o + i] as number) ** 2;
    const scale = 1 / Math.sqrt(squares / D + eps);
    for (let i = 0; i < D; i++) {
      out[o + i] = (x[o + i] as number) * scale * (weight === null ? 1 : (weight[i] as number) + offset);
    }
  }
  return out;
}

/** Operands: x, weight or null, and what is added to the result or null. */
export const rmsNormOp = defineOp<RmsNormAttrs>({
  name: 'rmsNorm',
  infer: (inputs) => {
    const x = operand(inputs, 0);
    const w = optional(inputs, 1);
    expectFloat(x, 'rmsNorm');
    const after = optional(inputs, 2);
    if (w !== null) expectShape(w, x.shape.slice(-1), 'rmsNorm: weight');
    if (after !== null) expectShape(after, x.shape, 'rmsNorm: after');
    return [{ shape: x.shape, dtype: x.dtype }];
  },
  reference: (inputs, outputs, { eps, offset }) => {
    const x = operand(inputs, 0);
    const w = optional(inputs, 1);
    const D = x.shape[x.shape.length - 1] as number;
    const after = optional(inputs, 2);
    const added = after === null ? null : floats(after);
    const normed = normalizeRows(floats(x), D, w === null ? null : floats(w), eps, offset);
    writeFloats(output(outputs), (out) =>
      out.set(added === null ? normed : normed.map((v, i) => v + (added[i] as number))),
    );
  },
  composite: (inputs, { eps, offset }) => {
    const x = operand(inputs, 0);
    const w = optional(inputs, 1);
    const y = x.mul(x.square().mean(-1, true).add(eps).rsqrt());
    const after = optional(inputs, 2);
    const scaled = w === null ? y : y.mul(offset === 0 ? w : w.add(offset));
    return [after === null ? scaled : scaled.add(after)];
  },
  vjp: ({ inputs, grads, attrs: { eps, offset } }) => {
    const x = operand(inputs, 0);
    const w = optional(inputs, 1);
    const g = operand(grads, 0);
    const r = x.square().mean(-1, true).add(eps).rsqrt();
    const gw = w === null ? g : g.mul(offset === 0 ? w : w.add(offset));
    const y = x.mul(r);
    const dx = gw.sub(y.mul(gw.mul(y).mean(-1, true))).mul(r);
    return [dx, w === null ? null : sumTo(g.mul(y), w.shape), optional(inputs, 2) && g];
  },
  kernel: {
    halfFloats: rowsAlike,
    emit: (context) => {
      const x = operand(context.inputs, 0);
      const { shape } = x.type;
      context.emit(
        'rms_norm',
        {
          x,
          w: optional(context.inputs, 1),
          y: operand(context.outputs, 0),
          residual: null,
          sum: null,
          after: optional(context.inputs, 2),
        },
        {
          rows: countParam(elementCount(shape.slice(0, -1))),
          D: countParam(elementCount(shape.slice(-1))),
          eps: context.attrs.eps,
          dtype: x.type.dtype,
          offset: context.attrs.offset,
        },
      );
    },
  },
  tolerance: (inputs, outputs) => {
    const D = operand(inputs, 0).shape.at(-1) ?? 1;
    const relative = (8 + Math.sqrt(D)) * 2 ** -23 + 2 * epsilon(output(outputs).dtype);
    const after = optional(inputs, 2);
    return { absolute: relative * (1e-3 + (after === null ? 0 : maxAbs(floats(after)))), relative };
  },
  flops: (inputs) => 4 * maxElements(operand(inputs, 0).shape),
  cases: [
    {
      name: 'weight',
      inputs: [{ shape: [4, 96] }, { shape: [96], fill: 'positive' }],
      attrs: { eps: 1e-5, offset: 0 },
    },
    { name: 'no weight', inputs: [{ shape: [3, 33] }, null], attrs: { eps: 1e-6, offset: 0 } },
    {
      name: 'and an addition',
      inputs: [{ shape: [3, 36] }, { shape: [36], fill: 'positive' }, { shape: [3, 36] }],
      attrs: { eps: 1e-6, offset: 1 },
    },
    { name: 'offset', inputs: [{ shape: [2, 3, 64] }, { shape: [64] }], attrs: { eps: 1e-5, offset: 1 } },
    {
      name: 'f16',
      inputs: [
        { shape: [2, 32], dtype: 'f16' },
        { shape: [32], dtype: 'f16', fill: 'positive' },
      ],
      attrs: { eps: 1e-5, offset: 0 },
    },
  ],
});

/** `x · rsqrt(mean(x²) + eps) · (weight + offset)` over the last axis. */
export const rmsNorm = (
  x: NDArray,
  weight: NDArray | null | undefined,
  eps: number,
  options: { readonly offset?: number } = {},
): NDArray => x.apply(rmsNormOp, [x, weight ?? null], { eps, offset: options.offset ?? 0 });
