// Perplexity of a token sequence: exp of the mean negative log-likelihood over windows of the context.
// https://huggingface.co/docs/transformers/perplexity

import { IngotError } from '../base/errors.ts';
import type { PerplexityOptions, PerplexityResult } from './types.ts';

/** Logits of a window's rows, handed over a few rows at a time. */
export type WindowLogits = (
  tokens: readonly number[],
  onRows: (logits: Float32Array, firstRow: number) => void,
) => Promise<void>;

interface Sizes {
  readonly vocabSize: number;
  readonly contextLength: number;
}

/**
 * Windows of `context` tokens start every `stride` tokens; each scores the tokens that no earlier window has scored, given
 * what the window shows before them. A window's first token is not predicted.
 */
export async function perplexity(
  tokens: readonly number[],
  logits: WindowLogits,
  { vocabSize, contextLength, onProgress, ...options }: PerplexityOptions & Sizes,
): Promise<PerplexityResult> {
  const context = options.context ?? Math.min(1024, contextLength);
  const stride = options.stride ?? context;
  check(context, stride, contextLength, tokens.length);
  const started = performance.now();
  let sum = 0;
  let predicted = 0;
  let scored = 0;
  for (let start = 0; scored < tokens.length; start += stride) {
    const window = tokens.slice(start, start + context);
    const firstNew = Math.max(scored - start, 1);
    await logits(window, (rows, firstRow) => {
      for (let i = 0; i * vocabSize < rows.length; i++) {
        const target = firstRow + i + 1;
        const id = window[target];
        if (id === undefined || target < firstNew) continue;
        sum -= logProbability(rows.subarray(i * vocabSize, (i + 1) * vocabSize), id);
        predicted++;
      }
    });
    scored = start + window.length;
    onProgress?.({ tokensDone: scored, tokensTotal: tokens.length });
  }
  return { perplexity: Math.exp(sum / predicted), tokens: predicted, ms: performance.now() - started };
}

function check(context: number, stride: number, contextLength: number, length: number): void {
  if (!Number.isInteger(context) || context < 2 || context > contextLength) {
    throw new IngotError(
      'invalid_argument',
      `context must be an integer from 2 to ${contextLength}, got ${context}`,
    );
  }
  if (!Number.isInteger(stride) || stride < 1 || stride > context) {
    throw new IngotError(
      'invalid_argument',
      `stride must be an integer from 1 to the context of ${context}, got ${stride}`,
    );
  }
  if (length < 2)
    throw new IngotError('invalid_argument', `the text has ${length} tokens: perplexity needs at least 2`);
}

/** log softmax(logits)[id], with the sum in double precision. */
export function logProbability(logits: Float32Array, id: number): number {
  let max = Number.NEGATIVE_INFINITY;
  for (const x of logits) if (x > max) max = x;
  let total = 0;
  for (const x of logits) total += Math.exp(x - max);
  return (logits[id] ?? Number.NaN) - max - Math.log(total);
}
