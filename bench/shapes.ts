// The shapes that the benchmarks run, and what one token costs in each: bytes of weights and multiply-adds.

export interface BenchShape {
  readonly name: string;
  readonly description: string;
  readonly architecture: 'llama' | 'qwen3moe' | 'gemma3' | 'lfm2moe' | 'gpt-oss';
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
  /** Norms of queries and keys (Qwen3, LFM2). */
  readonly headNorms?: boolean;
  /** Positions that most layers see; every other one in GPT-OSS. */
  readonly window?: number;
  /** Short convolutions take the place of attention in all layers but these. */
  readonly convolutions?: { readonly taps: number; readonly attention: readonly number[] };
  /** The first layers have one MLP where the others have experts. */
  readonly dense?: { readonly layers: number; readonly inner: number };
  /** Biases on all products and sinks in the softmax of attention, YaRN beyond its original context (GPT-OSS). */
  readonly biased?: boolean;
  /** Of experts and of all other matrices; Q4_0 where nothing is said. */
  readonly formats?: { readonly experts: MatrixType; readonly others: MatrixType };
}

export type MatrixType = 'Q4_0' | 'Q8_0' | 'MXFP4';

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
    headNorms: true,
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
  {
    name: 'lfm8b',
    description: 'LFM2-8B-A1B, 8.3B parameters, 1.5B per token',
    architecture: 'lfm2moe',
    layers: 24,
    hidden: 2048,
    heads: 32,
    kvHeads: 8,
    headDim: 64,
    inner: 1792,
    vocab: 65_536,
    tied: true,
    experts: { count: 32, used: 4 },
    dense: { layers: 2, inner: 7168 },
    convolutions: { taps: 3, attention: [2, 6, 10, 14, 18, 21] },
    headNorms: true,
    ropeBase: 1_000_000,
  },
  {
    name: 'oss10b',
    description: 'GPT-OSS-20B with 12 of its 24 layers, 11.0B parameters',
    architecture: 'gpt-oss',
    layers: 12,
    hidden: 2880,
    heads: 64,
    kvHeads: 8,
    headDim: 64,
    inner: 2880,
    vocab: 201_088,
    tied: false,
    experts: { count: 32, used: 4 },
    biased: true,
    window: 128,
    formats: { experts: 'MXFP4', others: 'Q8_0' },
    ropeBase: 150_000,
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
    headNorms: true,
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

/** Bytes of one weight, in the file as in the packed layout: blocks of 32 with a scale of two bytes, or of one. */
export const bytesPerWeight = { Q4_0: 18 / 32, Q8_0: 34 / 32, MXFP4: 17 / 32, F32: 4 } as const;

const elements = ({ dims }: BenchTensor): number => dims.reduce((a, b) => a * b, 1);

/** The part of a tensor that one token uses: of experts those that are chosen. */
const activeShare = ({ experts }: BenchShape, { perExpert }: BenchTensor): number =>
  perExpert && experts ? experts.used / experts.count : 1;

const embedding = 'token_embd.weight';
const head = 'output.weight';

/** Weights a token multiplies with in the layers, without the output matrix: a prefill needs that for its last row only. */
export const activeWeights = (s: BenchShape): number =>
  tensorsOf(s)
    .filter(({ name, role }) => role === 'matrix' && name !== embedding && name !== head)
    .reduce((sum, t) => sum + elements(t) * activeShare(s, t), 0);

/** Bytes of weights that decoding one token reads, output matrix included. */
export const bytesPerToken = (s: BenchShape): number =>
  tensorsOf(s)
    .filter(({ name }) => s.tied || name !== embedding)
    .reduce((sum, t) => sum + elements(t) * bytesPerWeight[t.type] * activeShare(s, t), 0);

/** One tensor of the file. `dims` as [rows, columns] or [experts, rows, columns]. */
export interface BenchTensor {
  readonly name: string;
  readonly dims: readonly number[];
  readonly type: MatrixType | 'F32';
  readonly fill: 'random' | 'ones';
  /** A matrix is multiplied with. */
  readonly role: 'matrix' | 'vector';
  /** A part for each expert, of which a token reads those that are chosen. */
  readonly perExpert?: boolean;
}

const vector = (name: string, ...dims: number[]): BenchTensor => ({
  name,
  dims,
  type: 'F32',
  fill: 'random',
  role: 'vector',
});
const norm = (name: string, size: number): BenchTensor => ({ ...vector(name, size), fill: 'ones' });
/** A matrix of few numbers, which files keep in f32. */
const smallMatrix = (name: string, ...dims: number[]): BenchTensor => ({
  ...vector(name, ...dims),
  role: 'matrix',
});
const matrix = ({ formats }: BenchShape, name: string, ...dims: number[]): BenchTensor => ({
  ...smallMatrix(name, ...dims),
  type: formats?.others ?? 'Q4_0',
});

/** Every tensor of a shape under its GGUF name. */
export function tensorsOf(s: BenchShape): BenchTensor[] {
  // Files of LFM2 name the last norm after the embedding.
  const last = s.architecture === 'lfm2moe' ? 'token_embd_norm.weight' : 'output_norm.weight';
  return [
    matrix(s, embedding, s.vocab, s.hidden),
    ...Array.from({ length: s.layers }, (_, i) => layerTensors(s, i)).flat(),
    norm(last, s.hidden),
    ...(s.tied ? [] : [matrix(s, head, s.vocab, s.hidden)]),
  ];
}

function layerTensors(s: BenchShape, layer: number): BenchTensor[] {
  const at = `blk.${layer}.`;
  const [beforeMixer, beforeMlp] = [
    norm(`${at}attn_norm.weight`, s.hidden),
    norm(`${at}${s.biased ? 'post_attention_norm' : 'ffn_norm'}.weight`, s.hidden),
  ];
  const post = [
    norm(`${at}post_attention_norm.weight`, s.hidden),
    norm(`${at}post_ffw_norm.weight`, s.hidden),
  ];
  const mixer = s.convolutions && !s.convolutions.attention.includes(layer) ? convolution : attention;
  const isDense = !s.experts || layer < (s.dense?.layers ?? 0);
  return [
    beforeMixer,
    ...mixer(s, at),
    beforeMlp,
    ...(s.manyNorms ? post : []),
    ...(isDense ? mlp(s, at) : experts(s, at)),
  ];
}

function attention(s: BenchShape, at: string): BenchTensor[] {
  const [q, kv] = [s.heads * s.headDim, s.kvHeads * s.headDim];
  const biases = [
    vector(`${at}attn_q.bias`, q),
    vector(`${at}attn_k.bias`, kv),
    vector(`${at}attn_v.bias`, kv),
    vector(`${at}attn_output.bias`, s.hidden),
    vector(`${at}attn_sinks.weight`, s.heads),
  ];
  const norms = ['q', 'k'].map((part) => norm(`${at}attn_${part}_norm.weight`, s.headDim));
  return [
    matrix(s, `${at}attn_q.weight`, q, s.hidden),
    matrix(s, `${at}attn_k.weight`, kv, s.hidden),
    matrix(s, `${at}attn_v.weight`, kv, s.hidden),
    matrix(s, `${at}attn_output.weight`, s.hidden, q),
    ...(s.manyNorms || s.headNorms ? norms : []),
    ...(s.biased ? biases : []),
  ];
}

const convolution = (s: BenchShape, at: string): BenchTensor[] => [
  vector(`${at}shortconv.conv.weight`, s.hidden, s.convolutions?.taps ?? 0),
  matrix(s, `${at}shortconv.in_proj.weight`, 3 * s.hidden, s.hidden),
  matrix(s, `${at}shortconv.out_proj.weight`, s.hidden, s.hidden),
];

function mlp(s: BenchShape, at: string): BenchTensor[] {
  const inner = s.dense?.inner ?? s.inner;
  return [
    matrix(s, `${at}ffn_gate.weight`, inner, s.hidden),
    matrix(s, `${at}ffn_up.weight`, inner, s.hidden),
    matrix(s, `${at}ffn_down.weight`, s.hidden, inner),
  ];
}

function experts(s: BenchShape, at: string): BenchTensor[] {
  const { count = 0 } = s.experts ?? {};
  const type = s.formats?.experts ?? 'Q4_0';
  const each = (part: string, rows: number, columns: number): BenchTensor[] => [
    { ...matrix(s, `${at}ffn_${part}_exps.weight`, count, rows, columns), type, perExpert: true },
    ...(s.biased ? [{ ...vector(`${at}ffn_${part}_exps.bias`, count, rows), perExpert: true }] : []),
  ];
  return [
    smallMatrix(`${at}ffn_gate_inp.weight`, count, s.hidden),
    ...(s.biased ? [vector(`${at}ffn_gate_inp.bias`, count)] : []),
    ...(s.architecture === 'lfm2moe' ? [vector(`${at}exp_probs_b.bias`, count)] : []),
    ...each('gate', s.inner, s.hidden),
    ...each('up', s.inner, s.hidden),
    ...each('down', s.hidden, s.inner),
  ];
}
