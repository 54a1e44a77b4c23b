// moeRoute: picks the top-k experts of each row and their mixing weights.

import { IngotError } from '../../../base/errors.ts';
import { elementCount } from '../../../base/shape.ts';
import type { RouteOrder } from '../../../kernel/signature.ts';
import type { NDArray } from '../../array.ts';
import { defineOp, type OpCase } from '../../op.ts';
import { arangeOp } from '../creation/arange.ts';
import { where } from '../elementwise/where.ts';
import { sortedOrder } from '../indexing/sort-rows.ts';
import {
  countParam,
  expectFloat,
  expectShape,
  fixed,
  floats,
  operand,
  optional,
  output,
} from '../operands.ts';

export interface MoeRouteAttrs {
  readonly k: number;
  /** Weights are divided by their sum plus `epsilon`. */
  readonly normTopk: boolean;
  readonly epsilon: number;
  /**
   * What makes scores of logits: 'softmax-topk' a softmax over all experts, 'topk-softmax' one over the chosen, 'sigmoid', or
   * 'sqrt-softplus' (DeepSeek V4).
   */
  readonly mode: RouteOrder;
  /** Multiplies the weights at the end. */
  readonly scale: number;
}

/** Operands: logits `[n, E]`, and numbers `[E]` that are added to scores for the choice alone, or null. */
export const moeRouteOp = defineOp<MoeRouteAttrs>({
  name: 'moeRoute',
  infer: (inputs, { k }) => {
    const x = operand(inputs, 0);
    expectFloat(x, 'moeRoute');
    const E = fixed(x.shape.at(-1), 'moeRoute');
    if (!Number.isInteger(k) || k < 1 || k > E) {
      throw new IngotError('invalid_argument', `moeRoute: k = ${k} must be from 1 to the ${E} experts`);
    }
    const correction = optional(inputs, 1);
    if (correction !== null) expectShape(correction, [E], 'moeRoute: correction');
    const shape = [...x.shape.slice(0, -1), k];
    return [
      { shape, dtype: 'i32' },
      { shape, dtype: 'f32' },
    ];
  },
  reference: (inputs, outputs, { k, normTopk, epsilon, mode, scale }) => {
    const x = floats(operand(inputs, 0));
    const E = operand(inputs, 0).shape.at(-1) ?? 1;
    const given = optional(inputs, 1);
    const correction = given === null ? null : floats(given);
    const [ids, weights] = [output(outputs, 0).data, output(outputs, 1).data];
    for (let row = 0; row * E < x.length; row++) {
      const scores = scoresOf(x.subarray(row * E, (row + 1) * E), mode);
      const key = (e: number): number => (scores[e] as number) + (correction?.[e] ?? 0);
      const chosen = sortedOrder(E, key, true).slice(0, k);
      const picked = chosen.map((e) => scores[e] as number);
      const kept = mode === 'topk-softmax' ? softmaxOf(picked) : picked;
      const sum = normTopk ? kept.reduce((a, w) => a + w, epsilon) : 1;
      chosen.forEach((e, j) => {
        ids[row * k + j] = e;
        weights[row * k + j] = ((kept[j] as number) / sum) * scale;
      });
    }
  },
  composite: (inputs, { k, normTopk, epsilon, mode, scale }) => {
    const x = operand(inputs, 0).cast('f32');
    const correction = optional(inputs, 1);
    const scores = {
      'softmax-topk': () => x.softmax(),
      'topk-softmax': () => x,
      sigmoid: () => x.sigmoid(),
      'sqrt-softplus': () => x.maximum(0).add(x.abs().neg().exp().log1p()).sqrt(),
    }[mode]();
    const [values, ids] = (correction === null ? scores : scores.add(correction)).topk(k);
    const picked = correction === null ? values : pickScores(scores, ids);
    const chosen = mode === 'topk-softmax' ? picked.softmax() : picked;
    const sum = normTopk ? chosen.sum(-1, true) : undefined;
    const normed = sum === undefined ? chosen : chosen.div(epsilon === 0 ? sum : sum.add(epsilon));
    return [ids, scale === 1 ? normed : normed.mul(scale)];
  },
  vjp: 'composite', // the choice itself has none, the shares of what is chosen do
  kernel: {
    emit: (context) => {
      const x = operand(context.inputs, 0);
      const { k, normTopk, epsilon, mode, scale } = context.attrs;
      const { shape } = x.type;
      context.emit(
        'moe_route',
        {
          logits: x,
          correction: optional(context.inputs, 1),
          ids: operand(context.outputs, 0),
          weights: operand(context.outputs, 1),
        },
        {
          rows: countParam(elementCount(shape.slice(0, -1))),
          E: fixed(shape.at(-1), 'moeRoute'),
          k,
          normTopk,
          epsilon,
          order: mode,
          scale,
        },
      );
    },
  },
  tolerance: () => ({ absolute: 0, relative: 64 * 2 ** -24 }),
  cases: [
    routeCase('normalised', [5, 32], { k: 4 }),
    routeCase('not normalised', [3, 8], { k: 2, normTopk: false, scale: 2.5 }),
    routeCase('softmax of chosen', [1, 16], { k: 4, normTopk: false, mode: 'topk-softmax' }),
    routeCase('sigmoid', [3, 24], { k: 3, mode: 'sigmoid', epsilon: 1e-6 }),
    routeCase('sigmoid, corrected', [4, 40], { k: 4, mode: 'sigmoid', epsilon: 1e-6, scale: 1.5 }, true),
    routeCase('softmax, corrected', [3, 70], { k: 6, epsilon: 1e-12 }, true),
    routeCase('softmax of chosen, corrected', [2, 9], { k: 2, mode: 'topk-softmax' }, true),
    routeCase('square root of softplus', [3, 130], { k: 6, mode: 'sqrt-softplus', scale: 1.5 }, true),
  ],
});

