// How Gemma 2 and 3 call the four norms of a layer in safetensors.

import type { NameTable } from './names.ts';

export const gemmaNames: NameTable = {
  post_attention_layernorm: 'post_self_attn_layernorm',
  pre_feedforward_layernorm: 'post_attention_layernorm',
  post_feedforward_layernorm: 'post_mlp_layernorm',
};
