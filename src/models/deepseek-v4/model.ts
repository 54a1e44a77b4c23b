// DeepSeek V4 (https://huggingface.co/deepseek-ai/DeepSeek-V4-Flash): compressed sparse and heavily compressed attention, hyper-
// connections, experts by the token's id in the first layers.

import { ConfigReader } from '../config/reader.ts';
import type { Family } from '../contract.ts';
import type { FamilyFiles } from '../files/files.ts';
import type { NameTable } from '../files/names.ts';
import { type DeepseekV4Config, readDeepseekV4 } from './config.ts';
import { loadDeepseekV4 } from './decoder.ts';

/** Names of compressors and their rules, in releases and in transformers. */
const compressor = (released: string, module: string): NameTable => ({
  [`${released}.wkv`]: `${module}.kv_proj`,
  [`${released}.wgate`]: `${module}.gate_proj`,
  [`${released}.norm`]: `${module}.kv_norm`,
  [`${released}.kv_norm`]: `${module}.kv_norm`,
  [`${released}.ape`]: `${module}.position_bias.weight`,
  [`${module}.position_bias`]: `${module}.position_bias.weight`,
});

const streams = (released: string, module: string): NameTable =>
  Object.fromEntries(
    ['fn', 'base', 'scale'].flatMap((part) => [
      [`${released}_${part}`, `${module}.${part}.weight`],
      [`${module}.${part}`, `${module}.${part}.weight`],
      [`${module}.hc_${part}`, `${module}.${part}.weight`],
    ]),
  );

const files: FamilyFiles = {
  names: {
    'model.embed': 'model.embed_tokens',
    head: 'lm_head',
    attn_norm: 'input_layernorm',
    ffn_norm: 'post_attention_layernorm',
    'attn.wq_a': 'self_attn.q_a_proj',
    'attn.wq_b': 'self_attn.q_b_proj',
    'attn.q_norm': 'self_attn.q_a_norm',
    'attn.wkv': 'self_attn.kv_proj',
    'attn.norm': 'self_attn.kv_norm',
    'attn.kv_norm': 'self_attn.kv_norm',
    'attn.wo_a': 'self_attn.o_a_proj',
    'attn.wo_b': 'self_attn.o_b_proj',
    'attn.attn_sink': 'self_attn.sinks.weight',
    ...compressor('attn.compressor', 'self_attn.compressor'),
    ...compressor('attn.indexer.compressor', 'self_attn.compressor.indexer'),
    'attn.indexer.wq_b': 'self_attn.compressor.indexer.q_b_proj',
    'attn.indexer.weights_proj': 'self_attn.compressor.indexer.scorer.weights_proj',
    ...streams('hc_attn', 'attn_hc'),
    ...streams('hc_ffn', 'ffn_hc'),
    ...streams('hc_head', 'model.hc_head'),
    'ffn.gate': 'mlp.gate',
    'ffn.gate.tid2eid': 'mlp.gate.tid2eid.weight',
    'mlp.gate.tid2eid': 'mlp.gate.tid2eid.weight',
    'mlp.gate.e_score_correction_bias': 'mlp.gate.bias',
    'ffn.experts.*.w1': 'mlp.experts.*.gate_proj',
    'ffn.experts.*.w2': 'mlp.experts.*.down_proj',
    'ffn.experts.*.w3': 'mlp.experts.*.up_proj',
    'ffn.shared_experts.w1': 'mlp.shared_expert.gate_proj',
    'ffn.shared_experts.w2': 'mlp.shared_expert.down_proj',
    'ffn.shared_experts.w3': 'mlp.shared_expert.up_proj',
    'mlp.shared_experts.gate_proj': 'mlp.shared_expert.gate_proj',
    'mlp.shared_experts.down_proj': 'mlp.shared_expert.down_proj',
    'mlp.shared_experts.up_proj': 'mlp.shared_expert.up_proj',
  },
  stacks: { 'self_attn.o_a_proj': 'o_groups' },
};

export const deepseekV4: Family<DeepseekV4Config> = {
  names: ['DeepseekV4ForCausalLM', 'deepseek_v4'],
  parse: (json, source) => readDeepseekV4(new ConfigReader(json, source)),
  build: loadDeepseekV4,
  files,
};
