// config.json of DeepSeek V2 and V3: attention over latent rows, and experts behind the first dense layers.

import type { LatentSpec } from '../../nn/contracts.ts';
import type { RopeConfig } from '../../nn/rope.ts';
import { readMlp } from '../config/activations.ts';
import { type MlpConfig, type NormConfig, readLayerCount, readRmsNorm } from '../config/decoder.ts';
import { type MoeConfig, moeKeys, type RouterConfig, readGroups, readMoe } from '../config/experts.ts';
import { type ConfigReader, limits } from '../config/reader.ts';
import { readRope } from '../config/rope.ts';
import type { ModelConfig } from '../contract.ts';
import type { IndexerConfig } from './indexer.ts';

export interface LatentAttentionConfig {
  readonly numHeads: number;
  /** Width of the compressed queries; undefined: queries are made in one step. */
  readonly queryRank: number | undefined;
  /** Width of the compressed keys and values. */
  readonly rank: number;
  /** Columns of a query and key that do not rotate. */
  readonly plainDim: number;
  readonly rope: RopeConfig;
  readonly valueDim: number;
  /** Biases on the compressing projections and on the output. */
  readonly bias: boolean;
  /** Multiplies q·k. */
  readonly scale: number;
  /** What chooses the positions that a row attends to (V3.2); undefined: it attends to all. */
  readonly indexer: IndexerConfig | undefined;
}

export interface DeepseekConfig extends ModelConfig {
  readonly norm: NormConfig;
  readonly attention: LatentAttentionConfig;
  readonly feedForward: readonly (MlpConfig | MoeConfig)[];
  readonly tiedEmbeddings: boolean;
}

/** What a generation means where a config does not say, and the router that its code has. */
export interface DeepseekDefaults {
  readonly family: string;
  readonly contextLength: number;
  readonly denseLayers: number;
  readonly sharedExperts: number;
  readonly router: (reader: ConfigReader) => RouterConfig;
  /** `rope_interleave: false` rotates the halves of the rotating columns. */
  readonly halvesKnown: boolean;
  /** Rows attend to what an indexer chooses. */
  readonly indexed: boolean;
}

/** Reads a config. Throws bad_file or unsupported with the field's name. */
export function readDeepseek(reader: ConfigReader, defaults: DeepseekDefaults): DeepseekConfig {
  const { attention, reach } = readAttention(reader, defaults);
  const feedForward = readFeedForward(reader, defaults);
  const moe = feedForward.find(({ kind }) => kind === 'moe');
  const bos = reader.ints('bos_token_id', limits.tokenId)?.[0];
  const { rank, rope, indexer } = attention;
  const kept: LatentSpec = {
    kind: 'latent',
    rank,
    ropeDim: rope.rotaryDim,
    ...(indexer === undefined ? {} : { indexDim: indexer.headDim }),
  };
  return {
    family: defaults.family,
    vocabSize: reader.int('vocab_size', limits.vocabSize),
    hiddenSize: reader.int('hidden_size', limits.hiddenSize),
    numLayers: feedForward.length,
    ...reach,
    ...(bos === undefined ? {} : { bosTokenId: bos }),
    eosTokenIds: reader.ints('eos_token_id', limits.tokenId, 1024) ?? [],
    ...(moe?.kind === 'moe' ? { expertsPerToken: moe.topK } : {}),
    memory: feedForward.map(() => kept),
    norm: readRmsNorm(reader),
    attention,
    feedForward,
    tiedEmbeddings: reader.boolean('tie_word_embeddings', false),
  };
}

function readAttention(
  reader: ConfigReader,
  { contextLength, indexed, halvesKnown }: DeepseekDefaults,
): {
  readonly attention: LatentAttentionConfig;
  readonly reach: Pick<ModelConfig, 'contextLength' | 'plainContext'>;
} {
  const ropeDim = reader.int('qk_rope_head_dim', limits.headDim);
  if (ropeDim % 2 !== 0)
    reader.fail('qk_rope_head_dim', `is ${ropeDim}, must be even: columns rotate in pairs`);
  const plainDim = reader.int('qk_nope_head_dim', limits.headDim);
  const numHeads = reader.int('num_attention_heads', limits.heads);
  // All heads share the rows, whatever the number says; files have that of the heads, or 1.
  const numKvHeads = reader.int('num_key_value_heads', limits.heads, numHeads);
  if (numHeads % numKvHeads !== 0) {
    reader.fail(
      'num_key_value_heads',
      `is ${numKvHeads}, must divide the ${numHeads} of num_attention_heads evenly`,
    );
  }
  const { rope, ...reach } = readRope(reader, {
    theta: 10000,
    headDim: ropeDim,
    interleaved: halvesKnown ? reader.boolean('rope_interleave', true) : true,
    contextLength: reader.int('max_position_embeddings', limits.contextLength, contextLength),
  });
  return {
    reach,
    attention: {
      numHeads,
      // The indexer's queries are made of the compressed ones.
      queryRank: indexed
        ? reader.int('q_lora_rank', limits.hiddenSize)
        : reader.optionalInt('q_lora_rank', limits.hiddenSize),
      rank: reader.int('kv_lora_rank', limits.headDim),
      plainDim,
      rope: rope,
      valueDim: reader.int('v_head_dim', limits.headDim),
      bias: reader.boolean('attention_bias', false),
      scale: (plainDim + ropeDim) ** -0.5 * sharpening(rope) ** 2,
      indexer: indexed ? readIndexer(reader, ropeDim) : undefined,
    },
  };
}

