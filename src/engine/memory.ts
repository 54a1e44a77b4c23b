// The byte budget of a loaded model, decided before anything is allocated.

import { readFileSync } from 'node:fs';
import { freemem } from 'node:os';
import { IngotError } from '../base/errors.ts';

/** Bytes this process may still take: the machine's available memory, or what its control group leaves, if less. */
export function availableMemory(): number {
  const available = readNumber('/proc/meminfo', /^MemAvailable:\s+(\d+) kB/m);
  let bytes = available === undefined ? freemem() : available * 1024;
  const limit = readNumber('/sys/fs/cgroup/memory.max', /^(\d+)$/m);
  const used = readNumber('/sys/fs/cgroup/memory.current', /^(\d+)$/m);
  if (limit !== undefined && used !== undefined) bytes = Math.min(bytes, Math.max(0, limit - used));
  return bytes;
}

function readNumber(path: string, pattern: RegExp): number | undefined {
  try {
    const match = pattern.exec(readFileSync(path, 'latin1'));
    return match?.[1] === undefined ? undefined : Number(match[1]);
  } catch {
    return undefined; // not this operating system, or no control group
  }
}

/** Working memory beside weights and KV: activations of one chunk, worker scratch, the runtime. */
export const WORKING_BYTES = 192 * 2 ** 20;

const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(2)} GiB`;

export interface MemoryRequest {
  readonly model: string;
  readonly weightBytes: number;
  /** KV bytes for a context of n tokens. */
  readonly kvBytes: (tokens: number) => number;
  /** The most tokens the model was trained for. */
  readonly modelContext: number;
  /** What the caller asked for; undefined lets the budget decide. */
  readonly contextLength: number | undefined;
  readonly limit: number;
}

/**
 * The context length that fits: the caller's, or the model's own cut to what the budget leaves (a quarter of it at most,
 * so that a 128k-token model does not take the machine by default).
 * @throws IngotError `out_of_memory` naming what was needed, `invalid_argument` for an impossible context length.
 */
export function planMemory(request: MemoryRequest): number {
  const { model, weightBytes, kvBytes, modelContext, contextLength, limit } = request;
  if (contextLength !== undefined) {
    if (!Number.isInteger(contextLength) || contextLength < 1 || contextLength > modelContext) {
      throw new IngotError(
        'invalid_argument',
        `contextLength must be an integer from 1 to ${modelContext} (what ${model} was trained for), got ${contextLength}`,
      );
    }
  }
  const fixed = weightBytes + WORKING_BYTES;
  const fits = (tokens: number): boolean => fixed + kvBytes(tokens) <= limit;
  if (contextLength !== undefined) {
    if (fits(contextLength)) return contextLength;
    throw outOfMemory(request, contextLength);
  }
  let tokens = modelContext;
  const share = Math.max(limit / 4, 0);
  while (tokens > 2048 && (kvBytes(tokens) > share || !fits(tokens))) tokens = Math.ceil(tokens / 2);
  if (!fits(tokens)) throw outOfMemory(request, tokens);
  return tokens;
}

function outOfMemory({ model, weightBytes, kvBytes, limit }: MemoryRequest, tokens: number): IngotError {
  const need = weightBytes + kvBytes(tokens) + WORKING_BYTES;
  return new IngotError(
    'out_of_memory',
    `${model} needs ${gib(need)} (weights ${gib(weightBytes)}, KV cache for ${tokens} tokens ${gib(kvBytes(tokens))}, ` +
      `working memory ${gib(WORKING_BYTES)}) but ${gib(limit)} may be used: lower contextLength, take a smaller ` +
      'quantisation, or raise memoryLimit',
    { details: { needBytes: need, limitBytes: limit, weightBytes, contextLength: tokens } },
  );
}
