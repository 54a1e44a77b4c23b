// moeRoute: picks the top-k experts of each row and their mixing weights.

import { IngotError } from '../../../base/errors.ts';
import { elementCount } from '../../../base/shape.ts';
import type { NDArray } from '../../array.ts';
import { defineOp } from '../../op.ts';
import { sortedOrder } from '../indexing/sort-rows.ts';
import { countParam, expectFloat, fixed, floats, operand, output } from '../operands.ts';

export interface MoeRouteAttrs {
  readonly k: number;
  /** Weights are divided by their sum. */
  readonly normTopk: boolean;
  /** 'softmax-topk': softmax over all experts, then top-k; 'topk-softmax': softmax over the chosen. */
  readonly mode: 'softmax-topk' | 'topk-softmax';
  /** Multiplies the weights at the end. */
  readonly scale: number;
}

export const moeRouteOp = defineOp<MoeRouteAttrs>({
  name: 'moeRoute',
  infer: (inputs, { k }) => {
    const x = operand(inputs, 0);
    expectFloat(x, 'moeRoute');
    const E = fixed(x.shape.at(-1), 'moeRoute');
    if (!Number.isInteger(k) || k < 1 || k > E) {
      throw new IngotError('invalid_argument', `moeRoute: k = ${k} must be from 1 to the ${E} experts`);
    }
    const shape = [...x.shape.slice(0, -1), k];
    return [
      { shape, dtype: 'i32' },
      { shape, dtype: 'f32' },
    ];
  },
  reference: (inputs, outputs, { k, normTopk, mode, scale }) => {
    const x = floats(operand(inputs, 0));
    const E = operand(inputs, 0).shape.at(-1) ?? 1;
    const [ids, weights] = [output(outputs, 0).data, output(outputs, 1).data];
    for (let row = 0; row * E < x.length; row++) {
      const logits = x.subarray(row * E, (row + 1) * E);
      const chosen = sortedOrder(E, (i) => logits[i] as number, true).slice(0, k);
      const max = logits[chosen[0] as number] as number;
      const exp = (i: number): number => Math.exp((logits[i] as number) - max);
      const over = mode === 'softmax-topk' ? [...logits.keys()] : chosen;
      const total = over.reduce((sum, i) => sum + exp(i), 0);
      const kept = chosen.reduce((sum, i) => sum + exp(i) / total, 0);
      chosen.forEach((e, j) => {
        ids[row * k + j] = e;
        weights[row * k + j] = (exp(e) / total / (normTopk ? kept : 1)) * scale;
      });
    }
  },
  composite: (inputs, { k, normTopk, mode, scale }) => {
    const x = operand(inputs, 0).cast('f32');
    const [values, ids] = (mode === 'softmax-topk' ? x.softmax() : x).topk(k);
    const chosen = mode === 'softmax-topk' ? values : values.softmax();
    const normed = normTopk ? chosen.div(chosen.sum(-1, true)) : chosen;
    return [ids, scale === 1 ? normed : normed.mul(scale)];
  },
  vjp: 'composite', // the choice itself has none, the shares of what is chosen do
  kernel: {
    emit: (context) => {
      const x = operand(context.inputs, 0);
      const { k, normTopk, mode, scale } = context.attrs;
      const { shape } = x.type;
      context.emit(
        'moe_route',
        { logits: x, ids: operand(context.outputs, 0), weights: operand(context.outputs, 1) },
        {
          rows: countParam(elementCount(shape.slice(0, -1))),
          E: fixed(shape.at(-1), 'moeRoute'),
          k,
          normTopk,
          order: mode,
          scale,
        },
      );
    },
  },
  tolerance: () => ({ absolute: 0, relative: 64 * 2 ** -24 }),
  cases: [
    {
      name: 'normalised',
      inputs: [{ shape: [5, 32] }],
      attrs: { k: 4, normTopk: true, mode: 'softmax-topk', scale: 1 },
    },
    {
      name: 'not normalised',
      inputs: [{ shape: [3, 8] }],
      attrs: { k: 2, normTopk: false, mode: 'softmax-topk', scale: 2.5 },
    },
    {
      name: 'softmax of chosen',
      inputs: [{ shape: [1, 16] }],
      attrs: { k: 4, normTopk: false, mode: 'topk-softmax', scale: 1 },
    },
  ],
});

export interface MoeRouteOptions {
  readonly normTopk?: boolean | undefined;
  readonly mode?: MoeRouteAttrs['mode'] | undefined;
  readonly scale?: number | undefined;
}

/** Router logits `[n, E]` to expert ids (i32) and weights `[n, k]`, best first, ties to the lower id. */
export function moeRoute(
  logits: NDArray,
  k: number,
  options: MoeRouteOptions = {},
): readonly [ids: NDArray, weights: NDArray] {
  const [ids, weights] = logits.applyMany(moeRouteOp, [logits], {
    k,
    normTopk: options.normTopk ?? true,
    mode: options.mode ?? 'softmax-topk',
    scale: options.scale ?? 1,
  });
  return [ids as NDArray, weights as NDArray];
}
