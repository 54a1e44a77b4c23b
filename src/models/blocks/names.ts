// Tensor names of decoder checkpoints in the Hugging Face dialect. A family spreads this table and changes what differs.

export interface AttentionNames {
  readonly q: string;
  readonly k: string;
  readonly v: string;
  readonly o: string;
  readonly qNorm: string;
  readonly kNorm: string;
}

export interface MlpNames {
  readonly gate: string;
  readonly up: string;
  readonly down: string;
}

export interface MoeNames {
  readonly router: string;
  /** One matrix of one expert. */
  expert(part: keyof MlpNames, expert: number): string;
  /** All experts in one tensor `[E, N, K]`, as GGUF files have them. */
  stacked(part: keyof MlpNames): string;
}

/** Modules by layer; `.weight` and `.bias` are appended by the blocks. */
export interface DecoderNames {
  readonly embedding: string;
  readonly finalNorm: string;
  readonly head: string;
  attentionNorm(layer: number): string;
  attention(layer: number): AttentionNames;
  feedForwardNorm(layer: number): string;
  mlp(layer: number): MlpNames;
  moe(layer: number): MoeNames;
}

const layer = (i: number): string => `model.layers.${i}`;

/** The names that Llama introduced and most decoders kept. */
export const decoderNames: DecoderNames = {
  embedding: 'model.embed_tokens',
  finalNorm: 'model.norm',
  head: 'lm_head',
  attentionNorm: (i) => `${layer(i)}.input_layernorm`,
  attention: (i) => ({
    q: `${layer(i)}.self_attn.q_proj`,
    k: `${layer(i)}.self_attn.k_proj`,
    v: `${layer(i)}.self_attn.v_proj`,
    o: `${layer(i)}.self_attn.o_proj`,
    qNorm: `${layer(i)}.self_attn.q_norm`,
    kNorm: `${layer(i)}.self_attn.k_norm`,
  }),
  feedForwardNorm: (i) => `${layer(i)}.post_attention_layernorm`,
  mlp: (i) => ({
    gate: `${layer(i)}.mlp.gate_proj`,
    up: `${layer(i)}.mlp.up_proj`,
    down: `${layer(i)}.mlp.down_proj`,
  }),
  moe: (i) => ({
    router: `${layer(i)}.mlp.gate`,
    expert: (part, expert) => `${layer(i)}.mlp.experts.${expert}.${part}_proj`,
    stacked: (part) => `${layer(i)}.mlp.experts.${part}_proj`,
  }),
};
