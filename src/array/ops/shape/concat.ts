// concat: arrays one after the other along an axis.

import { bytesPerElement } from '../../../base/dtype.ts';
import { IngotError } from '../../../base/errors.ts';
import { formatShape, normalizeAxis, rowMajorStrides, sameDim } from '../../../base/shape.ts';
import type { NDArray } from '../../array.ts';
import { defineOp } from '../../op.ts';
import { withBatch } from '../batch.ts';
import { promote } from '../elementwise/elementwise.ts';
import { emitCopy, scaleCount } from '../memory/copy.ts';
import { fixed, numel, operand, output, shapeError } from '../operands.ts';

export interface ConcatAttrs {
  readonly axis: number;
}

export const concatOp = defineOp<ConcatAttrs>({
  name: 'concat',
  infer: (inputs, { axis }) => {
    const first = operand(inputs, 0);
    let size = 0;
    inputs.forEach((_, i) => {
      const t = operand(inputs, i);
      const fits =
        t.shape.length === first.shape.length &&
        t.dtype === first.dtype &&
        t.shape.every((d, k) => k === axis || sameDim(d, operand(first.shape, k)));
      if (!fits) {
        shapeError(
          'concat',
          `operand ${i} is ${t.dtype} ${formatShape(t.shape)}, operand 0 ${first.dtype} ${formatShape(first.shape)}`,
        );
      }
      size += fixed(t.shape[axis], 'concat');
    });
    return [{ shape: first.shape.map((d, k) => (k === axis ? size : d)), dtype: first.dtype }];
  },
  reference: (inputs, outputs, { axis }) => {
    const out = output(outputs);
    const inner = numel(out.shape.slice(axis + 1));
    const row = inner * (out.shape[axis] as number);
    let at = 0;
    for (let i = 0; i < inputs.length; i++) {
      const x = operand(inputs, i);
      const piece = inner * (x.shape[axis] as number);
      for (let o = 0; o * piece < x.data.length; o++) {
        out.data.set(x.data.subarray(o * piece, (o + 1) * piece), o * row + at);
      }
      at += piece;
    }
  },
  vjp: ({ inputs, grads, attrs: { axis } }) => {
    const g = operand(grads, 0);
    let at = 0;
    return inputs.map((_, i) => {
      const size = fixed(operand(inputs, i).shape[axis], 'concat');
      const ranges = g.shape.map((__, k) => (k === axis ? ([at, at + size] as const) : null));
      at += size;
      return g.slice(...ranges);
    });
  },
  batch: (call) =>
    call.again(
      call.inputs.map((_, i) => withBatch(call, i)),
      { axis: call.attrs.axis + 1 },
    ),
  kernel: {
    halfFloats: true,
    emit: (context) => {
      const { axis } = context.attrs;
      const out = operand(context.outputs, 0);
      const to = rowMajorStrides(out.type.shape);
      let at = 0;
      for (let i = 0; i < context.inputs.length; i++) {
        const x = operand(context.inputs, i);
        emitCopy(context, x, out, {
          bytes: bytesPerElement(x.type.dtype),
          sizes: x.type.shape,
          from: rowMajorStrides(x.type.shape),
          to,
          toOffset: scaleCount(operand(to, axis), at),
        });
        at += fixed(x.type.shape[axis], 'concat');
      }
    },
  },
  tolerance: () => ({ absolute: 0, relative: 0 }),
  cases: [
    { name: 'rows', inputs: [{ shape: [2, 5] }, { shape: [3, 5] }], attrs: { axis: 0 } },
    {
      name: 'columns',
      inputs: [{ shape: [4, 2] }, { shape: [4, 1] }, { shape: [4, 6] }],
      attrs: { axis: 1 },
    },
    {
      name: 'i32 middle',
      inputs: [
        { shape: [2, 2, 3], dtype: 'i32' },
        { shape: [2, 1, 3], dtype: 'i32' },
      ],
      attrs: { axis: 1 },
    },
  ],
});

/** Arrays joined along `axis` (default 0; null: their elements in their order); the other sizes must agree, dtypes promote. */
export function concat(arrays: readonly NDArray[], axis: number | null = 0, what = 'concat'): NDArray {
  if (!Array.isArray(arrays) || arrays.length === 0) {
    throw new IngotError('invalid_argument', `${what}: a list of at least one array is needed`);
  }
  if (axis === null)
    return concat(
      arrays.map((a) => a.reshape([-1])),
      0,
      what,
    );
  const first = arrays[0] as NDArray;
  if (arrays.length === 1) return first;
  const dtype = arrays.reduce((d, a) => promote(d, a.dtype), first.dtype);
  const at = normalizeAxis(axis, first.shape.length, what);
  // An array of no elements that fits beside the first one has nothing to copy, and GPUs bind no empty buffers.
  const fits = (a: NDArray): boolean =>
    a.shape.length === first.shape.length &&
    a.shape.every((d, k) => k === at || sameDim(d, operand(first.shape, k)));
  const odd = arrays.find((a) => !fits(a));
  if (odd !== undefined) {
    shapeError(
      what,
      `array ${arrays.indexOf(odd)} has shape ${formatShape(odd.shape)}, array 0 ${formatShape(first.shape)}: they may differ in axis ${at} only`,
    );
  }
  const full = arrays.filter((a) => a.shape[at] !== 0);
  const parts = full.length === 0 ? arrays.slice(0, 1) : full;
  const typed = parts.map((a) => a.cast(dtype));
  return typed.length === 1 ? operand(typed, 0) : first.apply(concatOp, typed, { axis: at });
}
