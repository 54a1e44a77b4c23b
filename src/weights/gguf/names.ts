// GGUF tensor names in the Hugging Face dialect that model families speak.

/** `blk.N.KEY.weight` (or `.bias`) -> `model.layers.N.VALUE.weight`. */
const layerNames: ReadonlyMap<string, string> = new Map(
  Object.entries({
    attn_norm: 'input_layernorm',
    attn_q: 'self_attn.q_proj',
    attn_k: 'self_attn.k_proj',
    attn_v: 'self_attn.v_proj',
    attn_output: 'self_attn.o_proj',
    attn_q_norm: 'self_attn.q_norm',
    attn_k_norm: 'self_attn.k_norm',
    ffn_norm: 'post_attention_layernorm',
    ffn_gate: 'mlp.gate_proj',
    ffn_up: 'mlp.up_proj',
    ffn_down: 'mlp.down_proj',
    ffn_gate_inp: 'mlp.gate',
    // Experts are one stacked tensor [E, N, K].
    ffn_gate_exps: 'mlp.experts.gate_proj',
    ffn_up_exps: 'mlp.experts.up_proj',
    ffn_down_exps: 'mlp.experts.down_proj',
  }),
);

const globalNames: ReadonlyMap<string, string> = new Map(
  Object.entries({
    'token_embd.weight': 'model.embed_tokens.weight',
    'output_norm.weight': 'model.norm.weight',
    'output.weight': 'lm_head.weight',
  }),
);

/** The Hugging Face name of a GGUF tensor; undefined for those that are not weights of the model (`rope_freqs.weight`). */
export function huggingFaceName(name: string): string | undefined {
  const known = globalNames.get(name);
  if (known !== undefined) return known;
  const match = /^blk\.(\d+)\.(\w+)\.(weight|bias)$/.exec(name);
  const local = match?.[2] === undefined ? undefined : layerNames.get(match[2]);
  return local === undefined ? undefined : `model.layers.${match?.[1]}.${local}.${match?.[3]}`;
}

/** The GGUF name of a Hugging Face name: the inverse, for writers. */
export function ggufName(name: string): string | undefined {
  for (const [gguf, known] of globalNames) if (known === name) return gguf;
  const match = /^model\.layers\.(\d+)\.(.+)\.(weight|bias)$/.exec(name);
  const local = [...layerNames].find(([, known]) => known === match?.[2])?.[0];
  return local === undefined ? undefined : `blk.${match?.[1]}.${local}.${match?.[3]}`;
}

/** Architectures whose query and key rows are stored with the two halves of each head interleaved. */
const interleaved: readonly string[] = ['llama', 'mistral'];

/** Whether the rows of a tensor (by its Hugging Face name) are stored in that order. */
export const isRotaryPermuted = (architecture: string, name: string): boolean =>
  interleaved.includes(architecture) && /self_attn\.[qk]_proj\.(weight|bias)$/.test(name);

/**
 * Puts the rows of such a tensor back into Hugging Face order: `rowMap[i]` is the stored row of row i. Stored is (head h,
 * pair i, half p); Hugging Face has (h, p, i), because its rotation pairs column i with i + headDim / 2.
 */
export function rotaryRowMap(rows: number, headDim: number): Int32Array {
  const half = headDim / 2;
  return Int32Array.from({ length: rows }, (_, row) => {
    const inHead = row % headDim;
    return row - inHead + 2 * (inHead % half) + Math.floor(inHead / half);
  });
}
