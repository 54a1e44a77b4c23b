// A norm of the sum of two arrays, and that sum, in one pass over each row: what a residual connection in front of a norm is.

import { elementCount, maxElements } from '../../../base/shape.ts';
import type { NDArray } from '../../array.ts';
import { defineOp, type OpDef } from '../../op.ts';
import {
  countParam,
  expectFloat,
  expectShape,
  floats,
  operand,
  optional,
  rowsAlike,
  writeFloats,
} from '../operands.ts';
import { type LayerNormAttrs, layerNormOp } from './layer-norm.ts';
import { type RmsNormAttrs, rmsNormOp } from './rms-norm.ts';

/** Operands x, residual, weight and, for a layer norm, bias; results y and h = x + residual. */
function addNorm<A extends object>(
  norm: OpDef<A>,
  { name, emit, cases }: Pick<OpDef<A>, 'name' | 'cases'> & Pick<NonNullable<OpDef<A>['kernel']>, 'emit'>,
): OpDef<A> {
  return defineOp<A>({
    name,
    infer: (inputs, attrs) => {
      const [x, residual] = [operand(inputs, 0), operand(inputs, 1)];
      expectFloat(residual, name);
      expectShape(residual, x.shape, `${name}: residual`);
      const [y] = norm.infer([x, ...inputs.slice(2)], attrs);
      const type = y ?? x;
      return [type, type];
    },
    reference: (inputs, outputs, attrs) => {
      const [x, residual] = [operand(inputs, 0), floats(operand(inputs, 1))];
      const data = floats(x).map((v, i) => v + (residual[i] as number));
      // Normed before it is rounded to the dtype of the result.
      norm.reference([{ ...x, dtype: 'f32', data }, ...inputs.slice(2)], outputs.slice(0, 1), attrs);
      writeFloats(operand(outputs, 1), (out) => out.set(data));
    },
    composite: (inputs, attrs) => {
      const h = operand(inputs, 0).add(operand(inputs, 1));
      return [h.apply(norm, [h, ...inputs.slice(2)], attrs), h];
    },
    vjp: 'composite',
    kernel: { halfFloats: rowsAlike, emit },
    tolerance: (inputs, outputs, attrs) => {
      const { absolute, relative } = norm.tolerance?.(inputs, outputs, attrs) ?? { absolute: 0, relative: 0 };
      return { absolute: 2 * absolute, relative: 2 * relative };
    },
    flops: (inputs) => 6 * maxElements(operand(inputs, 0).shape),
    cases,
  });
}

export const addRmsNormOp = addNorm<RmsNormAttrs>(rmsNormOp, {
  name: 'addRmsNorm',
  emit: (context) => {
    const [x, residual] = [operand(context.inputs, 0), operand(context.inputs, 1)];
    const [y, sum] = [operand(context.outputs, 0), operand(context.outputs, 1)];
    const { shape } = x.type;
    context.emit(
      'rms_norm',
      { x, w: optional(context.inputs, 2), y, residual, sum, after: null },
      {
        rows: countParam(elementCount(shape.slice(0, -1))),
        D: countParam(elementCount(shape.slice(-1))),
        ...context.attrs,
        dtype: x.type.dtype,
      },
    );
  },
  cases: [
    {
      name: 'weight',
      inputs: [{ shape: [4, 96] }, { shape: [4, 96] }, { shape: [96], fill: 'positive' }],
      attrs: { eps: 1e-5, offset: 1 },
    },
    {
      name: 'no weight, odd width',
      inputs: [{ shape: [2, 3, 33] }, { shape: [2, 3, 33] }, null],
      attrs: { eps: 1e-6, offset: 0 },
    },
    {
      name: 'wide rows',
      inputs: [{ shape: [2, 2050] }, { shape: [2, 2050] }, { shape: [2050] }],
      attrs: { eps: 1e-6, offset: 0 },
    },
    {
      name: 'f16',
      inputs: [
        { shape: [2, 32], dtype: 'f16' },
        { shape: [2, 32], dtype: 'f16' },
        { shape: [32], dtype: 'f16', fill: 'positive' },
      ],
      attrs: { eps: 1e-5, offset: 0 },
    },
  ],
});

export const addLayerNormOp = addNorm<LayerNormAttrs>(layerNormOp, {
  name: 'addLayerNorm',
  emit: (context) => {
    const [x, residual] = [operand(context.inputs, 0), operand(context.inputs, 1)];
    const [y, sum] = [operand(context.outputs, 0), operand(context.outputs, 1)];
    const { shape } = x.type;
    context.emit(
      'layer_norm',
      { x, w: optional(context.inputs, 2), b: optional(context.inputs, 3), y, residual, sum },
      {
        rows: countParam(elementCount(shape.slice(0, -1))),
        D: countParam(elementCount(shape.slice(-1))),
        ...context.attrs,
        dtype: x.type.dtype,
      },
    );
  },
  cases: [
    {
      name: 'weight and bias',
      inputs: [{ shape: [4, 96] }, { shape: [4, 96] }, { shape: [96] }, { shape: [96] }],
      attrs: { eps: 1e-5 },
    },
    { name: 'plain', inputs: [{ shape: [3, 33] }, { shape: [3, 33] }, null, null], attrs: { eps: 1e-5 } },
  ],
});

/** `h = x + residual` and its RMS norm `h · rsqrt(mean(h²) + eps) · weight` over the last axis: `[y, h]`, of equal shapes. */
export const addRmsNorm = (
  x: NDArray,
  residual: NDArray,
  weight: NDArray | null,
  eps: number,
): readonly [y: NDArray, h: NDArray] =>
  x.applyMany(addRmsNormOp, [x, residual, weight], { eps, offset: 0 }) as never;

/** `h = x + residual` and its layer norm with weight and bias over the last axis: `[y, h]`, of equal shapes. */
export const addLayerNorm = (
  x: NDArray,
  residual: NDArray,
  weight: NDArray | null,
  bias: NDArray | null,
  eps: number,
): readonly [y: NDArray, h: NDArray] =>
  x.applyMany(addLayerNormOp, [x, residual, weight, bias], { eps }) as never;
