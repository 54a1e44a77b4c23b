// What the server asks of a model beyond text: vectors, and how busy it is. A model that lacks one of them is served without.

import type { Model } from '../engine/types.ts';
import { RequestError } from './problem.ts';

export interface EngineStatus {
  readonly running: number;
  readonly queued: number;
  readonly kvBytes: number;
  readonly kvBytesUsed: number;
  readonly prefix: { readonly hits: number; readonly hitTokens: number; readonly bytes: number };
}

interface Embedder {
  embed(
    tokens: readonly number[],
    options: { readonly pooling: 'mean' | 'last'; readonly signal?: AbortSignal | undefined },
  ): Promise<Float32Array>;
}

/** Throws RequestError when the model makes no vectors. */
export function embedderOf(model: Model): Embedder {
  if ('embed' in model && typeof model.embed === 'function') return model as Model & Embedder;
  throw new RequestError('invalid', `${model.info.name} makes no embeddings`);
}

export const statusOf = (model: Model): EngineStatus | undefined =>
  'status' in model && typeof model.status === 'function'
    ? (model as Model & { status(): EngineStatus }).status()
    : undefined;

/** Weights and caches. */
export const bytesOf = (model: Model): number => model.info.weightBytes + (statusOf(model)?.kvBytes ?? 0);
