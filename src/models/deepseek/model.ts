// DeepSeek V2, V3 and V3.2 (https://arxiv.org/abs/2405.04434, https://arxiv.org/abs/2412.19437, https://arxiv.org/abs/2512.02556).

import { ConfigReader } from '../config/reader.ts';
import type { Family } from '../contract.ts';
import type { FamilyFiles } from '../files/files.ts';
import { SIGMOID } from '../files/gguf-fields.ts';
import {
  type DeepseekConfig,
  type DeepseekDefaults,
  readDeepseek,
  sigmoidRouter,
  softmaxRouter,
} from './config.ts';
import { loadDeepseek } from './decoder.ts';
import { ggufFields, ggufNames, ggufWriting } from './gguf.ts';

const files: FamilyFiles = {
  names: {
    'mlp.gate.e_score_correction_bias': 'mlp.gate.correction.bias',
    'mlp.shared_experts.gate_proj': 'mlp.shared_expert.gate_proj',
    'mlp.shared_experts.up_proj': 'mlp.shared_expert.up_proj',
    'mlp.shared_experts.down_proj': 'mlp.shared_expert.down_proj',
  },
  // The two matrices apart.
  mlx: {
    'self_attn.embed_q': 'self_attn.k_b_proj',
    'self_attn.unembed_out': 'self_attn.v_b_proj',
  },
  gguf: [
    {
      architecture: 'deepseek2',
      accepts: (keys) => keys.integer('expert_gating_func') === SIGMOID,
      className: 'DeepseekV3ForCausalLM',
      modelType: 'deepseek_v3',
      names: ggufNames,
      written: ggufWriting,
      config: ggufFields,
    },
    {
      architecture: 'deepseek2',
      className: 'DeepseekV2ForCausalLM',
      modelType: 'deepseek_v2',
      names: ggufNames,
      config: (keys) => ({
        ...ggufFields(keys),
        topk_method: (keys.integer('expert_group_count', 1) ?? 1) > 1 ? 'group_limited_greedy' : 'greedy',
      }),
    },
  ],
};

const v2: DeepseekDefaults = {
  family: 'deepseek2',
  contextLength: 2048,
  denseLayers: 0,
  sharedExperts: 2,
  router: softmaxRouter,
  halvesKnown: false,
  indexed: false,
};
const v3: DeepseekDefaults = {
  family: 'deepseek3',
  contextLength: 4096,
  denseLayers: 3,
  sharedExperts: 1,
  router: sigmoidRouter,
  halvesKnown: true,
  indexed: false,
};
const v32: DeepseekDefaults = {
  ...v3,
  family: 'deepseek3.2',
  contextLength: 163840,
  halvesKnown: false,
  indexed: true,
};

/** By class name, or model_type where a config has no other. */
const generations: Readonly<Record<string, DeepseekDefaults>> = {
  DeepseekV2ForCausalLM: v2,
  deepseek_v2: v2,
  DeepseekV3ForCausalLM: v3,
  deepseek_v3: v3,
  DeepseekV32ForCausalLM: v32,
  deepseek_v32: v32,
};

export const deepseek: Family<DeepseekConfig> = {
  names: Object.keys(generations),
  parse: (json, source) => {
    const reader = new ConfigReader(json, source);
    const named = [...(reader.strings('architectures', 64) ?? []), reader.string('model_type') ?? ''];
    const defaults = named.map((name) => generations[name]).find((found) => found !== undefined);
    return readDeepseek(reader, defaults ?? v3);
  },
  build: loadDeepseek,
  files,
};
