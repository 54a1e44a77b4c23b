// The shapes that the benchmarks run, and what one token costs in each: bytes of weights and multiply-adds.

export interface BenchShape {
  readonly name: string;
  readonly description: string;
  readonly architecture: 'llama' | 'qwen3moe' | 'gemma3';
  readonly layers: number;
  readonly hidden: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Inner width of the feed-forward block, of one expert when there are experts. */
  readonly inner: number;
  readonly vocab: number;
  /** The embedding matrix is also the output matrix. */
  readonly tied: boolean;
  readonly experts?: { readonly count: number; readonly used: number };
  readonly ropeBase: number;
  /** Norms behind attention and feed-forward as well, and of queries and keys (Gemma 3). */
  readonly manyNorms?: boolean;
  /** Positions that most layers see. */
  readonly window?: number;
}

export const shapes: readonly BenchShape[] = [
  {
    name: 'smol',
    description: 'SmolLM2-135M',
    architecture: 'llama',
    layers: 30,
    hidden: 576,
    heads: 9,
    kvHeads: 3,
    headDim: 64,
    inner: 1536,
    vocab: 49_152,
    tied: true,
    ropeBase: 100_000,
  },
  {
    name: 'l1b',
    description: 'Llama-3.2-1B',
    architecture: 'llama',
    layers: 16,
    hidden: 2048,
    heads: 32,
    kvHeads: 8,
    headDim: 64,
    inner: 8192,
    vocab: 128_256,
    tied: true,
    ropeBase: 500_000,
  },
  {
    name: 'moe8b',
    description: 'mixture of experts, 9.0B parameters, 1.4B per token',
    architecture: 'qwen3moe',
    layers: 24,
    hidden: 2048,
    heads: 32,
    kvHeads: 8,
    headDim: 64,
    inner: 1792,
    vocab: 65_536,
    tied: false,
    experts: { count: 32, used: 4 },
    ropeBase: 1_000_000,
  },
  {
    name: 'gemma1b',
    description: 'Gemma-3-1B',
    architecture: 'gemma3',
    layers: 26,
    hidden: 1152,
    heads: 4,
    kvHeads: 1,
    headDim: 256,
    inner: 6912,
    vocab: 262_144,
    tied: true,
    ropeBase: 1_000_000,
    manyNorms: true,
    window: 512,
  },
];

/** Shapes for `stream` only: too large to be measured whole. */
export const streamShapes: readonly BenchShape[] = [
  {
    name: 'moe30b',
    description: 'Qwen3-30B-A3B, 30B parameters, 3B per token',
    architecture: 'qwen3moe',
    layers: 48,
    hidden: 2048,
    heads: 32,
    kvHeads: 4,
    headDim: 128,
    inner: 768,
    vocab: 151_936,
    tied: false,
    experts: { count: 128, used: 8 },
    ropeBase: 1_000_000,
  },
  {
    name: 'dsv4x6',
    description:
      'six layers as wide as those of DeepSeek-V4-Flash: 256 experts of 13.5 MB, 6 of them for a token',
    architecture: 'qwen3moe',
    layers: 6,
    hidden: 4096,
    heads: 32,
    kvHeads: 4,
    headDim: 128,
    inner: 1952,
    vocab: 129_280,
    tied: false,
    experts: { count: 256, used: 6 },
    ropeBase: 1_000_000,
  },
];

/** Bytes of one Q4_0 weight: blocks of 32 weights in 18 bytes, in the file as in the packed layout. */
export const bytesPerWeight = 18 / 32;

/** Quantised weights of one layer that one token multiplies with, router excluded. */
function layerWeights(s: BenchShape): number {
  const attention = 2 * s.hidden * s.headDim * (s.heads + s.kvHeads);
  return attention + 3 * s.hidden * s.inner * (s.experts?.used ?? 1);
}

/** f32 weights of one layer: the norms, and the router of a mixture of experts. */
function layerFloats(s: BenchShape): number {
  const heads = s.experts || s.manyNorms ? 2 * s.headDim : 0;
  return (s.manyNorms ? 4 : 2) * s.hidden + heads + (s.experts ? s.experts.count * s.hidden : 0);
}

/** Weights a token multiplies with in the layers, without the output matrix: a prefill needs that for its last row only. */
export const activeWeights = (s: BenchShape): number =>
  s.layers * (layerWeights(s) + (s.experts ? s.experts.count * s.hidden : 0));

/** Bytes of weights that decoding one token reads, output matrix included. */
export const bytesPerToken = (s: BenchShape): number =>
  (s.layers * layerWeights(s) + s.vocab * s.hidden) * bytesPerWeight +
  (s.layers * layerFloats(s) + s.hidden) * 4;

/** One tensor of the file. `dims` as [rows, columns] or [experts, rows, columns]; vectors are f32, matrices Q4_0. */
export interface BenchTensor {
  readonly name: string;
  readonly dims: readonly number[];
  readonly type: 'Q4_0' | 'F32';
  readonly fill: 'random' | 'ones';
}

const matrix = (name: string, ...dims: number[]): BenchTensor => ({
  name,
  dims,
  type: 'Q4_0',
  fill: 'random',
});
const norm = (name: string, size: number): BenchTensor => ({ name, dims: [size], type: 'F32', fill: 'ones' });

/** Every tensor of a shape under its GGUF name. */
export function tensorsOf(s: BenchShape): BenchTensor[] {
  const head = s.tied ? [] : [matrix('output.weight', s.vocab, s.hidden)];
  const layers = Array.from({ length: s.layers }, (_, i) => layerTensors(s, `blk.${i}.`)).flat();
  return [
    matrix('token_embd.weight', s.vocab, s.hidden),
    ...layers,
    norm('output_norm.weight', s.hidden),
    ...head,
  ];
}

function layerTensors(s: BenchShape, at: string): BenchTensor[] {
  const [q, kv] = [s.heads * s.headDim, s.kvHeads * s.headDim];
  const common = [
    norm(`${at}attn_norm.weight`, s.hidden),
    matrix(`${at}attn_q.weight`, q, s.hidden),
    matrix(`${at}attn_k.weight`, kv, s.hidden),
    matrix(`${at}attn_v.weight`, kv, s.hidden),
    matrix(`${at}attn_output.weight`, s.hidden, q),
    norm(`${at}ffn_norm.weight`, s.hidden),
    ...(s.manyNorms
      ? [
          norm(`${at}attn_q_norm.weight`, s.headDim),
          norm(`${at}attn_k_norm.weight`, s.headDim),
          norm(`${at}post_attention_norm.weight`, s.hidden),
          norm(`${at}post_ffw_norm.weight`, s.hidden),
        ]
      : []),
  ];
  if (!s.experts) {
    return [
      ...common,
      matrix(`${at}ffn_gate.weight`, s.inner, s.hidden),
      matrix(`${at}ffn_up.weight`, s.inner, s.hidden),
      matrix(`${at}ffn_down.weight`, s.hidden, s.inner),
    ];
  }
  const n = s.experts.count;
  return [
    ...common,
    norm(`${at}attn_q_norm.weight`, s.headDim),
    norm(`${at}attn_k_norm.weight`, s.headDim),
    { name: `${at}ffn_gate_inp.weight`, dims: [n, s.hidden], type: 'F32', fill: 'random' },
    matrix(`${at}ffn_gate_exps.weight`, n, s.inner, s.hidden),
    matrix(`${at}ffn_up_exps.weight`, n, s.inner, s.hidden),
    matrix(`${at}ffn_down_exps.weight`, n, s.hidden, s.inner),
  ];
}
