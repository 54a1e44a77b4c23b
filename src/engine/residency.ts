// Where a model's experts will be, and how its memory is divided, decided before anything is allocated.

import { IngotError } from '../base/errors.ts';
import { formatBytes } from '../base/text.ts';
import { expertParts } from '../device/expert-stream.ts';
import { type ExpertSizes, expertSizes } from '../experts/layers.ts';
import { allExpertBytes, defaultReaders } from '../experts/store.ts';
import type { Checkpoint } from '../weights/checkpoint.ts';
import { loadedBytes, storedBytes } from '../weights/chunks.ts';
import { type ExpertTensors, expertTensors } from '../weights/experts.ts';
import { checkpointBytes } from '../weights/load.ts';
import { dimensions } from '../weights/tensor.ts';
import {
  type MemoryPlan,
  type MemoryRequest,
  planMemory,
  plannedKvBytes,
  SHORT_CONTEXT,
  sequenceLimits,
  workingBytes,
} from './memory.ts';
import type { ExpertOptions } from './types.ts';

/** What a model's weights are made of. */
export interface WeightSizes {
  readonly dense: number;
  /** All experts, as they are loaded whole. */
  readonly experts: number;
  readonly layers: readonly ExpertTensors[];
}

export function weightSizes(checkpoint: Checkpoint): WeightSizes {
  const layers = expertTensors(checkpoint);
  const experts = layers.reduce(
    (sum, { tensors }) =>
      sum + loadedBytes(tensors.gate) + loadedBytes(tensors.up) + loadedBytes(tensors.down),
    0,
  );
  return { dense: checkpointBytes(checkpoint) - experts, experts, layers };
}

/** Bytes of what a model takes; together they stay within `limit`. */
export interface MemoryDivision {
  /** Whether experts are read when they are chosen. */
  readonly streamed: boolean;
  /** What may be used; undefined where that is not known. */
  readonly limit: number | undefined;
  /** Weights that every token needs. */
  readonly dense: number;
  /** Memory for experts, and what all of them take. */
  readonly experts: number;
  readonly allExperts: number;
  /** The experts that one token uses, in all layers: with less memory for experts than that, none is there when it is chosen again. */
  readonly cycle: number;
  /** Pages of conversations, and how much of it earlier prompts may keep. */
  readonly kv: number;
  readonly prefix: number;
  /** Bytes of one more position of a conversation. */
  readonly kvToken: number;
  readonly working: number;
}

export interface ResidencyPlan {
  readonly memory: MemoryPlan;
  readonly division: MemoryDivision;
}

export interface ResidencyRequest extends Omit<MemoryRequest, 'weightBytes'> {
  readonly weights: WeightSizes;
  readonly expertsPerToken: number | undefined;
  /** Undefined where the device keeps all weights in memory. */
  readonly canStream: boolean;
  /** Whether streaming costs time even while everything is there: room for all experts then means resident. Default false. */
  readonly streamingStops?: boolean;
  readonly options: ExpertOptions;
}

/** Bytes of the experts of one token, in all layers. */
export const cycleBytes = (layers: readonly ExpertSizes[], expertsPerToken: number): number =>
  layers.reduce((sum, { experts, blockBytes }) => sum + Math.min(experts, expertsPerToken) * blockBytes, 0);

/** The least that a streamed model can run with: one layer's choice, of every size of block, and what reads go through. */
function leastExpertBytes(layers: readonly ExpertSizes[], expertsPerToken: number): number {
  // The budget is divided as the layers' bytes are, so the least of one group of layers says what all need.
  const all = layers.reduce((sum, { experts, blockBytes }) => sum + experts * blockBytes, 0);
  const groups = new Map<number, number>();
  for (const { experts, blockBytes } of layers)
    groups.set(blockBytes, (groups.get(blockBytes) ?? 0) + experts * blockBytes);
  const most = Math.max(0, ...layers.map(({ experts }) => Math.min(experts, expertsPerToken)));
  return Math.ceil(Math.max(0, ...[...groups].map(([block, bytes]) => (most * block * all) / bytes)));
}

/** Memory of the threads that read: a piece of a file each, and a matrix where it is packed after it was read. */
function readerBytes(layers: readonly ExpertTensors[], readers: number): number {
  const matrices = layers.flatMap(({ tensors }) => expertParts.map((part) => tensors[part]));
  const unpacked = matrices.filter(({ kind }) => kind === 'source');
  const largest = unpacked.map((tensor) => storedBytes(tensor) / dimensions(tensor.shape).matrices);
  return readers * Math.ceil(2 ** 20 + Math.max(0, ...largest));
}

