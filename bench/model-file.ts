// Writes the benchmark's models: GGUF files with random weights and a vocabulary of placeholders, once per machine.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { env } from '../src/base/env.ts';
import { outputOf } from '../src/cli/context.ts';
import { createProgress } from '../src/cli/progress.ts';
import { f32 as f32Format } from '../src/quant/formats/float.ts';
import { mxfp4 } from '../src/quant/formats/fp4.ts';
import { q4_0 } from '../src/quant/formats/q4_0.ts';
import { q8_0 } from '../src/quant/formats/q8_0.ts';
import { f32ToF16 } from '../src/quant/half.ts';
import {
  f32,
  tensorBytes,
  u32,
  type WritableTensor,
  type WritableValue,
  writeGgufFile,
} from '../src/weights/gguf/writer.ts';
import { type BenchShape, type BenchTensor, type MatrixType, tensorsOf } from './shapes.ts';

/** Raised when the content of the files changes, so that old ones are not reused. */
const revision = 1;
/** Random codes times scales near `0.02 / rms of the codes`: standard deviation about 0.02, so activations stay near 1. */
const blocks: Readonly<Record<MatrixType, Blocks>> = {
  Q4_0: { format: q4_0, fileType: 2, bytes: 18, header: halfScales(0.02 / Math.sqrt(21.25)) },
  Q8_0: { format: q8_0, fileType: 7, bytes: 34, header: halfScales(0.02 / Math.sqrt(5461.5)) },
  // Powers of two; the numbers of e2m1 have an rms of 2.9.
  MXFP4: { format: mxfp4, fileType: 38, bytes: 17, header: [Uint8Array.of(119), Uint8Array.of(120)] },
};

interface Blocks {
  readonly format: WritableTensor['format'];
  /** Of a file that has mostly these, as llama.cpp numbers them. */
  readonly fileType: number;
  readonly bytes: number;
  /** What blocks begin with, as many as a power of two; random codes follow. */
  readonly header: readonly Uint8Array[];
}

/** Scales in f16 that jitter by 20 % and have random signs, so that weights have zero mean. */
function halfScales(scale: number): readonly Uint8Array[] {
  return Array.from({ length: 256 }, (_, i) => {
    const half = f32ToF16((i & 1 ? -scale : scale) * (0.8 + (0.4 * i) / 255));
    return Uint8Array.of(half & 255, half >> 8);
  });
}

const mostly = ({ formats }: BenchShape): MatrixType => formats?.experts ?? 'Q4_0';

/**
 * Path of the shape's model in the cache folder; written first when it is not there, with its progress on stderr. The file's
 * name does not depend on `metadata`.
 */
export async function modelFile(
  shape: BenchShape,
  folder = join(env.cacheDir, 'bench'),
  metadata = metadataOf(shape),
): Promise<string> {
  const path = join(folder, `${shape.name}-${mostly(shape).toLowerCase()}-r${revision}.gguf`);
  if (existsSync(path)) return path;
  const progress = createProgress(outputOf(process.stderr));
  let done = 0;
  const tensors = tensorsOf(shape).map((tensor) =>
    writable(tensor, (bytes) => {
      done += bytes;
      progress.update(`Writing ${path}`, done, total);
    }),
  );
  const total = tensors.reduce((sum, tensor) => sum + tensorBytes(tensor), 0);
  try {
    await writeGgufFile(path, { metadata, tensors });
  } finally {
    progress.finish();
  }
  return path;
}

