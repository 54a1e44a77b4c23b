// Small models for tests: loaders over tensors in memory, packed by the plain-TypeScript reference, and configs whose
// sizes suit every quantised format.

import type { NDArray } from '../array/array.ts';
import { fromData } from '../array/creation.ts';
import { Weight } from '../array/weight.ts';
import { IngotError } from '../base/errors.ts';
import type { Device } from '../device/device.ts';
import type { WeightLoader } from '../models/contract.ts';
import type { SourceFormat } from '../quant/format.ts';
import { f32 } from '../quant/formats/float.ts';
import { packedBytes } from '../quant/layout.ts';
import { dequantizeSource, packReference, quantizeReference } from '../quant/reference.ts';

/** A tensor as a file stores it: whole rows of a format. The last dimension is the row. */
export interface MemoryTensor {
  readonly shape: readonly number[];
  readonly format: SourceFormat;
  readonly parts: readonly Uint8Array[];
}

/** Finds tensors by name; undefined when there is none of that name and shape. */
export type TensorLookup = (name: string, shape: readonly number[]) => MemoryTensor | undefined;

/** A loader that remembers what it made, so that tests can free it. */
export interface TestLoader extends WeightLoader {
  dispose(): void;
}

/** A loader over tensors in memory. Weights live on `device`. */
export function memoryLoader(
  device: Device,
  lookup: TensorLookup,
  has: (name: string) => boolean,
): TestLoader {
  const made: { dispose(): void }[] = [];
  const own = <T extends { dispose(): void }>(x: T): T => {
    made.push(x);
    return x;
  };
  const find = (name: string, shape: readonly number[]): MemoryTensor => {
    const tensor = lookup(name, shape);
    if (tensor === undefined) throw new IngotError('missing_tensor', `tensor ${name} [${shape}] is missing`);
    if (tensor.shape.join() === shape.join()) return tensor;
    throw new IngotError('shape_mismatch', `tensor ${name} is [${tensor.shape}], expected [${shape}]`);
  };
  const pack = (tensors: readonly MemoryTensor[], shape: WeightShape, label: string): Weight => {
    const [N, K] = shape.slice(-2) as [number, number];
    const format = tensors[0]?.format ?? f32;
    const each = packedBytes(format.layout, N, K);
    const buffer = device.allocate(each * tensors.length, label);
    tensors.forEach((t, e) => {
      device.write(buffer, e * each, packReference(format, t.parts, N, K));
    });
    return own(new Weight({ device, buffer, layout: format.layout, shape, label }));
  };
  return {
    has,
    dispose() {
      for (const x of made.splice(0)) x.dispose();
    },
    matrix: (name, shape) => pack([find(name, shape)], shape, name),
    experts: (names, [E, N, K]) => {
      const tensors =
        typeof names === 'string'
          ? split(find(names, [E, N, K]), E, N, K)
          : names.map((n) => find(n, [N, K]));
      return pack(tensors, [E, N, K], typeof names === 'string' ? names : (names[0] ?? 'experts'));
    },
    floats: (name, shape): NDArray => {
      const { format, parts } = find(name, shape);
      const K = shape.at(-1) ?? 1;
      const rows = shape.reduce((product, n) => product * n, 1) / K;
      return own(fromData(dequantizeSource(format, parts, rows, K), [rows * K], { device, label: name }));
    },
    vector: (name, n): NDArray => {
      const { format, parts } = find(name, [n]);
      return own(fromData(dequantizeSource(format, parts, 1, n), [n], { device, label: name }));
    },
  };
}

type WeightShape = readonly [number, number] | readonly [number, number, number];

/** A stacked tensor as one per expert. */
function split(tensor: MemoryTensor, E: number, N: number, K: number): readonly MemoryTensor[] {
  const bytes = tensor.format.rowBytes(K).map((row) => row * N);
  return Array.from({ length: E }, (_, e) => ({
    shape: [N, K],
    format: tensor.format,
    parts: tensor.parts.map((part, i) => part.subarray(e * (bytes[i] ?? 0), (e + 1) * (bytes[i] ?? 0))),
  }));
}

