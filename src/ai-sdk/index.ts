// Entry `ingot/ai-sdk`: models of Ingot for the Vercel AI SDK, in this process and without a server.

import type { EmbeddingModelV3, LanguageModelV3, ProviderV3 } from '@ai-sdk/provider';
import { IngotError } from '../base/errors.ts';
import type { AnsweringModel } from '../engine/answer.ts';
import { load } from '../engine/load.ts';
import type { LoadOptions, Model } from '../engine/types.ts';
import { type EmbeddingModel, embeddingModel } from './embedding.ts';
import { languageModel } from './model.ts';

export interface IngotProvider extends ProviderV3 {
  /** The model of a name that `load` knows, or one that is loaded already. Names are loaded at their first use, once. */
  (model: string | AnsweringModel): LanguageModelV3;
  languageModel(model: string | AnsweringModel): LanguageModelV3;
  embeddingModel(model: string | EmbeddingModel): EmbeddingModelV3;
  /** Frees the models that were loaded by name. */
  dispose(): Promise<void>;
}

/** A provider whose models are loaded with these options. */
export function createIngot(options: LoadOptions = {}): IngotProvider {
  const loaded = new Map<string, Promise<Model>>();
  const byName = (name: string): Promise<Model> => {
    const known = loaded.get(name);
    if (known) return known;
    const loading = load(name, options);
    loaded.set(name, loading);
    // A load that failed is tried again when the model is next used.
    loading.catch(() => loaded.delete(name));
    return loading;
  };
  const provide = (model: string | AnsweringModel): LanguageModelV3 =>
    typeof model === 'string'
      ? languageModel(model, () => byName(model))
      : languageModel(model.info.name, async () => model);
  const embed = (model: string | EmbeddingModel): EmbeddingModelV3 =>
    typeof model === 'string'
      ? embeddingModel(model, () => byName(model))
      : embeddingModel(model.info.name, async () => model);
  return Object.assign(provide, {
    specificationVersion: 'v3' as const,
    languageModel: provide,
    embeddingModel: embed,
    imageModel(modelId: string): never {
      throw new IngotError('unsupported', `${modelId}: there are no models of images here`);
    },
    async dispose() {
      const models = [...loaded.values()];
      loaded.clear();
      await Promise.all(
        (await Promise.allSettled(models)).map(async (result) => {
          if (result.status === 'fulfilled') await result.value[Symbol.asyncDispose]();
        }),
      );
    },
  });
}

/** Models with the default options: `streamText({ model: ingot('smollm2:135m'), … })`. */
export const ingot: IngotProvider = createIngot();
