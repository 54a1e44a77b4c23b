// Perplexity of a token sequence: exp of the mean negative log-likelihood over windows of the context.
// https://huggingface.co/docs/transformers/perplexity

import { IngotError } from '../base/errors.ts';
import { LOGITS_ROWS } from '../generate/passes.ts';
import type { Comparison, PerplexityOptions, PerplexityResult } from './types.ts';

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
  const { against } = options;
  const context = options.context ?? Math.min(against === undefined ? 1024 : 512, contextLength);
  const stride = options.stride ?? context;
  check({ context, stride, rows: options.rows ?? LOGITS_ROWS }, contextLength, tokens.length);
  const started = performance.now();
  let sum = 0;
  let predicted = 0;
  let scored = 0;
  const compared = { sum: 0, kl: 0, same: 0 };
  for (let start = 0; scored < tokens.length; start += stride) {
    const window = tokens.slice(start, start + context);
    const firstNew = Math.max(scored - start, 1);
    const others = await against?.logits(window);
    if (others !== undefined && others.shape[1] !== vocabSize)
      throw new IngotError(
        'invalid_argument',
        `a vocabulary of ${others.shape[1]} cannot be compared with one of ${vocabSize}: it is another model`,
      );
    await logits(window, (rows, firstRow) => {
      for (let i = 0; i * vocabSize < rows.length; i++) {
        const target = firstRow + i + 1;
        const id = window[target];
        if (id === undefined || target < firstNew) continue;
        const row = rows.subarray(i * vocabSize, (i + 1) * vocabSize);
        sum -= logProbability(row, id);
        predicted++;
        if (others === undefined) continue;
        const other = others.data.subarray((target - 1) * vocabSize, target * vocabSize);
        const { kl, same } = divergence(other, row);
        compared.sum -= logProbability(other, id);
        compared.kl += kl;
        compared.same += same ? 1 : 0;
      }
    });
    scored = start + window.length;
    onProgress?.({ tokensDone: scored, tokensTotal: tokens.length });
  }
  const comparison: Comparison = {
    perplexity: Math.exp(compared.sum / predicted),
    meanKl: compared.kl / predicted,
    topAgreement: compared.same / predicted,
  };
  return {
    perplexity: Math.exp(sum / predicted),
    tokens: predicted,
    ms: performance.now() - started,
    ...(against === undefined ? {} : { against: comparison }),
  };
}

/** KL(p || q) of the distributions of two rows of logits, in nats, and whether their largest is the same. */
export function divergence(
  p: Float32Array,
  q: Float32Array,
): { readonly kl: number; readonly same: boolean } {
  const [a, b] = [normaliser(p), normaliser(q)];
  let kl = 0;
  for (let i = 0; i < p.length; i++) {
    const log = (p[i] as number) - a.log;
    const share = Math.exp(log);
    if (share > 0) kl += share * (log - ((q[i] as number) - b.log));
  }
  return { kl: Math.max(0, kl), same: a.top === b.top };
}

/** What turns logits into log probabilities, and the place of the largest. */
function normaliser(logits: Float32Array): { readonly log: number; readonly top: number } {
  let top = 0;
  for (let i = 1; i < logits.length; i++) if ((logits[i] as number) > (logits[top] as number)) top = i;
  const max = logits[top] ?? Number.NaN;
  let total = 0;
  for (const x of logits) total += Math.exp(x - max);
  return { log: max + Math.log(total), top };
}

function check(
  { context, stride, rows }: { readonly context: number; readonly stride: number; readonly rows: number },
  contextLength: number,
  length: number,
): void {
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
  if (!Number.isInteger(rows) || rows < 1 || rows > LOGITS_ROWS)
    throw new IngotError('invalid_argument', `rows must be an integer from 1 to ${LOGITS_ROWS}, got ${rows}`);
  if (length < 2)
    throw new IngotError('invalid_argument', `the text has ${length} tokens: perplexity needs at least 2`);
}

/** log softmax(logits)[id], with the sum in double precision. */
export const logProbability = (logits: Float32Array, id: number): number =>
  (logits[id] ?? Number.NaN) - normaliser(logits).log;
