// contiguous: a copy in memory of its own; what outputs of plans get that would otherwise be pieces of other arrays.

import { defineOp, type NoAttrs } from '../../op.ts';
import { emitWholeCopy } from '../memory/copy.ts';
import { operand, output } from '../operands.ts';

export const contiguousOp = defineOp<NoAttrs>({
  name: 'contiguous',
  infer: (inputs) => {
    const x = operand(inputs, 0);
    return [{ shape: x.shape, dtype: x.dtype }];
  },
  reference: (inputs, outputs) => output(outputs).data.set(operand(inputs, 0).data),
  vjp: ({ grads }) => [operand(grads, 0)],
  batch: ({ inputs, again }) => again(inputs),
  kernel: {
    halfFloats: true,
    emit: (context) => {
      emitWholeCopy(context, operand(context.inputs, 0), operand(context.outputs, 0));
    },
  },
  tolerance: () => ({ absolute: 0, relative: 0 }),
  cases: [
    { name: 'f32', inputs: [{ shape: [3, 5] }], attrs: {} },
    { name: 'u8', inputs: [{ shape: [7], dtype: 'u8' }], attrs: {} },
  ],
});
