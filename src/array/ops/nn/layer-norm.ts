// layerNorm: zero mean and unit variance along the last axis, then weight and bias. https://arxiv.org/abs/1607.06450

import { epsilon } from '../../../base/dtype.ts';
import { elementCount, maxElements } from '../../../base/shape.ts';
import type { NDArray } from '../../array.ts';
import { defineOp } from '../../op.ts';
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

export interface LayerNormAttrs {
  readonly eps: number;
}

export const layerNormOp = defineOp<LayerNormAttrs>({
  name: 'layerNorm',
  infer: (inputs) => {
    const x = operand(inputs, 0);
    expectFloat(x, 'layerNorm');
    for (const i of [1, 2]) {
      const t = optional(inputs, i);
      if (t !== null) expectShape(t, x.shape.slice(-1), 'layerNorm: weight and bias');
    }
    return [{ shape: x.shape, dtype: x.dtype }];
  },
  reference: (inputs, outputs, { eps }) => {
    const t = operand(inputs, 0);
    const [w, b] = [optional(inputs, 1), optional(inputs, 2)].map((v) => (v === null ? null : floats(v)));
    const x = floats(t);
    const D = t.shape[t.shape.length - 1] as number;
    writeFloats(output(outputs), (out) => {
      for (let o = 0; o < x.length; o += D) {
        const row = x.subarray(o, o + D);
        const mean = row.reduce((a, v) => a + v, 0) / D;
        const variance = row.reduce((a, v) => a + (v - mean) ** 2, 0) / D;
        const scale = 1 / Math.sqrt(variance + eps);
        for (let i = 0; i < D; i++) {
          out[o + i] = ((row[i] as number) - mean) * scale * (w?.[i] ?? 1) + (b?.[i] ?? 0);
        }
      }
    });
  },
  composite: (inputs, { eps }) => {
    const x = operand(inputs, 0);
    const [w, b] = [optional(inputs, 1), optional(inputs, 2)];
    const centred = x.sub(x.mean(-1, true));
    const y = centred.mul(centred.square().mean(-1, true).add(eps).rsqrt());
    const scaled = w === null ? y : y.mul(w);
    return [b === null ? scaled : scaled.add(b)];
  },
  vjp: ({ inputs, grads, attrs: { eps } }) => {
    const x = operand(inputs, 0);
    const [w, b] = [optional(inputs, 1), optional(inputs, 2)];
    const g = operand(grads, 0);
    const centred = x.sub(x.mean(-1, true));
    const r = centred.square().mean(-1, true).add(eps).rsqrt();
    const y = centred.mul(r);
    const gw = w === null ? g : g.mul(w);
    const dx = gw
      .sub(gw.mean(-1, true))
      .sub(y.mul(gw.mul(y).mean(-1, true)))
      .mul(r);
    return [dx, w && sumTo(g.mul(y), w.shape), b && sumTo(g, b.shape)];
  },
  kernel: {
    halfFloats: rowsAlike,
    emit: (context) => {
      const x = operand(context.inputs, 0);
      const { shape } = x.type;
      context.emit(
        'layer_norm',
        {
          x,
          w: optional(context.inputs, 1),
          b: optional(context.inputs, 2),
          y: operand(context.outputs, 0),
          residual: null,
          sum: null,
        },
        {
          rows: countParam(elementCount(shape.slice(0, -1))),
          D: countParam(elementCount(shape.slice(-1))),
          eps: context.attrs.eps,
          dtype: x.type.dtype,
        },
      );
    },
  },
  tolerance: (inputs, outputs) => {
    const D = operand(inputs, 0).shape.at(-1) ?? 1;
    const error = (16 + 2 * Math.sqrt(D)) * 2 ** -23 + 2 * epsilon(output(outputs).dtype);
    return { absolute: 4 * error, relative: error };
  },
  flops: (inputs) => 7 * maxElements(operand(inputs, 0).shape),
  cases: [
    {
      name: 'weight and bias',
      inputs: [{ shape: [4, 96] }, { shape: [96] }, { shape: [96] }],
      attrs: { eps: 1e-5 },
    },
    { name: 'plain', inputs: [{ shape: [3, 33] }, null, null], attrs: { eps: 1e-5 } },
    {
      name: 'bf16',
      inputs: [
        { shape: [3, 1060], dtype: 'bf16' },
        { shape: [1060], dtype: 'bf16' },
        { shape: [1060], dtype: 'bf16' },
      ],
      attrs: { eps: 1e-5 },
    },
  ],
});

/** `(x - mean) · rsqrt(variance + eps) · weight + bias` over the last axis. */
export const layerNorm = (
  x: NDArray,
  weight: NDArray | null | undefined,
  bias: NDArray | null | undefined,
  eps: number,
): NDArray => x.apply(layerNormOp, [x, weight ?? null, bias ?? null], { eps });
