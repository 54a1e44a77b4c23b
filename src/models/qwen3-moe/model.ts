// Qwen3-MoE: Qwen3 attention, and on most layers a router over experts in place of the dense MLP.

import { decoderConfig, readBase, readRmsNorm, windowed } from '../config/decoder.ts';
import { readSparseLayers } from '../config/qwen-moe.ts';
import { readWindow } from '../config/windows.ts';
import { decoderFamily } from '../family.ts';
import { ggufExperts } from '../files/gguf-config.ts';
import { decoderFields } from '../files/gguf-fields.ts';

export const qwen3Moe = decoderFamily({
  names: ['Qwen3MoeForCausalLM', 'qwen3_moe'],
  read: (reader) => {
    const base = readBase(reader, { contextLength: 32768 });
    const bias = reader.boolean('attention_bias', false);
    const window = reader.boolean('use_sliding_window', false) ? readWindow(reader, 4096) : undefined;
    const attention = windowed(
      { ...base.attention, qkvBias: bias, outputBias: bias, qkNorm: 'head' as const },
      window,
    );
    return decoderConfig(reader, base, {
      family: 'qwen3-moe',
      norm: readRmsNorm(reader),
      layers: readSparseLayers(reader, base.numLayers).map((feedForward) => ({ attention, feedForward })),
    });
  },
  files: {
    gguf: [
      {
        architecture: 'qwen3moe',
        className: 'Qwen3MoeForCausalLM',
        modelType: 'qwen3_moe',
        theta: 1000000,
        written: { fields: decoderFields },
        config: (keys) => ({
          norm_topk_prob: true,
          ...ggufExperts(keys),
          decoder_sparse_step: 1,
          mlp_only_layers: [],
        }),
      },
    ],
  },
});
