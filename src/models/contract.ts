// What a model is to the rest of Ingot: a config, a forward pass over the memory of sequences, and a family that makes both.

import type { NDArray } from '../array/array.ts';
import type { RerouteLimits } from '../array/ops/experts/moe-reroute.ts';
import type { Weight } from '../array/weight.ts';
import type { Device } from '../device/device.ts';
import type { LayerSpec, SequenceMemory } from '../nn/contracts.ts';
import type { ModelModules } from '../nn/model-modules.ts';
import type { FamilyFiles } from './files/files.ts';

/** What callers of any model need to know about it. Families extend it with what their blocks need. */
export interface ModelConfig {
  /** Name of the family that reads and builds it, e.g. `llama`. */
  readonly family: string;
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly numLayers: number;
  /** Most tokens a sequence can have. */
  readonly contextLength: number;
  /**
   * Tokens of the longest sequence that positions are as trained for, where more can be asked for at the price of other
   * frequencies for all: what a model is loaded for unless the caller says how much.
   */
  readonly plainContext?: number;
  /** Whether the output head is the embedding matrix. */
  readonly tiedEmbeddings: boolean;
  readonly bosTokenId?: number;
  /** Tokens that end an answer; may be empty. */
  readonly eosTokenIds: readonly number[];
  /** Experts that one token uses in a layer that has experts; absent where no layer has. */
  readonly expertsPerToken?: number;
  /** What each layer keeps of a sequence. */
  readonly memory: readonly LayerSpec[];
}

/** `fast` quantises activations to 8 bit per group; `exact` keeps them in f32. */
export type Precision = 'fast' | 'exact';

/** A model with its weights. Both functions build graph nodes; a plan made with `compile` runs them. */
export interface ModelGraph {
  readonly config: ModelConfig;
  /**
   * Residual stream after the final norm, `[n, D]`, of tokens ids i32 `[n]` at positions i32 `[n]`, which layers add to the
   * memory of their sequences.
   */
  hidden(ids: NDArray, positions: NDArray, memory: SequenceMemory): NDArray;
  /** Output head: `[n, D]` -> `[n, vocabSize]`. */
  logits(hidden: NDArray): NDArray;
  /** Frees the constants that `build` made itself; weights belong to the loader. */
  dispose(): void;
}

/**
 * Where a model gets its weights, by the names of blocks/names.ts. Shapes are checked; a missing tensor throws missing_tensor
 * with its name. Numbers may arrive later: nothing may run before the loader says it has finished.
 */
export interface WeightLoader {
  has(name: string): boolean;
  /** Packed matrix `[N, K]`. */
  matrix(name: string, shape: readonly [N: number, K: number]): Weight;
  /** Packed stack `[E, N, K]` from one matrix per expert, or from one tensor with all of them. */
  experts(names: readonly string[] | string, shape: readonly [E: number, N: number, K: number]): Weight;
  /** f32 `[n]`. */
  vector(name: string, n: number): NDArray;
  /**
   * The values of a matrix `[N, K]`, or of a stack of them, whatever it is stored as: f32 `[elements]`. For small ones that
   * are no operand of a linear layer. With `below` they are whole numbers from 0 to one less: others are refused.
   */
  floats(name: string, shape: readonly number[], below?: number): NDArray;
}

export interface BuildOptions {
  /** Where the weights are and the model will run. */
  readonly device: Device;
  /** `fast` lets matrix products quantise activations to 8 bits and attention round to bf16; `exact` keeps both in f32. */
  readonly precision: Precision;
  /** Longest sequence the caller will run; default: the config's. Dynamic rotary scaling depends on it. */
  readonly contextLength?: number;
  /** How far routers' choices may give way to experts in memory, where experts are streamed; default: not at all. */
  readonly reroute?: RerouteLimits | undefined;
  /** Told of the parts that are made. */
  readonly modules?: ModelModules | undefined;
}

/** A model architecture. */
export interface Family<C extends ModelConfig = ModelConfig> {
  /** Values of `architectures` and `model_type` in config.json that it reads. */
  readonly names: readonly string[];
  /** Reads config.json (either dialect). `source` names the file in errors. Throws bad_file or unsupported. */
  parse(json: unknown, source: string): C;
  build(config: C, load: WeightLoader, options: BuildOptions): ModelGraph;
  /** How its files are written: names, order of rows, GGUF metadata. */
  readonly files: FamilyFiles;
}
