// DeepSeek V2 and V3 (https://arxiv.org/abs/2405.04434, https://arxiv.org/abs/2412.19437).

import { ConfigReader } from '../config/reader.ts';
import type { Family } from '../contract.ts';
import type { FamilyFiles } from '../files/files.ts';
import { type DeepseekConfig, type DeepseekDefaults, readDeepseek, sigmoidRouter, softmaxRouter } from './config.ts';
import { loadDeepseek } from './decoder.ts';

const files: FamilyFiles = {
  names: {
    'mlp.gate.e_score_correction_bias': 'mlp.gate.correction.bias',
    'mlp.shared_experts.gate_proj': 'mlp.shared_expert.gate_proj',
    'mlp.shared_experts.up_proj': 'mlp.shared_expert.up_proj',
    'mlp.shared_experts.down_proj': 'mlp.shared_expert.down_proj',
  },
};

const deepseek = (names: readonly string[], defaults: DeepseekDefaults): Family<DeepseekConfig> => ({
  names,
  parse: (json, source) => readDeepseek(new ConfigReader(json, source), defaults),
  build: loadDeepseek,
  files,
});

export const deepseek2 = deepseek(['DeepseekV2ForCausalLM', 'deepseek_v2'], {
  family: 'deepseek2',
  contextLength: 2048,
  denseLayers: 0,
  router: softmaxRouter,
});

export const deepseek3 = deepseek(['DeepseekV3ForCausalLM', 'deepseek_v3'], {
  family: 'deepseek3',
  contextLength: 4096,
  denseLayers: 3,
  router: sigmoidRouter,
});