function routeCase(
  name: string,
  shape: readonly [rows: number, experts: number],
  attrs: Partial<MoeRouteAttrs> & Pick<MoeRouteAttrs, 'k'>,
  corrected = false,
): OpCase<MoeRouteAttrs> {
  return {
    name,
    inputs: [{ shape }, ...(corrected ? [{ shape: [shape[1]], fill: 'unit' as const }] : [])],
    attrs: { normTopk: true, epsilon: 0, mode: 'softmax-topk', scale: 1, ...attrs },
  };
}

function softmaxOf(x: readonly number[]): readonly number[] {
  const max = x.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const exp = x.map((v) => Math.exp(v - max));
  const total = exp.reduce((a, b) => a + b, 0);
  return exp.map((v) => v / total);
}

/** What experts are chosen by, before a correction: for a softmax over the chosen the logits. */
function scoresOf(logits: Float32Array, mode: MoeRouteAttrs['mode']): readonly number[] {
  switch (mode) {
    case 'topk-softmax':
      return [...logits];
    case 'softmax-topk':
      return softmaxOf([...logits]);
    case 'sigmoid':
      return [...logits].map((v) => 1 / (1 + Math.exp(-v)));
    case 'sqrt-softplus':
      return [...logits].map((v) => Math.sqrt(Math.max(v, 0) + Math.log1p(Math.exp(-Math.abs(v)))));
  }
}

/** The elements of `scores` `[n, E]` at ids `[n, k]`: `[n, k]`. */
export function pickScores(scores: NDArray, ids: NDArray): NDArray {
  const E = fixed(scores.shape.at(-1), 'moeRoute');
  const all = ids.apply(arangeOp, [], { start: 0, step: 1, length: E, dtype: 'i32' });
  const one = ids.reshape([...ids.shape, 1]).eq(all);
  return where(one, scores.reshape([...scores.shape.slice(0, -1), 1, E]), 0).sum(-1);
}

export interface MoeRouteOptions {
  readonly normTopk?: boolean | undefined;
  readonly mode?: MoeRouteAttrs['mode'] | undefined;
  readonly scale?: number | undefined;
  readonly epsilon?: number | undefined;
  /** `[E]`: added to scores for the choice, not to weights. */
  readonly correction?: NDArray | undefined;
}

/** Router logits `[n, E]` to expert ids (i32) and weights `[n, k]`, best first, ties to the lower id. */
export function moeRoute(
  logits: NDArray,
  k: number,
  options: MoeRouteOptions = {},
): readonly [ids: NDArray, weights: NDArray] {
  const [ids, weights] = logits.applyMany(moeRouteOp, [logits, options.correction ?? null], {
    k,
    normTopk: options.normTopk ?? true,
    epsilon: options.epsilon ?? 0,
    mode: options.mode ?? 'softmax-topk',
    scale: options.scale ?? 1,
  });
  return [ids as NDArray, weights as NDArray];
}
