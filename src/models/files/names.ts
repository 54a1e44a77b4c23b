// Names of tensors in files, and the canonical ones of blocks/names.ts that they mean.

/**
 * From a name in files to the canonical one. Keys are module names without `.weight` or `.bias`, or whole names of tensors
 * that end in neither; inside layers they are what follows the layer's number, and `*` stands for an expert's number.
 */
export type NameTable = Readonly<Record<string, string>>;

/** What folders of MLX call stacks of experts, whatever the family. */
export const mlxNames: NameTable = {
  'mlp.switch_mlp.gate_proj': 'mlp.experts.gate_proj',
  'mlp.switch_mlp.up_proj': 'mlp.experts.up_proj',
  'mlp.switch_mlp.down_proj': 'mlp.experts.down_proj',
};

/** What safetensors call what Llama has not, whatever the family: parameters that are no module, fused experts. */
export const commonNames: NameTable = {
  'self_attn.sinks': 'self_attn.sinks.weight',
  // Parameters without an ending: transformers' own stacks.
  'mlp.experts.gate_up_proj': 'mlp.experts.own_gate_up_proj.weight',
  'mlp.experts.down_proj': 'mlp.experts.own_down_proj.weight',
};

/** Names in GGUF files. Families add to them or change them. */
export const ggufNames: NameTable = {
  token_embd: 'model.embed_tokens',
  output_norm: 'model.norm',
  output: 'lm_head',
  attn_norm: 'input_layernorm',
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_qkv: 'self_attn.qkv_proj',
  attn_output: 'self_attn.o_proj',
  attn_q_norm: 'self_attn.q_norm',
  attn_k_norm: 'self_attn.k_norm',
  attn_sinks: 'self_attn.sinks',
  post_attention_norm: 'post_self_attn_layernorm',
  ffn_norm: 'post_attention_layernorm',
  post_ffw_norm: 'post_mlp_layernorm',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
  ffn_gate_inp: 'mlp.gate',
  exp_probs_b: 'mlp.gate.correction',
  // Experts are one stacked tensor [E, N, K].
  ffn_gate_exps: 'mlp.experts.gate_proj',
  ffn_up_exps: 'mlp.experts.up_proj',
  ffn_gate_up_exps: 'mlp.experts.gate_up_proj',
  ffn_down_exps: 'mlp.experts.down_proj',
  ffn_gate_shexp: 'mlp.shared_expert.gate_proj',
  ffn_up_shexp: 'mlp.shared_expert.up_proj',
  ffn_down_shexp: 'mlp.shared_expert.down_proj',
  ffn_gate_inp_shexp: 'mlp.shared_expert_gate',
};

/** A canonical name, taken apart. */
export interface TensorName {
  /** `model.layers.3.`, or empty. */
  readonly layer: string;
  /** `self_attn.q_proj` */
  readonly module: string;
  /** `weight`, `bias`, or empty. */
  readonly kind: string;
}

const suffix = /^(.*)\.(weight|bias)$/;

/** Splits the name of a tensor after the layer's number and before `.weight` or `.bias`. */
export function splitName(name: string, layers: RegExp): TensorName {
  const [, number, local = name] = layers.exec(name) ?? [];
  const [, module = local, kind = ''] = suffix.exec(local) ?? [];
  return { layer: number === undefined ? '' : `model.layers.${number}.`, module, kind };
}

/** The canonical name by a table; undefined when it has none. */
export function translateName(
  { layer, module, kind }: TensorName,
  ...tables: readonly NameTable[]
): TensorName | undefined {
  const [, before, expert, after] = /^(.*)\.(\d{1,5})\.(.*)$/.exec(module) ?? [];
  const key = expert === undefined ? module : `${before}.*.${after}`;
  for (const table of tables) {
    const value = Object.hasOwn(table, key) ? table[key] : undefined;
    const whole = value === undefined ? undefined : suffix.exec(value);
    // A value with an ending is for a whole name.
    if (value === undefined || (whole !== null && kind !== '')) continue;
    const [, known = value, own = kind] = whole ?? [];
    return { layer, module: known.replace('*', expert ?? '*'), kind: own };
  }
  return undefined;
}

/** A name put together again. */
export const joinName = ({ layer, module, kind }: TensorName): string =>
  `${layer}${module}${kind === '' ? '' : `.${kind}`}`;

/**
 * The name in files of a canonical one: `translateName` the other way round. Of several the first; undefined when the tables
 * have none.
 */
export function storedName(name: TensorName, ...tables: readonly NameTable[]): TensorName | undefined {
  const whole = joinName({ ...name, layer: '' });
  for (const table of tables) {
    for (const [stored, canonical] of Object.entries(table)) {
      if (canonical === whole) return { ...name, module: stored, kind: '' };
      if (canonical === name.module) return { ...name, module: stored };
    }
  }
  return undefined;
}

/** Modules that some files hold as one, and those that it has the rows of. */
export const fusions = {
  'self_attn.qkv_proj': ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj'],
  'mlp.gate_up_proj': ['mlp.gate_proj', 'mlp.up_proj'],
  'conv.in_proj': ['conv.before_proj', 'conv.after_proj', 'conv.value_proj'],
  'mlp.experts.gate_up_proj': ['mlp.experts.gate_proj', 'mlp.experts.up_proj'],
} as const;
export type Fusion = keyof typeof fusions;
