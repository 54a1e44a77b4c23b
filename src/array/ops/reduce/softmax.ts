// softmax: exp(x - max) / sum along an axis; and what it shares with logSoftmax, which one kernel computes too.

import { epsilon, isFloat } from '../../../base/dtype.ts';
import { elementCount, maxElements } from '../../../base/shape.ts';
import type { NDArray } from '../../array.ts';
import { defineOp, type NoAttrs, type OpDef } from '../../op.ts';
import { countParam, expectFloat, floats, operand, output, rowsAlike, writeFloats } from '../operands.ts';
import { overLastAxis } from './last-axis.ts';

interface SoftmaxRules {
  /** The result of one element, from its distance to the largest of its row and the row's sum of exponentials. */
  value(shifted: number, sum: number): number;
  readonly composite: NonNullable<OpDef<NoAttrs>['composite']>;
  readonly vjp: OpDef<NoAttrs>['vjp'];
}

/** An op over the last axis by the `softmax` kernel, which also takes the logarithm when `log` is set. */
export function softmaxLike(name: string, log: boolean, rules: SoftmaxRules): OpDef<NoAttrs> {
  return defineOp<NoAttrs>({
    name,
    infer: (inputs) => {
      const x = operand(inputs, 0);
      expectFloat(x, name);
      return [{ shape: x.shape, dtype: x.dtype }];
    },
    reference: (inputs, outputs) => {
      const t = operand(inputs, 0);
      const x = floats(t);
      const D = t.shape[t.shape.length - 1] as number;
      writeFloats(output(outputs), (out) => {
        for (let o = 0; o < x.length; o += D) {
          let max = Number.NEGATIVE_INFINITY;
          for (let i = 0; i < D; i++) max = Math.max(max, x[o + i] as number);
          let sum = 0;
          for (let i = 0; i < D; i++) sum += Math.exp((x[o + i] as number) - max);
          for (let i = 0; i < D; i++) out[o + i] = rules.value((x[o + i] as number) - max, sum);
        }
      });
    },
    composite: rules.composite,
    vjp: rules.vjp,
    batch: ({ inputs, again }) => again(inputs),
    kernel: {
      halfFloats: rowsAlike,
      emit: (context) => {
        const x = operand(context.inputs, 0);
        const { shape } = x.type;
        context.emit(
          'softmax',
          { x, y: operand(context.outputs, 0) },
          {
            rows: countParam(elementCount(shape.slice(0, -1))),
            D: countParam(elementCount(shape.slice(-1))),
            log,
            dtype: x.type.dtype,
          },
        );
      },
    },
    tolerance: (inputs, outputs) => {
      const error =
        2 ** -24 * (16 + (operand(inputs, 0).shape.at(-1) ?? 1) / 4) + 2 * epsilon(output(outputs).dtype);
      return { absolute: error, relative: error };
    },
    flops: (inputs) => 5 * maxElements(operand(inputs, 0).shape),
    cases: [
      { name: 'rows', inputs: [{ shape: [5, 33] }], attrs: {} },
      { name: 'wide', inputs: [{ shape: [2, 1000] }], attrs: {} },
      { name: 'vector', inputs: [{ shape: [7] }], attrs: {} },
      { name: 'f16', inputs: [{ shape: [3, 40], dtype: 'f16' }], attrs: {} },
      { name: 'f16, odd', inputs: [{ shape: [3, 41], dtype: 'f16' }], attrs: {} },
      { name: 'bf16, wide', inputs: [{ shape: [2, 9000], dtype: 'bf16' }], attrs: {} },
    ],
  });
}

export const softmaxOp = softmaxLike('softmax', false, {
  value: (shifted, sum) => Math.exp(shifted) / sum,
  composite: (inputs) => {
    const x = operand(inputs, 0);
    const e = x.sub(x.max(-1, true)).exp();
    return [e.div(e.sum(-1, true))];
  },
  vjp: ({ outputs, grads }) => {
    const [y, g] = [operand(outputs, 0), operand(grads, 0)];
    return [g.sub(g.mul(y).sum(-1, true)).mul(y)];
  },
});

/** exp(x - max) / sum along an axis, or over several or (null) all together. The axis defaults to the last. */
export const softmax = (x: NDArray, axis: number | readonly number[] | null = -1): NDArray =>
  overLastAxis(isFloat(x.dtype) ? x : x.cast('f32'), axis, 'softmax', (y) => y.apply(softmaxOp, [y], {}));