function readIndexer(reader: ConfigReader, ropeDim: number): IndexerConfig {
  const headDim = reader.int('index_head_dim', limits.headDim, 128);
  if (headDim < ropeDim) {
    reader.fail(
      'index_head_dim',
      `is ${headDim}, must hold the ${ropeDim} rotating columns of qk_rope_head_dim`,
    );
  }
  return {
    heads: reader.int('index_n_heads', limits.heads, 64),
    headDim,
    count: reader.int('index_topk', { min: 1, max: 2 ** 20 }, 2048),
  };
}

/** The factor of `mscale_all_dim` on queries and on keys beside YaRN's own on the rotation (DeepSeek V2's code). */
function sharpening({ scaling }: RopeConfig): number {
  if (scaling.kind !== 'yarn' || !scaling.mscaleAllDim || scaling.factor <= 1) return 1;
  return 0.1 * scaling.mscaleAllDim * Math.log(scaling.factor) + 1;
}

function readFeedForward(
  reader: ConfigReader,
  { denseLayers, sharedExperts, router }: DeepseekDefaults,
): readonly (MlpConfig | MoeConfig)[] {
  const numLayers = readLayerCount(reader);
  const dense = readMlp(reader, { bias: reader.boolean('mlp_bias', false) });
  const experts = reader.optionalInt('n_routed_experts', limits.experts) ?? 0;
  if (experts === 0) return Array.from({ length: numLayers }, () => dense);
  if (reader.int('moe_layer_freq', { min: 1, max: limits.layers.max }, 1) !== 1) {
    reader.unsupported(
      'moe_layer_freq',
      'experts in only some of the layers after the dense ones are not done',
    );
  }
  const first = reader.int('first_k_dense_replace', { min: 0, max: limits.layers.max }, denseLayers);
  const shared = reader.int('n_shared_experts', { min: 0, max: 1024 }, sharedExperts);
  const width = reader.int('moe_intermediate_size', limits.intermediateSize);
  const moe = readMoe(
    reader,
    router(reader),
    { ...moeKeys, experts: 'n_routed_experts' },
    {
      ...(shared > 0 ? { shared: { intermediateSize: shared * width, gated: false, bias: dense.bias } } : {}),
    },
  );
  return Array.from({ length: numLayers }, (_, i) => (i < first ? dense : moe));
}

/** V2: probabilities; groups are ranked by their best expert. Its code never made the weights sum to 1. */
export function softmaxRouter(reader: ConfigReader): RouterConfig {
  expectField(reader, 'scoring_func', ['softmax']);
  const method = expectField(reader, 'topk_method', ['greedy', 'group_limited_greedy']);
  const groups = method === 'group_limited_greedy' ? readGroups(reader, 'max') : undefined;
  return {
    ...readScale(reader),
    score: 'softmax',
    correction: false,
    normalised: false,
    ...(groups && { groups }),
  };
}

/** V3: a score for each expert, corrected for the choice; groups are ranked by their two best. */
export function sigmoidRouter(reader: ConfigReader): RouterConfig {
  expectField(reader, 'scoring_func', ['sigmoid']);
  expectField(reader, 'topk_method', ['noaux_tc']);
  const groups = readGroups(reader, 'best-two', { count: 8, kept: 4 });
  const normalised = reader.boolean('norm_topk_prob', true);
  return {
    ...readScale(reader, 2.5),
    score: 'sigmoid',
    correction: true,
    normalised,
    ...(groups && { groups }),
  };
}

const readScale = (reader: ConfigReader, fallback = 1): Pick<RouterConfig, 'bias' | 'epsilon' | 'scale'> => ({
  bias: false,
  epsilon: 1e-20,
  scale: reader.number('routed_scaling_factor', { min: 0, max: 1e3 }, fallback),
});

/** The field's value, the first of `known` where it is absent. Throws unsupported for another. */
function expectField(reader: ConfigReader, key: string, known: readonly string[]): string | undefined {
  const value = reader.string(key) ?? known[0];
  if (value !== undefined && known.includes(value)) return value;
  return reader.unsupported(
    key,
    `"${value}" is not done for this architecture; supported are ${known.join(', ')}`,
  );
}
