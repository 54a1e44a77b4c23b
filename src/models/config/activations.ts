// Activations by their names in config.json, and the feed-forward that uses one.

import type { MlpConfig } from './decoder.ts';
import { type ConfigReader, limits } from './reader.ts';

export type Activation = 'silu' | 'gelu_erf' | 'gelu_tanh';

const activations: Readonly<Record<string, Activation>> = {
  silu: 'silu',
  swish: 'silu',
  gelu: 'gelu_erf',
  gelu_new: 'gelu_tanh',
  gelu_pytorch_tanh: 'gelu_tanh',
};

/** The activation that `key` names. Throws unsupported for one that is not known. */
export function readActivation(
  reader: ConfigReader,
  key = 'hidden_act',
  fallback: Activation = 'silu',
): Activation {
  const name = reader.string(key);
  if (name === undefined) return fallback;
  const activation = Object.hasOwn(activations, name) ? activations[name] : undefined;
  return (
    activation ??
    reader.unsupported(
      key,
      `unknown activation "${name}"; supported are ${Object.keys(activations).join(', ')}`,
    )
  );
}

/** A gated MLP with the width of `intermediate_size`. */
export const readMlp = (reader: ConfigReader, changes: Partial<MlpConfig> = {}): MlpConfig => ({
  kind: 'dense',
  intermediateSize: changes.intermediateSize ?? reader.int('intermediate_size', limits.intermediateSize),
  activation: changes.activation ?? readActivation(reader),
  gated: changes.gated ?? true,
  bias: changes.bias ?? false,
});
