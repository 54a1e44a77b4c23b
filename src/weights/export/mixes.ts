// The mixes of GGUF: what llama.cpp calls Q4_K_M is Q4_K with more bits where a model is sensitive, in the values of attention and
// in the last matrix of the feed-forward network. https://github.com/ggml-org/llama.cpp/blob/master/src/llama-quant.cpp

import type { SourceFormat } from '../../quant/format.ts';
import { findSourceFormat } from '../../quant/registry.ts';
import type { Checkpoint } from '../checkpoint.ts';
import { dimensions } from '../tensor.ts';

/** What a matrix does. `value` is also what has queries, keys and values in one. */
type Role = 'value' | 'key' | 'output' | 'down';

const roles: Readonly<Record<Role, RegExp>> = {
  value: /(self_attn\.(v|qkv|kv_b)_proj|attn_(v|qkv|kv_b))\.weight$/,
  key: /(self_attn\.k_proj|attn_k)\.weight$/,
  output: /(self_attn\.o_proj|attn_output)\.weight$/,
  down: /(down_proj|ffn_down(_exps|_shexp)?)\.weight$/,
};

/** Where a matrix is: the layer `i` of the `n` that have one of its role, and what the model is like. */
interface Place {
  readonly i: number;
  readonly n: number;
  /** Rows of queries for one of keys. */
  readonly shared: number;
}

interface Mix {
  /** The format of all other matrices. */
  readonly base: string;
  /** Other ones, by role; undefined: the base. */
  readonly rules?: Partial<Record<Role, (place: Place) => string | false>>;
  /** Whether the attention of a mixture of eight experts, small beside them, gets more: outputs Q5_K. */
  readonly eight?: boolean;
}

const part = (n: number, share: number): number => Math.floor(n / share);
/** The first and last eighth of the layers, and every third between them. */
const more = ({ i, n }: Place): boolean =>
  i < part(n, 8) || i >= part(7 * n, 8) || (i - part(n, 8)) % 3 === 2;
const manyShare = ({ shared }: Place): boolean => shared >= 4;

const iq4: NonNullable<Mix['rules']> = {
  value: (place) => manyShare(place) && 'q5_k',
  down: ({ i, n }) => i < part(n, 8) && 'q5_k',
};

const sixes: NonNullable<Mix['rules']> = {
  value: (place) => more(place) && 'q6_k',
  down: (place) => more(place) && 'q6_k',
};

const q3km: Mix = {
  base: 'q3_k',
  eight: true,
  rules: {
    value: ({ i }) => (i < 2 ? 'q5_k' : 'q4_k'),
    down: ({ i, n }) => (i < part(n, 16) ? 'q5_k' : 'q4_k'),
    output: () => 'q4_k',
  },
};
const q4km: Mix = { base: 'q4_k', eight: true, rules: sixes };
const q5km: Mix = { base: 'q5_k', rules: sixes };

/** By the names of llama.cpp; those without an ending are what it takes for them. */
const mixes: Readonly<Record<string, Mix>> = {
  q2_k: {
    base: 'q2_k',
    eight: true,
    rules: {
      value: (place) => (manyShare(place) ? 'q4_k' : 'q3_k'),
      down: () => 'q3_k',
      output: () => 'q3_k',
    },
  },
  q2_k_s: {
    base: 'q2_k',
    rules: {
      value: (place) => manyShare(place) && 'q4_k',
      down: ({ i, n }) => i < part(n, 8) && 'q4_k',
    },
  },
  q3_k_s: { base: 'q3_k', eight: true },
  q3_k: q3km,
  q3_k_m: q3km,
  q3_k_l: { base: 'q3_k', rules: { value: () => 'q5_k', down: () => 'q5_k', output: () => 'q5_k' } },
  q4_k_s: {
    base: 'q4_k',
    eight: true,
    rules: { value: ({ i }) => i < 4 && 'q5_k', down: ({ i, n }) => i < part(n, 8) && 'q5_k' },
  },
  q4_k: q4km,
  q4_k_m: q4km,
  q5_k_s: { base: 'q5_k' },
  q5_k: q5km,
  q5_k_m: q5km,
  iq4_nl: { base: 'iq4_nl', eight: true, rules: iq4 },
  iq4_xs: { base: 'iq4_xs', eight: true, rules: iq4 },
};

export const mixNames: readonly string[] = Object.keys(mixes);

/** The format of most matrices of a mix; undefined for other names. */
export const mixBase = (name: string): SourceFormat | undefined => findSourceFormat(mixes[name]?.base ?? '');

/** Formats of the tensors of a checkpoint that differ from the mix's base, by name. Names are those of GGUF or of Llama. */
export function mixedFormats(name: string, checkpoint: Checkpoint): ReadonlyMap<string, SourceFormat> {
  const { rules = {}, eight = false } = mixes[name] ?? {};
  const places = rolesOf(checkpoint.tensors);
  const shapeOf = (tensor: string) => dimensions(checkpoint.describe(tensor).shape);
  const rows = (role: RegExp): number => {
    const tensor = checkpoint.tensors.find((each) => role.test(each));
    return tensor === undefined ? 1 : shapeOf(tensor).rows;
  };
  const shared = rows(/(self_attn\.q_proj|attn_q)\.weight$/) / rows(roles.key);
  const experts = Math.max(
    1,
    ...places.flatMap(({ tensor, role }) => (role === 'down' ? shapeOf(tensor).matrices : [])),
  );
  const found = new Map<string, SourceFormat>();
  for (const { tensor, role, i, n } of places) {
    const chosen = (experts === 8 && ofEight(role, eight)) || (rules[role]?.({ i, n, shared }) ?? false);
    const format = chosen === false ? undefined : findSourceFormat(chosen);
    if (format !== undefined) found.set(tensor, format);
  }
  return found;
}

function ofEight(role: Role, strong: boolean): string | false {
  if (role === 'value' || role === 'key') return 'q8_0';
  return role === 'output' && strong && 'q5_k';
}

/** The tensors that have a role, with their layer's place among those with the same. */
function rolesOf(
  tensors: readonly string[],
): readonly { readonly tensor: string; readonly role: Role; readonly i: number; readonly n: number }[] {
  return (Object.keys(roles) as Role[]).flatMap((role) => {
    const layers = tensors
      .filter((tensor) => roles[role].test(tensor))
      .map((tensor) => ({ tensor, layer: Number(/\.(\d+)\./.exec(tensor)?.[1] ?? 0) }));
    const numbers = [...new Set(layers.map(({ layer }) => layer))].sort((a, b) => a - b);
    return layers.map(({ tensor, layer }) => ({
      tensor,
      role,
      i: numbers.indexOf(layer),
      n: numbers.length,
    }));
  });
}