/** Metadata as the architecture needs it, and a byte-level vocabulary of the right size. */
export function metadataOf(s: BenchShape): Record<string, WritableValue> {
  const arch = s.architecture;
  const tokens = placeholderTokens(s.vocab);
  const experts = s.experts && {
    [`${arch}.expert_count`]: u32(s.experts.count),
    [`${arch}.expert_used_count`]: u32(s.experts.used),
    [`${arch}.expert_feed_forward_length`]: u32(s.inner),
  };
  const { convolutions: short } = s;
  const convolutions = short && {
    [`${arch}.shortconv.l_cache`]: u32(short.taps),
    [`${arch}.expert_gating_func`]: u32(2), // sigmoid
    // Layers without key heads are convolutions.
    [`${arch}.attention.head_count_kv`]: Uint32Array.from({ length: s.layers }, (_, i) =>
      short.attention.includes(i) ? s.kvHeads : 0,
    ),
  };
  const yarn = s.biased && {
    [`${arch}.rope.scaling.type`]: 'yarn',
    [`${arch}.rope.scaling.factor`]: f32(32),
    [`${arch}.rope.scaling.original_context_length`]: u32(4096),
  };
  return {
    'general.architecture': arch,
    'general.name': `ingot bench ${s.name}`,
    'general.file_type': u32(blocks[mostly(s)].fileType),
    [`${arch}.context_length`]: u32(8192),
    [`${arch}.embedding_length`]: u32(s.hidden),
    [`${arch}.block_count`]: u32(s.layers),
    [`${arch}.feed_forward_length`]: u32(s.dense?.inner ?? s.inner),
    ...(s.dense && { [`${arch}.leading_dense_block_count`]: u32(s.dense.layers) }),
    [`${arch}.attention.head_count`]: u32(s.heads),
    [`${arch}.attention.head_count_kv`]: u32(s.kvHeads),
    [`${arch}.attention.key_length`]: u32(s.headDim),
    [`${arch}.attention.value_length`]: u32(s.headDim),
    [`${arch}.attention.layer_norm_rms_epsilon`]: f32(1e-5),
    [`${arch}.rope.dimension_count`]: u32(s.headDim),
    [`${arch}.rope.freq_base`]: f32(s.ropeBase),
    [`${arch}.vocab_size`]: u32(s.vocab),
    ...experts,
    ...convolutions,
    ...yarn,
    ...(s.window === undefined ? {} : { [`${arch}.attention.sliding_window`]: u32(s.window) }),
    'tokenizer.ggml.model': 'gpt2',
    'tokenizer.ggml.pre': 'default',
    'tokenizer.ggml.tokens': tokens,
    'tokenizer.ggml.token_type': new Int32Array(s.vocab).fill(1).fill(3, s.vocab - 2),
    'tokenizer.ggml.merges': [`${tokens[0]} ${tokens[1]}`],
    'tokenizer.ggml.bos_token_id': u32(s.vocab - 2),
    'tokenizer.ggml.eos_token_id': u32(s.vocab - 1),
    'tokenizer.ggml.add_bos_token': false,
  };
}

/** One token per byte in the printable alphabet of byte-level BPE, then names that never match text. */
function placeholderTokens(vocab: number): string[] {
  const printable = (b: number): boolean => (b > 32 && b < 127) || (b > 160 && b !== 173);
  let shifted = 256;
  const bytes = Array.from({ length: 256 }, (_, b) => String.fromCharCode(printable(b) ? b : shifted++));
  return Array.from({ length: vocab }, (_, i) => bytes[i] ?? `<placeholder_${i}>`);
}

function writable(tensor: BenchTensor, onBytes: (count: number) => void): WritableTensor {
  const { name, dims, type, fill } = tensor;
  const format = type === 'F32' ? f32Format : blocks[type].format;
  const bytes = tensorBytes({ shape: dims, format });
  const start = hash(name);
  return {
    name,
    shape: dims,
    format,
    *data() {
      const chunks =
        type === 'F32' ? floatChunks(bytes / 4, fill, start) : blockChunks(blocks[type], bytes, start);
      for (const chunk of chunks) {
        yield chunk;
        onBytes(chunk.byteLength);
      }
    },
  };
}

function* floatChunks(count: number, fill: BenchTensor['fill'], seed: number): Generator<Uint8Array> {
  const next = xorshift(seed);
  // A sum of uniforms is near enough to a normal distribution; standard deviation 0.02.
  const normal = (): number => ((next() + next() + next()) / 2 ** 32 - 1.5) * 0.04;
  yield new Uint8Array(Float32Array.from({ length: count }, () => (fill === 'ones' ? 1 : normal())).buffer);
}

const pools = new Map<Blocks, Uint8Array>();

/** `bytes` of blocks taken from a pool of random ones, from a place that depends on `seed`. */
function* blockChunks(kind: Blocks, bytes: number, seed: number): Generator<Uint8Array> {
  // A prime count, so that equal layers do not get equal weights.
  const pool = pools.get(kind) ?? randomBlocks(kind, 2_097_143, 1);
  pools.set(kind, pool);
  let at = (seed % (pool.byteLength / kind.bytes)) * kind.bytes;
  for (let left = bytes; left > 0; at = 0) {
    const chunk = pool.subarray(at, Math.min(pool.byteLength, at + left));
    yield chunk;
    left -= chunk.byteLength;
  }
}

function randomBlocks({ bytes, header }: Blocks, count: number, seed: number): Uint8Array {
  const next = xorshift(seed);
  const pool = new Uint8Array(count * bytes);
  for (let at = 0; at < pool.length; ) {
    const first = header[next() & (header.length - 1)] as Uint8Array;
    pool.set(first, at);
    const end = at + bytes;
    for (at += first.length; at < end; at += 2) {
      const word = next();
      pool[at] = word & 255;
      pool[at + 1] = (word >> 8) & 255;
    }
  }
  return pool;
}

/** 32-bit xorshift generator; the same everywhere, so that two machines write the same file. */
function xorshift(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state;
  };
}

/** FNV-1a. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (const char of text) value = Math.imul(value ^ char.charCodeAt(0), 0x01000193) >>> 0;
  return value;
}
