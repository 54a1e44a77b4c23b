// penalize: lowers the logits of tokens that occurred, before sampling.

import { elementCount } from '../../base/shape.ts';
import type { NDArray, Operand } from '../array.ts';
import { defineOp } from '../op.ts';
import type { Scalar } from '../types.ts';
import { emitCopy } from './copy.ts';
import {
  countParam,
  expectDtype,
  expectShape,
  operand,
  output,
  scalarParam,
  scalarValue,
} from './operands.ts';
import { type ScalarInput, scalarOf } from './scalar.ts';

export interface PenalizeAttrs {
  /** Divides positive and multiplies negative logits of tokens that occurred; 1 is off. https://arxiv.org/abs/1909.05858 */
  readonly repetition: Scalar;
  /** Subtracted once from the logits of tokens that occurred. */
  readonly presence: Scalar;
  /** Subtracted per occurrence. */
  readonly frequency: Scalar;
}

export const penalizeOp = defineOp<PenalizeAttrs>({
  name: 'penalize',
  overwrites: 0,
  infer: (inputs) => {
    const [logits, counts] = [operand(inputs, 0), operand(inputs, 1)];
    expectDtype(logits, ['f32'], 'penalize');
    expectDtype(counts, ['i32'], 'penalize: counts');
    expectShape(counts, logits.shape.slice(-1), 'penalize: counts');
    expectShape(logits, logits.shape.slice(-1), 'penalize: logits');
    return [{ shape: logits.shape, dtype: 'f32' }];
  },
  reference: (inputs, outputs, attrs) => {
    const [logits, counts] = [operand(inputs, 0).data, operand(inputs, 1).data];
    const out = output(outputs).data;
    const [repetition, presence, frequency] = [attrs.repetition, attrs.presence, attrs.frequency].map(
      scalarValue,
    ) as [number, number, number];
    logits.forEach((x, i) => {
      const n = counts[i] as number;
      if (n === 0) out[i] = x;
      else out[i] = (x > 0 ? x / repetition : x * repetition) - presence - frequency * n;
    });
  },
  vjp: 'none', // sampling is not differentiated
  native: {
    emit: (context) => {
      const [logits, counts] = [operand(context.inputs, 0), operand(context.inputs, 1)];
      const out = operand(context.outputs, 0);
      const { repetition, presence, frequency } = context.attrs;
      // The kernel works in place: on the logits themselves where they are not needed any more.
      if (out.slice.storage !== logits.slice.storage) {
        const stride = [{ mul: 1 }];
        emitCopy(context, logits, out, { bytes: 4, sizes: logits.type.shape, from: stride, to: stride });
      }
      context.emit(
        'penalize',
        [out, counts],
        [
          countParam(elementCount(logits.type.shape)),
          scalarParam(repetition),
          scalarParam(presence),
          scalarParam(frequency),
        ],
      );
    },
  },
  tolerance: () => ({ absolute: 2 ** -22, relative: 4 * 2 ** -24 }),
  cases: [
    {
      name: 'all',
      inputs: [{ shape: [97] }, { shape: [97], dtype: 'i32', fill: 'index', below: 3 }],
      attrs: { repetition: 1.3, presence: 0.2, frequency: 0.1 },
    },
  ],
});

export interface PenalizeOptions {
  readonly repetition?: ScalarInput | undefined;
  readonly presence?: ScalarInput | undefined;
  readonly frequency?: ScalarInput | undefined;
}

/** `logits [V]` with penalties for tokens whose `counts` (i32 `[V]`, a State or an array) are above 0. */
export const penalize = (logits: NDArray, counts: Operand, options: PenalizeOptions): NDArray =>
  logits.apply(penalizeOp, [logits, counts], {
    repetition: scalarOf(options.repetition ?? 1, 'f32'),
    presence: scalarOf(options.presence ?? 0, 'f32'),
    frequency: scalarOf(options.frequency ?? 0, 'f32'),
  });
