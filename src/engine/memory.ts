// The byte budget of a loaded model, decided before anything is allocated.

import { IngotError } from '../base/errors.ts';
import { formatBytes } from '../base/text.ts';
import { type CacheSizes, pagesFor } from '../cache/sizes.ts';
import { CHUNK } from '../generate/runner.ts';

/** Working memory beside weights and KV: activations of one chunk, worker scratch, the runtime. */
export const WORKING_BYTES = 192 * 2 ** 20;

/** Generations that run at a time by default. */
export const MAX_SEQUENCES = 64;

/** KV bytes, beside one whole context, where the size of the memory is not known. */
const BLIND_KV_BYTES = 2 * 2 ** 30;

/** What prefixes of earlier prompts keep at most by default, beside one whole context. */
const PREFIX_BYTES = 2 ** 30;

/** A context that is shortened to fit memory stays at least this long. */
export const SHORT_CONTEXT = 2048;

export interface MemoryRequest {
  readonly model: string;
  readonly weightBytes: number;
  /** Of what layers keep. */
  readonly sizes: CacheSizes;
  readonly vocabSize: number;
  /** The most tokens the model was trained for. */
  readonly modelContext: number;
  /** Tokens to load for where the caller does not say, when that is less. */
  readonly plainContext?: number | undefined;
  /** What the caller asked for; undefined lets the budget decide. */
  readonly contextLength: number | undefined;
  readonly maxSequences: number | undefined;
  readonly kvBytes: number | undefined;
  readonly prefixBytes?: number | undefined;
  readonly limit: number;
}

export interface MemoryPlan {
  /** Tokens a sequence can have. */
  readonly contextLength: number;
  readonly maxSequences: number;
  /** Pages of the cache, of layers that see everything: at least those of one whole context. */
  readonly pages: number;
  /** Bytes that the cache stays within where layers that see less can do with fewer pages. */
  readonly cacheBytes: number;
  /** Bytes of the cache that prefixes of earlier prompts may keep when no sequence uses them. */
  readonly prefixBytes: number;
}

/**
 * What fits: the caller's context length, or the model's own cut to what the budget leaves (a quarter of it at most, so
 * that a 128k-token model does not take the machine by default); pages for as many sequences of that length as there may
 * be, at most an eighth beside one such sequence unless the caller says how much; and of these, for prefixes that nobody uses,
 * at most a gigabyte or one sequence: a server that has answered much leaves room for other programs.
 * @throws IngotError `out_of_memory` naming what was needed, `invalid_argument` for impossible numbers.
 */
export function planMemory(request: MemoryRequest): MemoryPlan {
  checkContext(request);
  const maxSequences = sequencesThatFit(request);
  const fixed = fixedBytes(request, maxSequences);
  const kvLimit = Math.min(request.kvBytes ?? Number.POSITIVE_INFINITY, request.limit - fixed);
  const fits = (tokens: number): boolean => kvOf(request, tokens) <= kvLimit;
  let tokens = request.contextLength ?? request.plainContext ?? request.modelContext;
  const share = request.kvBytes ?? request.limit / 4;
  if (request.contextLength === undefined) {
    while (tokens > SHORT_CONTEXT && (kvOf(request, tokens) > share || !fits(tokens)))
      tokens = Math.ceil(tokens / 2);
  }
  if (!fits(tokens)) throw outOfMemory(request, tokens, fixed);
  const one = kvOf(request, tokens);
  const budget = Math.min(request.kvBytes ?? Math.max(one, request.limit / 8), kvLimit);
  const cacheBytes = Number.isFinite(budget) ? budget : Math.max(BLIND_KV_BYTES, one);
  const pages = pagesWithin(request, tokens, maxSequences, cacheBytes);
  const kept = request.sizes.tiered ? cacheBytes : Math.max(one, Math.min(PREFIX_BYTES, request.limit / 16));
  const prefixBytes = request.prefixBytes ?? kept;
  return {
    contextLength: tokens,
    maxSequences,
    pages,
    cacheBytes,
    prefixBytes: Math.min(prefixBytes, cacheBytes),
  };
}

