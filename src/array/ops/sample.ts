// sample: draws a token from logits: temperature, top-k, top-p, min-p, then a Philox random number.

import { IngotError } from '../../base/errors.ts';
import { elementCount } from '../../base/shape.ts';
import type { NDArray } from '../array.ts';
import { defineOp } from '../op.ts';
import type { Scalar } from '../types.ts';
import {
  countParam,
  expectDtype,
  expectShape,
  floats,
  operand,
  output,
  scalarParam,
  scalarValue,
} from './operands.ts';
import { philox } from './philox.ts';
import { type ScalarInput, scalarOf } from './scalar.ts';
import { sortedOrder } from './sort-rows.ts';

export interface SampleAttrs {
  /** 0 is greedy. */
  readonly temperature: Scalar;
  /** 0 is off. */
  readonly topK: Scalar;
  /** 1 is off. */
  readonly topP: Scalar;
  /** 0 is off. */
  readonly minP: Scalar;
  readonly seed: Scalar;
  readonly step: Scalar;
  /** How many of the most likely tokens to report; at least 1. */
  readonly n: number;
}

export const sampleOp = defineOp<SampleAttrs>({
  name: 'sample',
  infer: (inputs, { n }) => {
    const logits = operand(inputs, 0);
    expectDtype(logits, ['f32'], 'sample');
    expectShape(logits, logits.shape.slice(-1), 'sample: logits');
    const V = elementCount(logits.shape);
    if (!Number.isInteger(n) || n < 1 || V.dyn !== undefined || n > V.mul) {
      throw new IngotError('invalid_argument', `sample: n = ${n} must be from 1 to the ${V.mul} logits`);
    }
    return [
      { shape: [1], dtype: 'u32' },
      { shape: [1], dtype: 'f32' },
      { shape: [n], dtype: 'i32' },
      { shape: [n], dtype: 'f32' },
    ];
  },
  reference: (inputs, outputs, attrs) => {
    const logits = floats(operand(inputs, 0));
    const order = sortedOrder(logits.length, (i) => logits[i] as number, true);
    const max = logits[order[0] as number] as number;
    const total = logits.reduce((sum, x) => sum + Math.exp(x - max), 0);
    const logprob = (i: number): number => (logits[i] as number) - max - Math.log(total);
    const chosen = draw(logits, order, attrs);
    output(outputs, 0).data[0] = chosen;
    output(outputs, 1).data[0] = logprob(chosen);
    for (let j = 0; j < attrs.n; j++) {
      output(outputs, 2).data[j] = order[j] as number;
      output(outputs, 3).data[j] = logprob(order[j] as number);
    }
  },
  vjp: 'none', // a choice has no gradient
  native: {
    emit: (context) => {
      const { attrs, outputs } = context;
      const logits = operand(context.inputs, 0);
      const drawn = [attrs.temperature, attrs.topK, attrs.topP, attrs.minP, attrs.seed, attrs.step].map(
        scalarParam,
      );
      context.emit(
        'sample',
        [logits, ...outputs],
        [countParam(elementCount(logits.type.shape)), ...drawn, attrs.n],
      );
    },
  },
  tolerance: () => ({ absolute: 64 * 2 ** -24, relative: 16 * 2 ** -24 }),
  cases: [
    { name: 'greedy', inputs: [{ shape: [301] }], attrs: sampling({ temperature: 0, n: 5 }) },
    {
      name: 'temperature',
      inputs: [{ shape: [301] }],
      attrs: sampling({ temperature: 0.8, seed: 7, step: 3 }),
    },
    {
      name: 'top-k',
      inputs: [{ shape: [99] }],
      attrs: sampling({ temperature: 1, topK: 12, seed: 11, step: 1 }),
    },
    {
      name: 'top-p and min-p',
      inputs: [{ shape: [99] }],
      attrs: sampling({ temperature: 1.2, topP: 0.9, minP: 0.02, seed: 5, n: 3 }),
    },
  ],
});

function sampling(given: Partial<SampleAttrs>): SampleAttrs {
  return { temperature: 1, topK: 0, topP: 1, minP: 0, seed: 0, step: 0, n: 1, ...given };
}

/** The token drawn; `order` is descending. A token is kept by top-p while the probability before it is below p. */
function draw(logits: Float32Array, order: readonly number[], attrs: SampleAttrs): number {
  const temperature = scalarValue(attrs.temperature);
  const best = order[0] as number;
  if (temperature === 0) return best;
  const topK = scalarValue(attrs.topK);
  const weight = (i: number): number =>
    Math.exp(((logits[i] as number) - (logits[best] as number)) / temperature);
  const kept = topK > 0 ? order.slice(0, topK) : order;
  const sum = kept.reduce((s, i) => s + weight(i), 0);
  const nucleus: number[] = [];
  let before = 0;
  for (const i of kept) {
    if (nucleus.length > 0 && before >= scalarValue(attrs.topP)) break;
    if (nucleus.length > 0 && weight(i) < scalarValue(attrs.minP)) break; // the best token has weight 1
    nucleus.push(i);
    before += weight(i) / sum;
  }
  const mass = nucleus.reduce((s, i) => s + weight(i), 0);
  const u = philox(scalarValue(attrs.seed), scalarValue(attrs.step)) / 2 ** 32;
  let left = u * mass;
  for (const i of nucleus) {
    left -= weight(i);
    if (left < 0) return i;
  }
  return nucleus[nucleus.length - 1] as number;
}

export interface SampleOptions {
  readonly temperature?: ScalarInput | undefined;
  readonly topK?: ScalarInput | undefined;
  readonly topP?: ScalarInput | undefined;
  readonly minP?: ScalarInput | undefined;
  readonly seed?: ScalarInput | undefined;
  readonly step?: ScalarInput | undefined;
  /** Tokens reported in topIds and topLogprobs; default 1. */
  readonly n?: number | undefined;
}

export interface Sampled {
  /** u32 `[1]` */
  readonly id: NDArray;
  /** f32 `[1]` */
  readonly logprob: NDArray;
  /** i32 `[n]` */
  readonly topIds: NDArray;
  /** f32 `[n]` */
  readonly topLogprobs: NDArray;
}

/**
 * Draws a token from `logits [V]`. Options are numbers or plan scalars (temperature, topP, minP: f32; topK: i32; seed,
 * step: u32). Log-probabilities are of the distribution before temperature and truncation.
 */
export function sample(logits: NDArray, options: SampleOptions = {}): Sampled {
  const [id, logprob, topIds, topLogprobs] = logits.applyMany(sampleOp, [logits], {
    temperature: scalarOf(options.temperature ?? 0, 'f32'),
    topK: scalarOf(options.topK ?? 0, 'i32'),
    topP: scalarOf(options.topP ?? 1, 'f32'),
    minP: scalarOf(options.minP ?? 0, 'f32'),
    seed: scalarOf(options.seed ?? 0, 'u32'),
    step: scalarOf(options.step ?? 0, 'u32'),
    n: options.n ?? 1,
  }) as [NDArray, NDArray, NDArray, NDArray];
  return { id, logprob, topIds, topLogprobs };
}
