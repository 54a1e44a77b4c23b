// config.json of DeepSeek V4, as it was released (`compress_ratios`, `num_hash_layers`) and as transformers writes it (`layer_types`,
// `rope_parameters` by kind of layer).

import type { BlocksSpec, CompressedSpec } from '../../nn/contracts.ts';
import type { RopeConfig, RopeScaling } from '../../nn/rope.ts';
import { type Activation, readActivation } from '../config/activations.ts';
import { type NormConfig, readLayerCount, readRmsNorm } from '../config/decoder.ts';
import { type MoeConfig, moeKeys, type RouterConfig, readMoe } from '../config/experts.ts';
import { type ConfigReader, limits } from '../config/reader.ts';
import { readScaling } from '../config/rope.ts';
import type { ModelConfig } from '../contract.ts';

/** Attention of one layer. */
export interface CompressedAttentionConfig {
  readonly numHeads: number;
  readonly headDim: number;
  /** Width of the compressed queries. */
  readonly queryRank: number;
  /** Heads go through their own matrices in so many groups, to `outputRank` columns each. */
  readonly outputGroups: number;
  readonly outputRank: number;
  readonly window: number;
  /** Of the last columns of a head. */
  readonly rope: RopeConfig;
  readonly blocks: BlocksSpec | undefined;
  /** Where blocks have an index: its heads, and the blocks that a row attends to at most. */
  readonly index: { readonly heads: number; readonly headDim: number; readonly count: number } | undefined;
}

/** Experts of one layer. */
export interface LayerExperts extends MoeConfig {
  /** Experts are those that a table has for the token's id. */
  readonly byToken: boolean;
  readonly shared: NonNullable<MoeConfig['shared']>;
}

/** Streams that a layer takes its input from and gives its output to (https://arxiv.org/abs/2512.24880). */
export interface StreamsConfig {
  readonly count: number;
  readonly iterations: number;
  readonly eps: number;
}

export interface DeepseekV4Config extends ModelConfig {
  readonly norm: NormConfig;
  readonly streams: StreamsConfig;
  readonly layers: readonly {
    readonly attention: CompressedAttentionConfig;
    readonly experts: LayerExperts;
  }[];
}

const kinds = ['sliding_attention', 'compressed_sparse_attention', 'heavily_compressed_attention'] as const;
type Kind = (typeof kinds)[number];

/** Reads a config. Throws bad_file or unsupported with the field's name. */
export function readDeepseekV4(reader: ConfigReader): DeepseekV4Config {
  refuseUndone(reader);
  const numLayers = readLayerCount(reader);
  const rates = readRates(reader);
  const layerKinds = readKinds(reader, numLayers, rates);
  const attentionOf = readAttention(reader, rates);
  const experts = readExperts(reader);
  const hashed = readHashed(reader, numLayers);
  const layers = layerKinds.map((kind, i) => ({
    attention: attentionOf(kind),
    experts: { ...experts, byToken: hashed[i] ?? false },
  }));
  const bos = reader.ints('bos_token_id', limits.tokenId)?.[0];
  return {
    family: 'deepseek4',
    vocabSize: reader.int('vocab_size', limits.vocabSize),
    hiddenSize: reader.int('hidden_size', limits.hiddenSize),
    numLayers,
    contextLength: reader.int('max_position_embeddings', limits.contextLength, 1048576),
    ...(bos === undefined ? {} : { bosTokenId: bos }),
    eosTokenIds: reader.ints('eos_token_id', limits.tokenId, 1024) ?? [],
    expertsPerToken: experts.topK,
    memory: layers.map(({ attention }) => memoryOf(attention)),
    norm: readRmsNorm(reader),
    streams: {
      count: reader.int('hc_mult', { min: 1, max: 8 }, 4),
      iterations: reader.int('hc_sinkhorn_iters', { min: 1, max: 1000 }, 20),
      eps: reader.number('hc_eps', limits.eps, 1e-6),
    },
    layers,
    tiedEmbeddings: reader.boolean('tie_word_embeddings', false),
  };
}

const memoryOf = ({ window, headDim, blocks }: CompressedAttentionConfig): CompressedSpec => ({
  kind: 'compressed',
  window,
  width: headDim,
  ...(blocks === undefined ? {} : { blocks }),
});

