// sample: draws a token from each row of logits: temperature, top-k, top-p, min-p, then a Philox random number.

import { IngotError } from '../../../base/errors.ts';
import { elementCount, formatShape } from '../../../base/shape.ts';
import type { NDArray } from '../../array.ts';
import { defineOp, type OpCase } from '../../op.ts';
import { philox } from '../creation/philox.ts';
import { sortedOrder } from '../indexing/sort-rows.ts';
import {
  countParam,
  expectDtype,
  expectShape,
  fixed,
  floats,
  operand,
  output,
  shapeError,
} from '../operands.ts';
import { type RowSettings, readSettings, SETTINGS_WORDS, settingsWords } from './row-settings.ts';

export interface SampleAttrs {
  /** Room for the most likely tokens of a row; the row's settings say how many of them are reported. At least 1. */
  readonly n: number;
}

/** Operands: logits f32 `[B, V]`, settings i32 `[B, 12]`. Outputs: ids `[B]`, logprobs `[B]`, topIds and topLogprobs `[B, n]`. */
export const sampleOp = defineOp<SampleAttrs>({
  name: 'sample',
  infer: (inputs, { n }) => {
    const [logits, settings] = [operand(inputs, 0), operand(inputs, 1)];
    expectDtype(logits, ['f32'], 'sample');
    if (logits.shape.length !== 2) {
      shapeError('sample', `logits must be [B, V], got ${formatShape(logits.shape)}`);
    }
    const [B = 0] = logits.shape;
    const V = fixed(logits.shape[1], 'sample');
    expectDtype(settings, ['i32'], 'sample: settings');
    expectShape(settings, [B, SETTINGS_WORDS], 'sample: settings');
    if (!Number.isInteger(n) || n < 1 || n > V) {
      throw new IngotError('invalid_argument', `sample: n = ${n} must be from 1 to the ${V} logits`);
    }
    return [
      { shape: [B], dtype: 'u32' },
      { shape: [B], dtype: 'f32' },
      { shape: [B, n], dtype: 'i32' },
      { shape: [B, n], dtype: 'f32' },
    ];
  },
  reference: (inputs, outputs, { n }) => {
    const logits = operand(inputs, 0);
    const words = operand(inputs, 1).data as Int32Array;
    const [B = 0, V = 0] = logits.shape;
    const all = floats(logits);
    for (let row = 0; row < B; row++) {
      const sampled = sampleRow(all.subarray(row * V, (row + 1) * V), readSettings(words, row));
      output(outputs, 0).data[row] = sampled.id;
      output(outputs, 1).data[row] = sampled.logprob;
      for (let j = 0; j < n; j++) {
        output(outputs, 2).data[row * n + j] = sampled.top[j]?.id ?? 0;
        output(outputs, 3).data[row * n + j] = sampled.top[j]?.logprob ?? 0;
      }
    }
  },
  vjp: 'none', // a choice has no gradient
  kernel: {
    emit: (context) => {
      const [logits, settings] = [operand(context.inputs, 0), operand(context.inputs, 1)];
      const { shape } = logits.type;
      context.emit(
        'sample',
        {
          logits,
          settings,
          out: operand(context.outputs, 0),
          outLogprob: operand(context.outputs, 1),
          topIds: operand(context.outputs, 2),
          topLogprobs: operand(context.outputs, 3),
        },
        {
          B: countParam(elementCount(shape.slice(0, 1))),
          V: fixed(shape[1], 'sample'),
          n: context.attrs.n,
        },
      );
    },
  },
  tolerance: (inputs) => {
    const largest = floats(operand(inputs, 0)).reduce((m, x) => Math.max(m, Math.abs(x)), 0);
    return { absolute: 32 * 2 ** -24 * (4 + largest), relative: 0 };
  },
  cases: sampleCases(),
});

interface Drawn {
  readonly id: number;
  readonly logprob: number;
  readonly top: readonly { readonly id: number; readonly logprob: number }[];
}

