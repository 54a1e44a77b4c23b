// A small model file for tests of this folder: every quantised format, experts, permuted queries.

import type { SourceFormat } from '../quant/format.ts';
import { f32 as f32Format } from '../quant/formats/float.ts';
import { quantizeReference } from '../quant/reference.ts';
import { findSourceFormat } from '../quant/registry.ts';
import { MemorySink } from './atomic-file.ts';
import { Checkpoint } from './checkpoint.ts';
import { ggufCheckpoint } from './gguf/open.ts';
import { readGguf } from './gguf/reader.ts';
import { f32, type GgufContent, u32, type WritableTensor, writeGguf } from './gguf/writer.ts';
import { MemorySource } from './source.ts';

/** Deterministic values in about [-1, 1]. */
export const wave = (count: number, seed: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => Math.sin(seed * 97.3 + i * 1.37) * 0.9);

function tensor(name: string, shape: readonly number[], format: SourceFormat, seed: number): WritableTensor {
  const elements = shape.reduce((a, b) => a * b, 1);
  const K = shape.at(-1) ?? 1;
  const [data = new Uint8Array(0)] = quantizeReference(format, wave(elements, seed), elements / K, K);
  return { name, shape, format, data };
}

const layer: readonly (readonly [string, readonly number[], string])[] = [
  ['attn_norm.weight', [256], 'f32'],
  ['attn_q.weight', [96, 256], 'q4_k'],
  ['attn_q.bias', [96], 'f32'],
  ['attn_k.weight', [48, 256], 'q4_1'],
  ['attn_v.weight', [48, 256], 'q6_k'],
  ['attn_output.weight', [256, 96], 'q8_0'],
  ['ffn_norm.weight', [256], 'f32'],
  ['ffn_gate.weight', [160, 256], 'q4_0'],
  ['ffn_up.weight', [160, 256], 'bf16'],
  ['ffn_down.weight', [256, 160], 'f16'],
  ['ffn_gate_exps.weight', [3, 40, 256], 'q4_0'],
];

/** Contents of a tiny GGUF of the llama architecture: one layer with heads of 24. */
export function tinyGguf(): GgufContent {
  const named = (name: string): SourceFormat => findSourceFormat(name) ?? f32Format;
  return {
    metadata: {
      'general.architecture': 'llama',
      'llama.block_count': u32(1),
      'llama.embedding_length': u32(256),
      'llama.attention.head_count': u32(4),
      'llama.attention.head_count_kv': u32(2),
      'llama.attention.key_length': u32(24),
      'llama.context_length': u32(64),
      'llama.feed_forward_length': u32(160),
      'llama.rope.freq_base': f32(10000),
      'tokenizer.ggml.tokens': Array.from({ length: 50 }, (_, i) => `token ${i}`),
      'tokenizer.ggml.scores': Float32Array.from({ length: 50 }, (_, i) => -i),
    },
    tensors: [
      tensor('token_embd.weight', [50, 256], named('q8_0'), 1),
      tensor('output_norm.weight', [256], f32Format, 2),
      ...layer.map(([name, shape, format], i) => tensor(`blk.0.${name}`, shape, named(format), 3 + i)),
    ],
  };
}

/** Bytes of `tinyGguf`. */
export async function tinyGgufBytes(): Promise<Uint8Array> {
  const sink = new MemorySink();
  await writeGguf(sink, tinyGguf());
  return sink.bytes();
}

/** `tinyGguf` as a checkpoint in memory. */
export async function tinyCheckpoint(): Promise<Checkpoint> {
  const source = new MemorySource(await tinyGgufBytes(), 'tiny.gguf');
  const none = (): never => {
    throw new Error('the tiny model has no shards');
  };
  return new Checkpoint(await ggufCheckpoint('tiny.gguf', await readGguf(source, none)));
}
