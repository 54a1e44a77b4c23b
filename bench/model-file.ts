// Writes the benchmark's models: GGUF files with random Q4_0 weights and a vocabulary of placeholders, once per machine.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { env } from '../src/base/env.ts';
import { outputOf } from '../src/cli/context.ts';
import { createProgress } from '../src/cli/progress.ts';
import { f32 as f32Format } from '../src/quant/formats/float.ts';
import { q4_0 } from '../src/quant/formats/q4_0.ts';
import { f32ToF16 } from '../src/quant/half.ts';
import {
  f32,
  tensorBytes,
  u32,
  type WritableTensor,
  type WritableValue,
  writeGgufFile,
} from '../src/weights/gguf/writer.ts';
import { type BenchShape, type BenchTensor, tensorsOf } from './shapes.ts';

/** Raised when the content of the files changes, so that old ones are not reused. */
const revision = 1;
/** Weights are uniform over 16 codes times this scale: standard deviation 0.02, so activations stay near 1. */
const scale = 0.02 / Math.sqrt(21.25);
const blockBytes = 18;

/**
 * Path of the shape's model in the cache folder; written first when it is not there, with its progress on stderr. The file's
 * name does not depend on `metadata`.
 */
export async function modelFile(
  shape: BenchShape,
  folder = join(env.cacheDir, 'bench'),
  metadata = metadataOf(shape),
): Promise<string> {
  const path = join(folder, `${shape.name}-q4_0-r${revision}.gguf`);
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
  return {
    'general.architecture': arch,
    'general.name': `ingot bench ${s.name}`,
    'general.file_type': u32(2), // mostly Q4_0
    [`${arch}.context_length`]: u32(8192),
    [`${arch}.embedding_length`]: u32(s.hidden),
    [`${arch}.block_count`]: u32(s.layers),
    [`${arch}.feed_forward_length`]: u32(s.inner),
    [`${arch}.attention.head_count`]: u32(s.heads),
    [`${arch}.attention.head_count_kv`]: u32(s.kvHeads),
    [`${arch}.attention.key_length`]: u32(s.headDim),
    [`${arch}.attention.value_length`]: u32(s.headDim),
    [`${arch}.attention.layer_norm_rms_epsilon`]: f32(1e-5),
    [`${arch}.rope.dimension_count`]: u32(s.headDim),
    [`${arch}.rope.freq_base`]: f32(s.ropeBase),
    [`${arch}.vocab_size`]: u32(s.vocab),
    ...experts,
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
  const format = type === 'F32' ? f32Format : q4_0;
  const bytes = tensorBytes({ shape: dims, format });
  const start = hash(name);
  return {
    name,
    shape: dims,
    format,
    *data() {
      const chunks = type === 'F32' ? floatChunks(bytes / 4, fill, start) : blockChunks(bytes, start);
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

let pool: Uint8Array | undefined;

/** `bytes` of Q4_0 blocks taken from a pool of random ones, from a place that depends on `seed`. */
function* blockChunks(bytes: number, seed: number): Generator<Uint8Array> {
  pool ??= randomBlocks(2_097_143, 1); // a prime count, so that equal layers do not get equal weights
  let at = (seed % (pool.byteLength / blockBytes)) * blockBytes;
  for (let left = bytes; left > 0; at = 0) {
    const chunk = pool.subarray(at, Math.min(pool.byteLength, at + left));
    yield chunk;
    left -= chunk.byteLength;
  }
}

/** Random codes; scales jitter by 20 % and have random signs, so that weights have zero mean. */
function randomBlocks(count: number, seed: number): Uint8Array {
  const next = xorshift(seed);
  const bytes = new Uint8Array(count * blockBytes);
  const words = new Uint16Array(bytes.buffer);
  const scales = Array.from({ length: 256 }, (_, i) =>
    f32ToF16((i & 1 ? -scale : scale) * (0.8 + (0.4 * i) / 255)),
  );
  for (let i = 0; i < words.length; i++) words[i] = i % 9 === 0 ? (scales[next() & 255] ?? 0) : next();
  return bytes;
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
