// The names that blocks ask tensors by. They are those of Llama's files, and of others where Llama has no such tensor;
// what a family's own files call them is said in models/NAME/files.ts and translated when a file is opened.

export interface AttentionNames {
  readonly q: string;
  readonly k: string;
  readonly v: string;
  readonly o: string;
  readonly qNorm: string;
  readonly kNorm: string;
  /** A vector of one number for each head. */
  readonly sinks: string;
}

export interface MlpNames {
  readonly gate: string;
  readonly up: string;
  readonly down: string;
}

export interface MoeNames {
  readonly router: string;
  /** Added to the scores of experts for their choice. */
  readonly correction: string;
  readonly shared: MlpNames;
  readonly sharedGate: string;
  /** One matrix of one expert. */
  expert(part: keyof MlpNames, expert: number): string;
  /** All experts in one tensor `[E, N, K]`. */
  stacked(part: keyof MlpNames): string;
}

export interface ConvolutionNames {
  /** What gates the input of the convolution, what gates its output, and its input. */
  readonly before: string;
  readonly after: string;
  readonly value: string;
  readonly convolution: string;
  readonly output: string;
}

export interface LayerNames {
  readonly attentionNorm: string;
  readonly attention: AttentionNames;
  readonly convolution: ConvolutionNames;
  readonly postAttentionNorm: string;
  readonly feedForwardNorm: string;
  readonly postFeedForwardNorm: string;
  readonly mlp: MlpNames;
  readonly moe: MoeNames;
}

export const embeddingName = 'model.embed_tokens';
export const finalNormName = 'model.norm';
export const headName = 'lm_head';

/** Modules of a layer; `.weight` and `.bias` are appended by the blocks. */
export function layerNames(index: number): LayerNames {
  const layer = `model.layers.${index}`;
  const attention = `${layer}.self_attn`;
  return {
    attentionNorm: `${layer}.input_layernorm`,
    attention: {
      q: `${attention}.q_proj`,
      k: `${attention}.k_proj`,
      v: `${attention}.v_proj`,
      o: `${attention}.o_proj`,
      qNorm: `${attention}.q_norm`,
      kNorm: `${attention}.k_norm`,
      sinks: `${attention}.sinks.weight`,
    },
    convolution: {
      before: `${layer}.conv.before_proj`,
      after: `${layer}.conv.after_proj`,
      value: `${layer}.conv.value_proj`,
      convolution: `${layer}.conv.conv`,
      output: `${layer}.conv.out_proj`,
    },
    postAttentionNorm: `${layer}.post_self_attn_layernorm`,
    feedForwardNorm: `${layer}.post_attention_layernorm`,
    postFeedForwardNorm: `${layer}.post_mlp_layernorm`,
    mlp: mlpNames(`${layer}.mlp`),
    moe: {
      router: `${layer}.mlp.gate`,
      correction: `${layer}.mlp.gate.correction.bias`,
      shared: mlpNames(`${layer}.mlp.shared_expert`),
      sharedGate: `${layer}.mlp.shared_expert_gate`,
      expert: (part, expert) => `${layer}.mlp.experts.${expert}.${part}_proj`,
      stacked: (part) => `${layer}.mlp.experts.${part}_proj`,
    },
  };
}

export const mlpNames = (module: string): MlpNames => ({
  gate: `${module}.gate_proj`,
  up: `${module}.up_proj`,
  down: `${module}.down_proj`,
});