export interface RandomWeights {
  readonly seed: number;
  /** Format of matrices; norms and biases are f32. */
  readonly format: SourceFormat;
}

/** A loader that makes every tensor it is asked for, from the seed and the tensor's name. */
export function randomLoader(device: Device, weights: RandomWeights): TestLoader {
  return memoryLoader(device, randomTensors(weights), () => false);
}

/** The tensors of `randomLoader`, each made once: several loaders may share them. */
export function randomTensors(weights: RandomWeights): TensorLookup {
  const made = new Map<string, MemoryTensor>();
  return (name, shape) => {
    const key = `${name} ${shape}`;
    const tensor = made.get(key) ?? randomTensor(name, shape, weights);
    made.set(key, tensor);
    return tensor;
  };
}

function randomTensor(name: string, shape: readonly number[], weights: RandomWeights): MemoryTensor {
  const K = shape.at(-1) ?? 1;
  const rows = shape.reduce((n, d) => n * d, 1) / K;
  const values = randomValues(name, shape, weights.seed);
  if (shape.length === 1) return { shape, format: f32, parts: quantizeReference(f32, values, 1, K) };
  return { shape, format: weights.format, parts: quantizeReference(weights.format, values, rows, K) };
}

/** The same numbers in f32. */
export function dequantized(tensors: TensorLookup): TensorLookup {
  return (name, shape) => {
    const tensor = tensors(name, shape);
    if (tensor === undefined) return undefined;
    const K = shape.at(-1) ?? 1;
    const rows = shape.reduce((n, d) => n * d, 1) / K;
    const exact = dequantizeSource(tensor.format, tensor.parts, rows, K);
    return { shape, format: f32, parts: quantizeReference(f32, exact, rows, K) };
  };
}

/** Norms near 1, small biases, matrices of a size that keeps activations near 1 and attention far from uniform. */
function randomValues(name: string, shape: readonly number[], seed: number): Float32Array {
  const normal = normalGenerator(hash(`${seed}/${name}`));
  const K = shape.at(-1) ?? 1;
  const count = shape.reduce((n, d) => n * d, 1);
  const values = Float32Array.from({ length: count }, normal);
  if (name.includes('norm')) return values.map((v) => 1 + 0.2 * v);
  if (name.endsWith('bias')) return values.map((v) => 0.3 * v);
  if (name.includes('embed_tokens')) return values;
  const gain = /[qk]_proj/.test(name) ? 2 : 1.2;
  return values.map((v) => (v * gain) / Math.sqrt(K));
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h >>> 0;
}

/** Normally distributed numbers: a linear congruential generator, its high bits mixed down, and Box-Muller. */
export function normalGenerator(seed: number): () => number {
  let state = seed | 0;
  const uniform = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    const mixed = Math.imul(state ^ (state >>> 16), 0x45d9f3b);
    return (((mixed ^ (mixed >>> 15)) >>> 0) + 0.5) / 2 ** 32;
  };
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}

const shared = {
  vocab_size: 96,
  hidden_size: 256,
  intermediate_size: 256,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 64,
  max_position_embeddings: 256,
  rope_theta: 10000,
  rms_norm_eps: 1e-6,
  eos_token_id: 2,
};

/** config.json of a small model of each family; every row length is a multiple of 256. */
export const tinyConfigs = {
  llama: { ...shared, architectures: ['LlamaForCausalLM'] },
  mistral: { ...shared, architectures: ['MistralForCausalLM'], sliding_window: 8 },
  qwen3: { ...shared, architectures: ['Qwen3ForCausalLM'] },
  'qwen3-moe': {
    ...shared,
    architectures: ['Qwen3MoeForCausalLM'],
    num_experts: 4,
    num_experts_per_tok: 2,
    moe_intermediate_size: 256,
    mlp_only_layers: [0],
  },
} as const satisfies Readonly<Record<string, object>>;