function sampleRow(logits: Float32Array, settings: Required<RowSettings>): Drawn {
  const wrong = logits.find((x) => !(x < Number.POSITIVE_INFINITY));
  if (wrong !== undefined) return { id: 0, logprob: wrong, top: [] };
  const order = sortedOrder(logits.length, (i) => logits[i] as number, true);
  const max = logits[order[0] as number] as number;
  if (max === Number.NEGATIVE_INFINITY) return { id: 0, logprob: max, top: [] };
  const total = logits.reduce((sum, x) => sum + Math.exp(x - max), 0);
  const logprob = (i: number): number => (logits[i] as number) - max - Math.log(total);
  const id = draw(logits, order, settings);
  const top = order.slice(0, settings.top).map((i) => ({ id: i, logprob: logprob(i) }));
  return { id, logprob: logprob(id), top };
}

/** The token drawn; `order` is descending. A token is kept by top-p while the probability before it is below p. */
function draw(logits: Float32Array, order: readonly number[], settings: Required<RowSettings>): number {
  const { temperature, topK, topP, minP, seed, step } = settings;
  const best = order[0] as number;
  if (temperature === 0) return best;
  const weight = (i: number): number =>
    Math.exp(((logits[i] as number) - (logits[best] as number)) / temperature);
  const kept = topK > 0 ? order.slice(0, topK) : order;
  const sum = kept.reduce((s, i) => s + weight(i), 0);
  const nucleus: number[] = [];
  let before = 0;
  for (const i of kept) {
    if (nucleus.length > 0 && before >= topP) break;
    if (nucleus.length > 0 && weight(i) < minP) break; // the best token has weight 1
    nucleus.push(i);
    before += weight(i) / sum;
  }
  const mass = nucleus.reduce((s, i) => s + weight(i), 0);
  let left = (philox(seed, step) / 2 ** 32) * mass;
  for (const i of nucleus) {
    left -= weight(i);
    if (left < 0) return i;
  }
  return nucleus[nucleus.length - 1] as number;
}

function sampleCases(): readonly OpCase<SampleAttrs>[] {
  const drawn = (name: string, V: number, n: number, rows: readonly RowSettings[]): OpCase<SampleAttrs> => ({
    name,
    inputs: [
      { shape: [rows.length, V] },
      { shape: [rows.length, SETTINGS_WORDS], dtype: 'i32', values: settingsWords(rows) },
    ],
    attrs: { n },
  });
  return [
    drawn('greedy', 99, 5, [{ top: 5 }]),
    drawn('temperature', 99, 1, [{ temperature: 0.8, seed: 7, step: 3, top: 1 }]),
    drawn('top-k', 99, 1, [{ temperature: 1, topK: 12, seed: 11, step: 1 }]),
    drawn('top-p and min-p', 99, 3, [{ temperature: 1.2, topP: 0.9, minP: 0.02, seed: 5, top: 3 }]),
    drawn('rows', 300, 4, [
      { top: 4 },
      { temperature: 1, seed: 2 ** 32 - 1, step: 9, top: 2 },
      { temperature: 0.7, topK: 5, seed: 3, top: 1 },
    ]),
  ];
}

export interface Sampled {
  /** u32 `[B]` */
  readonly id: NDArray;
  /** f32 `[B]` */
  readonly logprob: NDArray;
  /** i32 `[B, n]` */
  readonly topIds: NDArray;
  /** f32 `[B, n]` */
  readonly topLogprobs: NDArray;
}

/**
 * Draws a token from each row of `logits [B, V]` as its row of `settings` (i32 `[B, 12]`, see `settingsWords`) says.
 * Log-probabilities are of the distribution before temperature and truncation. Where there is no token to draw the id is 0
 * and the logprob is not finite: NaN or +infinity when a logit is, -infinity when all are.
 */
export function sample(logits: NDArray, settings: NDArray, n = 1): Sampled {
  const [id, logprob, topIds, topLogprobs] = logits.applyMany(sampleOp, [logits, settings], { n }) as [
    NDArray,
    NDArray,
    NDArray,
    NDArray,
  ];
  return { id, logprob, topIds, topLogprobs };
}
