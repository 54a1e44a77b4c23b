// where: a where the condition holds, b elsewhere.

import type { DType } from '../../base/dtype.ts';
import { broadcastShapes } from '../../base/shape.ts';
import { scalarFunctions } from '../../kernel/scalar-functions.ts';
import type { NDArray } from '../array.ts';
import { defineOp, type NoAttrs } from '../op.ts';
import { applyElementwise, promote } from './elementwise.ts';
import { fullOp } from './full.ts';
import { expectDtype, operand, output } from './operands.ts';
import { sumTo } from './sum.ts';

export const whereOp = defineOp<NoAttrs>({
  name: 'where',
  infer: (inputs) => {
    const [condition, a, b] = [operand(inputs, 0), operand(inputs, 1), operand(inputs, 2)];
    expectDtype(condition, ['bool'], 'where: condition');
    expectDtype(b, [a.dtype], 'where: third operand');
    const shape = broadcastShapes(condition.shape, broadcastShapes(a.shape, b.shape, 'where'), 'where');
    return [{ shape, dtype: a.dtype }];
  },
  reference: (inputs, outputs) => applyElementwise(inputs, output(outputs), scalarFunctions.select),
  elementwise: { opcode: () => 'select' },
  vjp: ({ inputs, grads }) => {
    const g = operand(grads, 0);
    const condition = operand(inputs, 0);
    const zero = g.apply(fullOp, [], { shape: [], dtype: g.dtype, value: 0 });
    const da = where(condition, g, zero);
    const db = where(condition, zero, g);
    return [null, sumTo(da, operand(inputs, 1).shape), sumTo(db, operand(inputs, 2).shape)];
  },
  tolerance: () => ({ absolute: 0, relative: 0 }),
  cases: [
    {
      name: 'f32',
      inputs: [{ shape: [4, 9], dtype: 'bool', fill: 'bool' }, { shape: [4, 9] }, { shape: [9] }],
      attrs: {},
    },
    {
      name: 'i32 broadcast',
      inputs: [
        { shape: [3, 1], dtype: 'bool', fill: 'bool' },
        { shape: [], dtype: 'i32' },
        { shape: [3, 7], dtype: 'i32' },
      ],
      attrs: {},
    },
  ],
});

/** Elements of `a` where `condition`, of `b` elsewhere; shapes broadcast, dtypes promote. */
export function where(condition: NDArray, a: NDArray | number, b: NDArray | number): NDArray {
  const array = typeof a !== 'number' ? a : typeof b !== 'number' ? b : null;
  const dtype: DType =
    typeof a !== 'number' && typeof b !== 'number'
      ? promote(a.dtype, b.dtype, 'where')
      : (array?.dtype ?? 'f32');
  const lift = (x: NDArray | number): NDArray =>
    typeof x === 'number' ? condition.apply(fullOp, [], { shape: [], dtype, value: x }) : x.cast(dtype);
  return condition.apply(whereOp, [condition.cast('bool'), lift(a), lift(b)], {});
}