/**
 * All weights in memory where they fit, else as many experts as fit beside everything else: with `experts.bytes`, that many.
 * Throws like `planMemory`, and `out_of_memory` with the numbers when not even one layer's choice of experts fits.
 */
export function planResidency(request: ResidencyRequest): ResidencyPlan {
  const { weights, options, canStream, limit, streamingStops = false } = request;
  const { bytes } = options;
  const sizes = expertSizes(weights.layers);
  const all = allExpertBytes(weights.layers);
  const whole = streamingStops && sizes.length > 0 && bytes !== undefined && bytes >= all;
  const plain = bytes === undefined && options.hot === undefined ? 'auto' : 'streamed';
  const { residency = whole ? 'resident' : plain } = options;
  if (residency === 'streamed' && sizes.length === 0) {
    throw new IngotError('unsupported', `${request.model} has no experts that could be streamed`);
  }
  if (residency !== 'streamed') {
    try {
      const memory = planMemory({ ...request, weightBytes: weights.dense + weights.experts });
      return { memory, division: divide(request, memory, weights.experts, 0) };
    } catch (error) {
      if (residency === 'resident' || sizes.length === 0 || !canStream) throw error;
      if (!(error instanceof IngotError) || error.code !== 'out_of_memory') throw error;
    }
  }
  const perToken = request.expertsPerToken ?? 1;
  const least = leastExpertBytes(sizes, perToken);
  const reading = readerBytes(weights.layers, options.readers ?? defaultReaders);
  if (bytes !== undefined && bytes < least) {
    throw new IngotError(
      'out_of_memory',
      `${formatBytes(bytes)} (${bytes} bytes) for experts are less than the ${perToken} that one token uses in one layer of ${request.model} take: ${formatBytes(least)} (${least} bytes)`,
      { details: { bytes, least } },
    );
  }
  const fixed = weights.dense + reading;
  const grant = (asked: ResidencyRequest, memory: MemoryPlan): number => {
    const rest =
      limit - fixed - workingBytes(asked.vocabSize, memory.maxSequences) - plannedKvBytes(asked, memory);
    return Math.floor(Math.min(all, bytes ?? Math.max(least, rest)));
  };
  const weightBytes = fixed + Math.min(all, bytes ?? least);
  let memory = planMemory({ ...request, weightBytes });
  const enough = Math.min(all, CYCLES * cycleBytes(sizes, perToken));
  if (grant(request, memory) < enough && bytes === undefined) {
    memory = shorterPlan({ ...request, weightBytes }, memory, (plan) => grant(request, plan) >= enough);
  }
  return { memory, division: divide(request, memory, grant(request, memory), reading) };
}

/** Experts of so many tokens are worth more than room for long conversations: with less than one token's nothing is ever there again. */
const CYCLES = 1.25;

/** A plan with a shorter context and fewer conversations at a time, where the caller leaves them open; the longest that is enough. */
function shorterPlan(
  request: MemoryRequest,
  plan: MemoryPlan,
  enough: (plan: MemoryPlan) => boolean,
): MemoryPlan {
  if (request.kvBytes !== undefined) return plan;
  const maxSequences = request.maxSequences ?? Math.min(plan.maxSequences, 8);
  let shorter = plan;
  for (let tokens = plan.contextLength; ; tokens = Math.ceil(tokens / 2)) {
    const contextLength = request.contextLength ?? tokens;
    const kvBytes = request.sizes.sequenceBytes(sequenceLimits(contextLength));
    shorter = planMemory({ ...request, maxSequences, contextLength, kvBytes });
    if (enough(shorter) || request.contextLength !== undefined || tokens <= SHORT_CONTEXT) return shorter;
  }
}

function divide(
  request: ResidencyRequest,
  memory: MemoryPlan,
  experts: number,
  reading: number,
): MemoryDivision {
  const { weights, limit, vocabSize, expertsPerToken } = request;
  const kv = plannedKvBytes(request, memory);
  return {
    streamed: reading > 0,
    limit: Number.isFinite(limit) ? limit : undefined,
    dense: weights.dense,
    experts,
    allExperts: weights.experts,
    cycle: cycleBytes(expertSizes(weights.layers), expertsPerToken ?? 1),
    kv,
    prefix: Math.min(memory.prefixBytes, kv),
    kvToken: request.sizes.tokenBytes,
    working: workingBytes(vocabSize, memory.maxSequences) + reading,
  };
}
