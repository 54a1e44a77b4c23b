// take: picks elements along an axis by index (gather).

import { bytesPerElement } from '../../../base/dtype.ts';
import { IngotError } from '../../../base/errors.ts';
import { elementCount, normalizeAxis } from '../../../base/shape.ts';
import type { NDArray } from '../../array.ts';
import { defineOp } from '../../op.ts';
import { toFront } from '../batch.ts';
import { arangeOp } from '../creation/arange.ts';
import { lift } from '../elementwise/elementwise.ts';
import { countParam, expectDtype, fixed, numel, operand, output } from '../operands.ts';
import { scatterAdd } from './scatter-add.ts';

export interface TakeAttrs {
  readonly axis: number;
}

export const takeOp = defineOp<TakeAttrs>({
  name: 'take',
  infer: (inputs, { axis }) => {
    const [x, ids] = [operand(inputs, 0), operand(inputs, 1)];
    expectDtype(ids, ['i32'], 'take: indices');
    return [{ shape: [...x.shape.slice(0, axis), ...ids.shape, ...x.shape.slice(axis + 1)], dtype: x.dtype }];
  },
  reference: (inputs, outputs, { axis }) => {
    const [x, ids] = [operand(inputs, 0), operand(inputs, 1)];
    const out = output(outputs);
    const D = x.shape[axis] as number;
    const inner = numel(x.shape.slice(axis + 1));
    const outer = numel(x.shape.slice(0, axis));
    let to = 0;
    for (let o = 0; o < outer; o++) {
      for (const id of ids.data) {
        const row = id < 0 ? id + D : id;
        if (row < 0 || row >= D) {
          throw new IngotError('invalid_argument', `take: index ${id} is outside axis ${axis} of size ${D}`);
        }
        const from = (o * D + row) * inner;
        out.data.set(x.data.subarray(from, from + inner), to);
        to += inner;
      }
    }
  },
  vjp: ({ inputs, grads, attrs: { axis } }) => {
    const [x, ids] = [operand(inputs, 0), operand(inputs, 1)];
    const g = operand(grads, 0);
    const D = fixed(x.shape[axis], 'take: gradient');
    // Indices to the front, then one row of updates per index.
    const axes = g.shape.map((_, i) => i);
    const own = axes.slice(axis, axis + ids.shape.length);
    const rest = axes.filter((a) => !own.includes(a));
    const updates = g.transpose([...own, ...rest]);
    const others = rest.map((a) => operand(g.shape, a));
    const count = elementCount(ids.shape);
    const n = count.dyn ?? count.mul;
    const restSize = others.reduce<number>((size, d) => size * fixed(d, 'take: gradient'), 1);
    const summed = scatterAdd(updates.reshape([n, restSize]), ids.reshape([n]), D).reshape([D, ...others]);
    const back = [...others.keys()].map((i) => i + 1);
    return [summed.transpose([...back.slice(0, axis), 0, ...back.slice(axis)]), null];
  },
  batch: (call) => {
    const { inputs, batched, size, attrs, again } = call;
    const [x, ids] = [operand(inputs, 0), operand(inputs, 1)];
    if (!batched[1]) return again(inputs, { axis: attrs.axis + 1 });
    if (!batched[0]) return [toFront(operand(again(inputs), 0), attrs.axis, 'take')];
    // Both differ: the examples one after the other along the axis, and indices that know which is theirs.
    const D = fixed(x.shape[attrs.axis + 1], 'take');
    const others = x.shape.filter((_, i) => i !== 0 && i !== attrs.axis + 1);
    const rows = toFront(x, attrs.axis + 1, 'take').transpose(swapFirst(x.shape.length));
    const flat = rows.reshape([size * D, ...others]);
    const wrapped = ids.add(ids.lt(0).cast('i32').mul(D));
    const outside = wrapped
      .lt(0)
      .logicalOr(wrapped.ge(D))
      .cast('i32')
      .mul(size * D);
    const starts = ids
      .apply(arangeOp, [], { start: 0, step: D, length: size, dtype: 'i32' })
      .reshape([size, ...ids.shape.slice(1).map(() => 1)]);
    const taken = flat.take(wrapped.add(starts).add(outside), 0);
    // [size, ids…, others…]: the axes of the indices go where the axis was.
    const idAxes = ids.shape.slice(1).map((_, i) => i + 1);
    const rest = others.map((_, i) => i + ids.shape.length);
    return [taken.transpose([0, ...rest.slice(0, attrs.axis), ...idAxes, ...rest.slice(attrs.axis)])];
  },
  kernel: {
    halfFloats: true,
    emit: (context) => {
      const [x, ids] = [operand(context.inputs, 0), operand(context.inputs, 1)];
      const { axis } = context.attrs;
      const { shape, dtype } = x.type;
      context.emit(
        'gather',
        { x, indices: ids, y: operand(context.outputs, 0) },
        {
          outer: countParam(elementCount(shape.slice(0, axis))),
          D: countParam(elementCount(shape.slice(axis, axis + 1))),
          inner: countParam(elementCount(shape.slice(axis + 1))),
          n: countParam(elementCount(ids.type.shape)),
          bytes: bytesPerElement(dtype),
        },
      );
    },
  },
  tolerance: () => ({ absolute: 0, relative: 0 }),
  cases: [
    {
      name: 'rows',
      inputs: [{ shape: [7, 5] }, { shape: [4], dtype: 'i32', fill: 'index', below: 7 }],
      attrs: { axis: 0 },
    },
    {
      name: 'columns',
      inputs: [{ shape: [3, 9] }, { shape: [2, 3], dtype: 'i32', fill: 'index', below: 9 }],
      attrs: { axis: 1 },
    },
    {
      name: 'scalar index',
      inputs: [{ shape: [6, 4] }, { shape: [], dtype: 'i32', fill: 'index', below: 6 }],
      attrs: { axis: 0 },
    },
    {
      name: 'f16 middle',
      inputs: [
        { shape: [2, 5, 3], dtype: 'f16' },
        { shape: [4], dtype: 'i32', fill: 'index', below: 5 },
      ],
      attrs: { axis: 1 },
    },
    {
      name: 'from the end',
      inputs: [{ shape: [3, 5] }, { shape: [4], dtype: 'i32', values: [-1, 0, -5, 4] }],
      attrs: { axis: 1 },
    },
  ],
});

/**
 * Elements of `x` along `axis` (default 0) at integer indices of any shape, which replaces that axis. Negative indices count
 * from the end; one outside the axis fails the run.
 */
export const take = (array: NDArray, ids: NDArray | number, axis?: number): NDArray => {
  const x = axis === undefined ? array.reshape([-1]) : array;
  const at = normalizeAxis(axis ?? 0, x.shape.length, 'take');
  return x.apply(takeOp, [x, indices(typeof ids === 'number' ? lift(ids, 'i32', x, 'take') : ids, 'take')], {
    axis: at,
  });
};

/** Indices as i32. Throws invalid_argument for floats and truth values. */
export function indices(ids: NDArray, what: string): NDArray {
  expectDtype(ids, ['i32', 'u32', 'i8', 'u8'], `${what}: indices`);
  // Beyond i32 is beyond every axis: it must not turn into an index from the end.
  return ids.dtype === 'u32' ? ids.minimum(2 ** 31 - 1).cast('i32') : ids.cast('i32');
}

/** The order of `rank` axes that exchanges the first two. */
const swapFirst = (rank: number): readonly number[] => [
  1,
  0,
  ...Array.from({ length: rank - 2 }, (_, i) => i + 2),
];
