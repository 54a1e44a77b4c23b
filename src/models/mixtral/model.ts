// Mixtral: Mistral's attention, and experts in place of the MLP.

import { decoderConfig, readBase, readRmsNorm, windowed } from '../config/decoder.ts';
import { plainRouter, readMoe } from '../config/experts.ts';
import { readWindow } from '../config/windows.ts';
import { decoderFamily } from '../family.ts';
import { decoderFields } from '../files/gguf-fields.ts';
import { optional } from '../files/gguf-keys.ts';

const keys = {
  experts: 'num_local_experts',
  topK: 'num_experts_per_tok',
  intermediateSize: 'intermediate_size',
};

export const mixtral = decoderFamily({
  names: ['MixtralForCausalLM', 'mixtral'],
  read: (reader) => {
    const base = readBase(reader, { contextLength: 131072, theta: 1000000 });
    const attention = windowed(base.attention, readWindow(reader));
    const feedForward = readMoe(reader, plainRouter, keys);
    return decoderConfig(reader, base, {
      family: 'mixtral',
      norm: readRmsNorm(reader, 1e-5),
      layers: Array.from({ length: base.numLayers }, () => ({ attention, feedForward })),
    });
  },
  files: {
    names: {
      'block_sparse_moe.gate': 'mlp.gate',
      'block_sparse_moe.experts.*.w1': 'mlp.experts.*.gate_proj',
      'block_sparse_moe.experts.*.w2': 'mlp.experts.*.down_proj',
      'block_sparse_moe.experts.*.w3': 'mlp.experts.*.up_proj',
    },
    mlx: {
      'block_sparse_moe.switch_mlp.gate_proj': 'mlp.experts.gate_proj',
      'block_sparse_moe.switch_mlp.down_proj': 'mlp.experts.down_proj',
      'block_sparse_moe.switch_mlp.up_proj': 'mlp.experts.up_proj',
    },
    gguf: [
      // Converters write Mixtral as a llama with experts.
      {
        architecture: 'llama',
        accepts: (found) => (found.integer('expert_count') ?? 0) > 0,
        className: 'MixtralForCausalLM',
        modelType: 'mixtral',
        interleavedRows: true,
        theta: 1000000,
        written: { fields: decoderFields },
        // The first files have one tensor per expert.
        names: {
          'ffn_gate.*': 'mlp.experts.*.gate_proj',
          'ffn_up.*': 'mlp.experts.*.up_proj',
          'ffn_down.*': 'mlp.experts.*.down_proj',
        },
        config: (found) => ({
          num_local_experts: found.required('expert_count'),
          num_experts_per_tok: found.required('expert_used_count'),
          ...optional('sliding_window', found.integer('attention.sliding_window') || undefined),
        }),
      },
    ],
  },
});
