// Granite-MoE: Granite's layers and multipliers with experts; the router's softmax is over the chosen ones only.

import { decoderConfig, readBase, readRmsNorm } from '../config/decoder.ts';
import { plainRouter, readMoe } from '../config/experts.ts';
import { graniteFields, graniteMultipliers, readGraniteScales } from '../config/granite.ts';
import { decoderFamily } from '../family.ts';

const keys = {
  experts: 'num_local_experts',
  topK: 'num_experts_per_tok',
  intermediateSize: 'intermediate_size',
};

export const graniteMoe = decoderFamily({
  names: ['GraniteMoeForCausalLM', 'granitemoe'],
  read: (reader) => {
    const base = readBase(reader, { contextLength: 2048 });
    const { attentionScale, ...scales } = readGraniteScales(reader);
    const bias = reader.boolean('attention_bias', false);
    const attention = { ...base.attention, qkvBias: bias, outputBias: bias, scale: attentionScale };
    const router = { ...plainRouter, score: 'softmax-chosen', normalised: false } as const;
    const feedForward = readMoe(reader, router, keys);
    return decoderConfig(reader, base, {
      family: 'granite-moe',
      norm: readRmsNorm(reader),
      ...scales,
      layers: Array.from({ length: base.numLayers }, () => ({ attention, feedForward })),
    });
  },
  files: {
    names: {
      'block_sparse_moe.router.layer': 'mlp.gate',
      'block_sparse_moe.router': 'mlp.gate',
      'block_sparse_moe.input_linear': 'mlp.experts.gate_up_proj',
      'block_sparse_moe.output_linear': 'mlp.experts.down_proj',
    },
    mlx: {
      'block_sparse_moe.switch_mlp.gate_proj': 'mlp.experts.gate_proj',
      'block_sparse_moe.switch_mlp.up_proj': 'mlp.experts.up_proj',
      'block_sparse_moe.switch_mlp.down_proj': 'mlp.experts.down_proj',
    },
    fused: ['mlp.experts.gate_up_proj'],
    fusedMlx: [],
    gguf: [
      {
        architecture: 'granitemoe',
        // Newer ones of that architecture have an expert that all tokens share, and are another family.
        accepts: (found) => !found.has('blk.0.ffn_gate_shexp.weight'),
        className: 'GraniteMoeForCausalLM',
        modelType: 'granitemoe',
        interleavedRows: true,
        written: { fields: graniteFields },
        config: (found) => ({
          ...graniteMultipliers(found),
          num_local_experts: found.required('expert_count'),
          num_experts_per_tok: found.required('expert_used_count'),
        }),
      },
    ],
  },
});
