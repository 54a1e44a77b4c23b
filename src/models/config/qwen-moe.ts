// Which layers of Qwen's mixtures have experts, and how they are chosen.

import { readMlp } from './activations.ts';
import type { LayerConfig } from './decoder.ts';
import { type MoeConfig, plainRouter, readMoe } from './experts.ts';
import { type ConfigReader, limits } from './reader.ts';

/**
 * The feed-forward of each layer: sparse when every `decoder_sparse_step`-th is, it is not listed in `mlp_only_layers`, and
 * experts exist.
 */
export function readSparseLayers(
  reader: ConfigReader,
  numLayers: number,
  more: Partial<Pick<MoeConfig, 'shared'>> = {},
): readonly LayerConfig['feedForward'][] {
  const step = reader.int('decoder_sparse_step', { min: 1, max: limits.layers.max }, 1);
  const denseOnly = new Set(reader.ints('mlp_only_layers', { min: 0, max: limits.layers.max }) ?? []);
  const router = { ...plainRouter, normalised: reader.boolean('norm_topk_prob', false) };
  const key = reader.has('num_experts') ? 'num_experts' : 'num_local_experts';
  const moe = reader.int(key, limits.experts) > 0 ? readMoe(reader, router, undefined, more) : undefined;
  const sparse = (i: number): boolean => moe !== undefined && !denseOnly.has(i) && (i + 1) % step === 0;
  const indices = Array.from({ length: numLayers }, (_, i) => i);
  // A purely sparse model may leave out the size of the dense MLP.
  const dense = indices.every(sparse) ? undefined : readMlp(reader);
  return indices.map((i) => {
    const feedForward = sparse(i) ? moe : dense;
    return feedForward ?? reader.fail('num_experts', `layer ${i} has neither experts nor a dense MLP`);
  });
}