function refuseUndone(reader: ConfigReader): void {
  for (const key of ['attention_bias', 'mlp_bias'])
    if (reader.boolean(key, false)) reader.unsupported(key, 'biases are not done for this architecture');
  if (!reader.boolean('norm_topk_prob', true))
    reader.unsupported('norm_topk_prob', 'weights of experts that do not sum to 1 are not done');
  // All heads share the rows, whatever the number says.
  const numHeads = reader.int('num_attention_heads', limits.heads);
  const kvHeads = reader.int('num_key_value_heads', limits.heads, 1);
  if (numHeads % kvHeads !== 0) {
    reader.fail(
      'num_key_value_heads',
      `is ${kvHeads}, must divide the ${numHeads} of num_attention_heads evenly`,
    );
  }
}

/** Positions of a block by kind of layer. */
type Rates = Readonly<Record<Exclude<Kind, 'sliding_attention'>, number>>;

function readRates(reader: ConfigReader): Rates {
  const range = { min: 1, max: 65536 };
  const own = reader.object('compress_rates');
  const rate = (kind: keyof Rates, key: string, fallback: number): number => {
    const value = own?.has(kind) ? own.int(kind, range) : reader.int(key, range, fallback);
    if (32 % value !== 0 && value % 32 !== 0)
      reader.unsupported(
        own?.has(kind) ? 'compress_rates' : key,
        `blocks of ${value} positions are not done; their number must divide 32 or be a multiple of it`,
      );
    return value;
  };
  return {
    compressed_sparse_attention: rate('compressed_sparse_attention', 'compress_rate_csa', 4),
    heavily_compressed_attention: rate('heavily_compressed_attention', 'compress_rate_hca', 128),
  };
}

/** What each layer is; `compress_ratios` has one entry more for each layer that predicts further tokens. */
function readKinds(reader: ConfigReader, numLayers: number, rates: Rates): readonly Kind[] {
  const named = reader.strings('layer_types', limits.layers.max);
  if (named !== undefined) {
    if (named.length !== numLayers)
      reader.fail('layer_types', `has ${named.length} entries for ${numLayers} layers`);
    return named.map(
      (name) =>
        kinds.find((kind) => kind === name) ??
        reader.unsupported('layer_types', `unknown kind of layer "${name}"; known are ${kinds.join(', ')}`),
    );
  }
  const ratios = reader.ints('compress_ratios', { min: 0, max: 65536 }, limits.layers.max);
  if (ratios === undefined) {
    // As the largest release: two layers that compress heavily, then both kinds in turn.
    return Array.from({ length: numLayers }, (_, i) =>
      i < 2 || i % 2 === 0 ? 'heavily_compressed_attention' : 'compressed_sparse_attention',
    );
  }
  if (ratios.length < numLayers)
    reader.fail('compress_ratios', `has ${ratios.length} entries for ${numLayers} layers`);
  return ratios.slice(0, numLayers).map((ratio) => {
    if (ratio === 0) return 'sliding_attention';
    const known = kinds.find((kind) => kind !== 'sliding_attention' && rates[kind] === ratio);
    return (
      known ??
      reader.unsupported(
        'compress_ratios',
        `holds ${ratio}; known are 0, ${rates.compressed_sparse_attention} and ${rates.heavily_compressed_attention}`,
      )
    );
  });
}

function readAttention(reader: ConfigReader, rates: Rates): (kind: Kind) => CompressedAttentionConfig {
  const numHeads = reader.int('num_attention_heads', limits.heads);
  const headDim = reader.int('head_dim', limits.headDim, 512);
  const outputGroups = reader.int('o_groups', limits.heads, Math.min(8, numHeads));
  if (numHeads % outputGroups !== 0)
    reader.fail('o_groups', `is ${outputGroups}, must divide the ${numHeads} of num_attention_heads evenly`);
  const { plain, compressed } = readRotations(reader, headDim);
  const index = {
    heads: reader.int('index_n_heads', limits.heads, 64),
    headDim: reader.int('index_head_dim', limits.headDim, 128),
    count: reader.int('index_topk', { min: 1, max: 2 ** 20 }, 512),
  };
  if (index.headDim < compressed.rotaryDim) {
    reader.fail(
      'index_head_dim',
      `is ${index.headDim}, must hold the ${compressed.rotaryDim} rotating columns`,
    );
  }
  const shared = {
    numHeads,
    headDim,
    queryRank: reader.int('q_lora_rank', limits.hiddenSize, 1024),
    outputGroups,
    outputRank: reader.int('o_lora_rank', limits.hiddenSize, 1024),
    window: reader.int('sliding_window', limits.contextLength, 128),
  };
  return (kind) => {
    if (kind === 'sliding_attention') return { ...shared, rope: plain, blocks: undefined, index: undefined };
    const ratio = rates[kind];
    const sparse = kind === 'compressed_sparse_attention';
    return {
      ...shared,
      rope: compressed,
      blocks: { ratio, overlap: sparse, ...(sparse ? { indexDim: index.headDim } : {}) },
      index: sparse ? index : undefined,
    };
  };
}

