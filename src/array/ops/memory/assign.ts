// assign: the elements of an array as the next version of a State.

import { defineOp, type NoAttrs } from '../../op.ts';
import { expectDtype, expectShape, operand, output } from '../operands.ts';
import { emitWholeCopy } from './copy.ts';
import { nextVersion } from './kv-write.ts';

/** Operands: a State, and an array of its shape and dtype. Output: the State's next version. */
export const assignOp = defineOp<NoAttrs>({
  name: 'assign',
  inPlace: [0],
  infer: (inputs) => {
    const [state, x] = [operand(inputs, 0), operand(inputs, 1)];
    expectShape(x, state.shape, 'assign');
    expectDtype(x, [state.dtype], 'assign');
    return [nextVersion(state)];
  },
  reference: (inputs, outputs) => output(outputs).data.set(operand(inputs, 1).data),
  vjp: 'none', // updates memory
  kernel: {
    halfFloats: true,
    emit: (context) => {
      emitWholeCopy(context, operand(context.inputs, 1), operand(context.outputs, 0));
    },
  },
  tolerance: () => ({ absolute: 0, relative: 0 }),
  cases: [
    { name: 'f32', inputs: [{ shape: [3, 5], state: true }, { shape: [3, 5] }], attrs: {} },
    {
      name: 'f16',
      inputs: [
        { shape: [7], dtype: 'f16', state: true },
        { shape: [7], dtype: 'f16' },
      ],
      attrs: {},
    },
  ],
});