export const sequenceLimits = (tokens: number) => ({
  contextLength: tokens,
  maxRows: Math.min(CHUNK, tokens),
});

/** Bytes that the caches of a plan take when every page is used. */
export const plannedKvBytes = (
  { sizes }: Pick<MemoryRequest, 'sizes'>,
  { pages, maxSequences, contextLength, cacheBytes }: MemoryPlan,
): number => {
  const counts = sizes.pages(pages, maxSequences, sequenceLimits(contextLength), cacheBytes);
  return sizes.tiered ? Math.min(cacheBytes, sizes.wholeBytes(counts)) : sizes.bytes(counts);
};

/** Bytes of one sequence of this length. */
const kvOf = ({ sizes }: MemoryRequest, tokens: number): number =>
  sizes.sequenceBytes(sequenceLimits(tokens));

/** The most pages, up to whole contexts of all sequences, that fit with what the other layers need; at least one context's. */
function pagesWithin({ sizes }: MemoryRequest, tokens: number, maxSequences: number, bytes: number): number {
  let [low, high] = [pagesFor(tokens), maxSequences * pagesFor(tokens)];
  const fits = (pages: number): boolean =>
    sizes.bytes(sizes.pages(pages, maxSequences, sequenceLimits(tokens))) <= bytes;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (fits(middle)) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** Working memory, and logits and token counts of every sequence. */
export const workingBytes = (vocabSize: number, maxSequences: number): number =>
  WORKING_BYTES + maxSequences * vocabSize * 8;

const fixedBytes = ({ weightBytes, vocabSize }: MemoryRequest, maxSequences: number): number =>
  weightBytes + workingBytes(vocabSize, maxSequences);

function checkContext({ model, modelContext, contextLength }: MemoryRequest): void {
  if (contextLength === undefined) return;
  if (Number.isInteger(contextLength) && contextLength >= 1 && contextLength <= modelContext) return;
  throw new IngotError(
    'invalid_argument',
    `contextLength must be an integer from 1 to ${modelContext} (what ${model} was trained for), got ${contextLength}`,
  );
}

/** The caller's number, or the default cut to what memory allows beside a short context. */
function sequencesThatFit(request: MemoryRequest): number {
  const { maxSequences, modelContext, contextLength, limit } = request;
  if (maxSequences !== undefined) {
    if (Number.isInteger(maxSequences) && maxSequences >= 1 && maxSequences <= 1024) return maxSequences;
    throw new IngotError(
      'invalid_argument',
      `maxSequences must be an integer from 1 to 1024, got ${maxSequences}`,
    );
  }
  const kv = kvOf(request, contextLength ?? Math.min(modelContext, SHORT_CONTEXT));
  let count = MAX_SEQUENCES;
  while (count > 1 && fixedBytes(request, count) + kv > limit) count /= 2;
  return count;
}

function outOfMemory(request: MemoryRequest, tokens: number, fixed: number): IngotError {
  const { model, weightBytes, limit, kvBytes } = request;
  const kv = kvOf(request, tokens);
  const what = request.sizes.tiered ? 'memory for one layer of its KV cache' : 'KV cache';
  if (kvBytes !== undefined && kv > kvBytes) {
    return new IngotError(
      'out_of_memory',
      `one context of ${tokens} tokens of ${model} needs ${formatBytes(kv)} of ${what} but kvBytes is ${formatBytes(kvBytes)}: lower contextLength or raise kvBytes`,
      { details: { needBytes: kv, kvBytes, contextLength: tokens } },
    );
  }
  const need = fixed + kv;
  return new IngotError(
    'out_of_memory',
    `${model} needs ${formatBytes(need)} (weights ${formatBytes(weightBytes)}, KV cache for ${tokens} tokens ${formatBytes(kv)}, ` +
      `working memory ${formatBytes(fixed - weightBytes)}) but ${formatBytes(limit)} may be used: lower contextLength, take a smaller ` +
      'quantisation, or raise memoryLimit',
    { details: { needBytes: need, limitBytes: limit, weightBytes, contextLength: tokens } },
  );
}
