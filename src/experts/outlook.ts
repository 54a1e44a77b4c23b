// How fast a streamed model can be at most, from what is known before it runs.

import { missRateOf } from './distances.ts';

/** Machine and model, in bytes and bytes per second. */
export interface OutlookInput {
  /** For each layer how often one token chooses each expert: 1 for one that every token chooses. Layers of equal experts may be left as one number. */
  readonly demand: readonly (readonly number[])[];
  /** Share of all experts that memory holds. */
  readonly held: number;
  /** Bytes of the experts that one token uses. */
  readonly cycleBytes: number;
  /** Bytes of all weights that one token uses. */
  readonly activeBytes: number;
  readonly diskBytesPerSecond: number;
  /** Seconds that the experts of a layer take to read, by how many are missing from 1 on; undefined where nothing is read. */
  readonly readSeconds?: readonly number[] | undefined;
  /** Experts that one token chooses in a layer. */
  readonly expertsPerToken?: number | undefined;
  /** How soon experts came back in runs (distances.ts): says what is missed in place of `demand`. */
  readonly distances?: readonly number[] | undefined;
  /** Whether `demand` was counted: real routing then comes back to its experts sooner than by chance. */
  readonly counted?: boolean | undefined;
  readonly memoryBytesPerSecond: number;
  /** Seconds that each layer waits for its router's choice before anything is read: on a GPU, whose memory has not all experts. Default 0. */
  readonly stopSeconds?: number | undefined;
}

export interface Outlook {
  /** Share of a token's experts that are not in memory. */
  readonly missRate: number;
  /** Tokens per second that the disk and the memory allow, and the less of both. */
  readonly disk: number;
  readonly memory: number;
  readonly ceiling: number;
  /** Tokens per second to expect of one conversation. */
  readonly expected: number;
}

/**
 * Misses of an LRU over real routing, as a share of those over independent choices as frequent: tinymoe had 0.68 to 0.82 with a fifth to
 * a half of its experts in memory.
 */
const LOCALITY = 0.75;
/** Share of the memory's bandwidth that a decoding step reaches, and seconds of a step beside its reads of weights. */
const REACHED = 0.9;
const STEP_SECONDS = 5e-4;

/**
 * tokens/s <= min(disk bandwidth / (miss rate x bytes per token), memory bandwidth / active bytes). What to expect is a step with
 * everything in memory and, after each other, the reads of its layers, because the next layer's experts are not known before; while a
 * layer's experts are read, those of it that are there are multiplied.
 */
export function outlookOf(input: OutlookInput): Outlook {
  const missRate = missesOf(input);
  const disk = input.diskBytesPerSecond / (missRate * input.cycleBytes); // Infinity when nothing is missed
  const memory = input.memoryBytesPerSecond / input.activeBytes;
  const ceiling = Math.min(disk, memory);
  const multiply = input.cycleBytes / (REACHED * input.memoryBytesPerSecond) / input.demand.length;
  const stop = input.held < 1 ? (input.stopSeconds ?? 0) : 0;
  const waiting = input.demand.length * (stop + layerWait(missRate, multiply, input));
  const expected = Math.min(ceiling, 1 / (1 / (REACHED * memory) + STEP_SECONDS + waiting));
  return { missRate, disk, memory, ceiling, expected };
}

function missesOf({ demand, held, distances, counted }: OutlookInput): number {
  const chance = lruMissRate(demand, held);
  if (chance === 0 || chance === 1) return chance;
  if (distances !== undefined) return missRateOf(distances, held);
  return counted === true ? LOCALITY * chance : chance;
}

/** Mean time that a layer waits for its reads when each of its k experts, which take `multiply` seconds, is missing with this probability. */
function layerWait(
  missRate: number,
  multiply: number,
  { readSeconds = [], expertsPerToken: k = 0 }: OutlookInput,
): number {
  let [sum, ways] = [0, 1];
  for (let m = 1; m <= k; m++) {
    ways *= (k - m + 1) / m;
    const meanwhile = ((k - m) / k) * multiply;
    const wait = Math.max(0, (readSeconds[m - 1] ?? 0) - meanwhile);
    sum += ways * missRate ** m * (1 - missRate) ** (k - m) * wait;
  }
  return sum;
}

/**
 * Misses of an LRU over experts that are chosen independently from token to token, by Che's approximation (2002): an expert is there when
 * it was chosen within the last T tokens, and T is such that as many are there as fit. Real routing repeats itself more than that.
 * With less room than the experts of one token everything is missed.
 */
export function lruMissRate(demand: readonly (readonly number[])[], held: number): number {
  const each = demand.flat();
  const total = each.reduce((sum, q) => sum + q, 0);
  const room = held * each.length;
  if (held >= 1 || total === 0) return 0;
  if (room < total) return 1;
  const there = (q: number, T: number): number => 1 - (1 - Math.min(q, 1)) ** T;
  const filled = (T: number): number => each.reduce((sum, q) => sum + there(q, T), 0);
  let [low, high] = [0, 1];
  while (filled(high) < room && high < 1e12) high *= 2;
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (filled(middle) < room) low = middle;
    else high = middle;
  }
  // Layers come in one order, so what was chosen k tokens ago has seen the experts of k tokens since: T is a whole number.
  const T = Math.floor(low + 1e-9);
  return 1 - each.reduce((sum, q) => sum + q * there(q, T), 0) / total;
}
