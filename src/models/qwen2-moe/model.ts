// Qwen2-MoE: Qwen2's attention, experts, and an expert that all tokens share, with a gate.

import { decoderConfig, readBase, readRmsNorm, windowed } from '../config/decoder.ts';
import { readSparseLayers } from '../config/qwen-moe.ts';
import { type ConfigReader, limits } from '../config/reader.ts';
import { readLayerTypes, readWindow, windowsOf } from '../config/windows.ts';
import { decoderFamily } from '../family.ts';
import { ggufExperts } from '../files/gguf-config.ts';
import { decoderFields } from '../files/gguf-fields.ts';

export const qwen2Moe = decoderFamily({
  names: ['Qwen2MoeForCausalLM', 'qwen2_moe'],
  read: (reader) => {
    const base = readBase(reader, { contextLength: 32768 });
    const attention = { ...base.attention, qkvBias: reader.boolean('qkv_bias', true) };
    const intermediateSize = reader.int('shared_expert_intermediate_size', limits.intermediateSize);
    const feedForwards = readSparseLayers(reader, base.numLayers, {
      shared: { intermediateSize, gated: true, bias: false },
    });
    const windows = readQwen2MoeWindows(reader, base.numLayers);
    return decoderConfig(reader, base, {
      family: 'qwen2-moe',
      norm: readRmsNorm(reader),
      layers: feedForwards.map((feedForward, i) => ({
        attention: windowed(attention, windows[i]),
        feedForward,
      })),
    });
  },
  files: {
    gguf: [
      {
        architecture: 'qwen2moe',
        className: 'Qwen2MoeForCausalLM',
        modelType: 'qwen2_moe',
        theta: 1000000,
        written: { fields: decoderFields },
        config: (keys) => {
          const experts = ggufExperts(keys);
          return {
            ...experts,
            norm_topk_prob: keys.boolean('expert_weights_norm') ?? false,
            shared_expert_intermediate_size:
              keys.integer('expert_shared_feed_forward_length', 1) ?? experts.intermediate_size,
          };
        },
      },
    ],
  },
});

/** Unlike in Qwen2, it is every other one of the layers before `max_window_layers` that has a window. */
function readQwen2MoeWindows(reader: ConfigReader, numLayers: number): readonly (number | undefined)[] {
  if (!reader.boolean('use_sliding_window', false)) return Array.from({ length: numLayers }, () => undefined);
  const last = reader.int('max_window_layers', { min: 0, max: limits.layers.max }, 28);
  const types = readLayerTypes(reader, numLayers, (i) =>
    (i + 1) % 2 !== 0 && i < last ? 'sliding_attention' : 'full_attention',
  );
  return windowsOf(reader, types, readWindow(reader, 4096));
}
