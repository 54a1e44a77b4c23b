// An embedding model of the AI SDK over a model of Ingot, in this process.

import type { EmbeddingModelV3 } from '@ai-sdk/provider';
import { IngotError } from '../base/errors.ts';
import type { Model, Pooling } from '../engine/types.ts';

/** What embedding asks of a model. */
export type EmbeddingModel = Pick<Model, 'info' | 'tokenizer' | 'embed'>;

/** `model` is asked for at the first call. `providerOptions.ingot.pooling` chooses `mean` (default) or `last`. */
export function embeddingModel(modelId: string, model: () => Promise<EmbeddingModel>): EmbeddingModelV3 {
  return {
    specificationVersion: 'v3',
    provider: 'ingot',
    modelId,
    maxEmbeddingsPerCall: undefined,
    supportsParallelCalls: true,
    async doEmbed({ values, abortSignal, providerOptions }) {
      const loaded = await model();
      const pooling = poolingOf(providerOptions?.ingot?.pooling);
      const embeddings: number[][] = [];
      let tokens = 0;
      for (const value of values) {
        const ids = loaded.tokenizer.encode(value);
        tokens += ids.length;
        embeddings.push([...(await loaded.embed(ids, { pooling, signal: abortSignal }))]);
      }
      return { embeddings, usage: { tokens }, warnings: [] };
    },
  };
}

function poolingOf(value: unknown): Pooling | undefined {
  if (value === undefined || value === 'mean' || value === 'last') return value;
  throw new IngotError('invalid_argument', `pooling must be 'mean' or 'last', got ${String(value)}`);
}