/** Rotations of layers without and with blocks: scaling and a base of their own are for those with blocks only. */
function readRotations(
  reader: ConfigReader,
  headDim: number,
): { readonly plain: RopeConfig; readonly compressed: RopeConfig } {
  const rotaryDim = readRotaryDim(reader, headDim);
  const nested = reader.object('rope_parameters');
  const [main, compress] = [nested?.object('main'), nested?.object('compress')];
  if (main !== undefined && (main.string('rope_type') ?? 'default') !== 'default')
    reader.unsupported('rope_parameters', 'scaling of layers without blocks is not done');
  const fields = compress ?? (main === undefined ? (nested ?? reader.object('rope_scaling')) : undefined);
  const contextLength = reader.int('max_position_embeddings', limits.contextLength, 1048576);
  const scaling: RopeScaling = fields ? readScaling(fields, reader, { contextLength }) : { kind: 'default' };
  const theta = (from: ConfigReader | undefined, key: string, fallback: number): number =>
    from?.has('rope_theta')
      ? from.number('rope_theta', limits.theta)
      : reader.number(key, limits.theta, fallback);
  const shared = { rotaryDim, interleaved: true };
  return {
    plain: { ...shared, theta: theta(main, 'rope_theta', 10000), scaling: { kind: 'default' } },
    compressed: {
      ...shared,
      theta: theta(compress, 'compress_rope_theta', 160000),
      // The factor that YaRN would have on sine and cosine is left out.
      scaling: scaling.kind === 'yarn' ? { attentionFactor: 1, ...scaling } : scaling,
    },
  };
}

function readRotaryDim(reader: ConfigReader, headDim: number): number {
  const said = reader.optionalInt('qk_rope_head_dim', limits.headDim);
  const share = reader.number('partial_rotary_factor', { min: 0, max: 1 }, 64 / 512);
  const rotaryDim = said ?? Math.trunc(headDim * share);
  if (rotaryDim < 2 || rotaryDim % 2 !== 0 || rotaryDim > headDim) {
    const key = said === undefined ? 'partial_rotary_factor' : 'qk_rope_head_dim';
    reader.fail(key, `gives ${rotaryDim} rotating columns of ${headDim}, must be even and at least 2`);
  }
  return rotaryDim;
}

const scores: Readonly<Record<string, RouterConfig['score']>> = {
  sqrtsoftplus: 'sqrt-softplus',
  softmax: 'softmax',
  sigmoid: 'sigmoid',
};

function readExperts(reader: ConfigReader): Omit<LayerExperts, 'byToken'> {
  const name = reader.string('scoring_func') ?? 'sqrtsoftplus';
  const score = Object.hasOwn(scores, name) ? scores[name] : undefined;
  if (score === undefined) {
    return reader.unsupported(
      'scoring_func',
      `"${name}" is not done; supported are ${Object.keys(scores).join(', ')}`,
    );
  }
  const router: RouterConfig = {
    score,
    bias: false,
    correction: true,
    normalised: true,
    epsilon: 1e-20,
    scale: reader.number('routed_scaling_factor', { min: 0, max: 1e3 }, 1.5),
  };
  const activation: Activation = readActivation(reader);
  const gate = { limit: reader.number('swiglu_limit', limits.factor, 10) };
  const width = reader.int('moe_intermediate_size', limits.intermediateSize);
  const shared = reader.int('n_shared_experts', { min: 0, max: 1024 }, 1);
  if (shared !== 1) reader.unsupported('n_shared_experts', `is ${shared}; one shared expert is done`);
  return {
    ...readMoe(reader, router, { ...moeKeys, experts: 'n_routed_experts' }, { activation, gate }),
    shared: { intermediateSize: width, gated: false, bias: false },
  };
}

/** Whether the experts of each layer go by the token's id. */
function readHashed(reader: ConfigReader, numLayers: number): readonly boolean[] {
  const named = reader.strings('mlp_layer_types', limits.layers.max);
  if (named === undefined) {
    const count = reader.int('num_hash_layers', { min: 0, max: limits.layers.max }, 3);
    return Array.from({ length: numLayers }, (_, i) => i < count);
  }
  if (named.length !== numLayers)
    reader.fail('mlp_layer_types', `has ${named.length} entries for ${numLayers} layers`);
  return named.map((name) => {
    if (name !== 'hash_moe' && name !== 'moe')
      reader.unsupported('mlp_layer_types', `unknown kind "${name}"; known are hash_moe, moe`);
    return name === 'hash_moe';
  });
}
