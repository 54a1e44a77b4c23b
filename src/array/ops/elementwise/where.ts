// where: a where the condition holds, b elsewhere.

import type { DType } from '../../../base/dtype.ts';
import { broadcastShapes } from '../../../base/shape.ts';
import { scalarFunctions } from '../../../kernel/scalar-functions.ts';
import type { NDArray } from '../../array.ts';
import { defineOp, type NoAttrs } from '../../op.ts';
import { fullOp } from '../creation/full.ts';
import { expectDtype, operand, output } from '../operands.ts';
import { sumTo } from '../reduce/sum.ts';
import { applyElementwise, commonDtype, lift, someArray, type Term } from './elementwise.ts';

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
export function where(condition: Term, a: Term, b: Term): NDArray {
  const through = someArray([condition, a, b], 'where');
  const dtype = typeof a !== 'object' && typeof b !== 'object' ? literalDtype(a, b) : commonDtype(a, b);
  const choices = [lift(a, dtype, through, 'where'), lift(b, dtype, through, 'where')];
  return through.apply(whereOp, [lift(condition, 'bool', through, 'where'), ...choices], {});
}

/** Two numbers make f32, two truth values bool. */
const literalDtype = (a: Term, b: Term): DType =>
  typeof a === 'boolean' && typeof b === 'boolean' ? 'bool' : 'f32';
