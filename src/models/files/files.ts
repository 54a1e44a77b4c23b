// What a family says about its files: names, order of rows, and the metadata of GGUF.

import type { WritableValue } from '../../weights/gguf/writer.ts';
import type { JsonObject } from '../../weights/json.ts';
import type { CheckpointTensor } from '../../weights/tensor.ts';
import type { ModelConfig } from '../contract.ts';
import type { GgufKeys } from './gguf-keys.ts';
import type { Fusion, NameTable } from './names.ts';

export interface FamilyFiles {
  /** Names in safetensors, plain or of MLX, where they are not those of blocks/names.ts. */
  readonly names?: NameTable;
  /** Names that only folders of MLX have, beside those of names.ts. */
  readonly mlx?: NameTable;
  /** Modules that safetensors hold as one. */
  readonly fused?: readonly Fusion[];
  /** The same in folders of MLX; default: as in others. */
  readonly fusedMlx?: readonly Fusion[];
  /** Shape in safetensors of a vector `[length]` of the model, by its name within a layer; default: that. */
  shapeOf?(local: string, length: number, config: ModelConfig): readonly number[] | undefined;
  /** Tensors of safetensors that the model has no use for, by name: those of heads that predict further tokens, buffers. */
  readonly unused?: RegExp;
  /** Safetensors hold the weights of norms less 1. */
  readonly normsLessOne?: boolean;
  /** How safetensors hold experts whose gate and up are one tensor; default: gate's rows, then up's. */
  readonly fusedExperts?: { readonly alternating: boolean; readonly transposed: boolean };
  /** Matrices that stand for several, one below the other: module by field of the config that says how many. */
  readonly stacks?: Readonly<Record<string, string>>;
  /** The GGUF architectures that are this family's. */
  readonly gguf?: readonly GgufForm[];
}

export interface GgufForm {
  /** `general.architecture` */
  readonly architecture: string;
  /** Whether a file of that architecture is this family's; default: it is. */
  accepts?(keys: GgufKeys): boolean;
  /** `architectures[0]` and `model_type` of its config. */
  readonly className: string;
  readonly modelType: string;
  /** Names that differ from `ggufNames` or add to them. */
  readonly names?: NameTable;
  /** Rows of queries and keys are stored with the two halves of each head interleaved. */
  readonly interleavedRows?: boolean;
  /** Base of the rotation where the file does not say. */
  readonly theta?: number;
  /** Files are written as well; absent: they are only read. */
  readonly written?: GgufWriting;
  /** Fields of config.json besides the common ones of gguf-config.ts. */
  config?(keys: GgufKeys): JsonObject;
}

/** Metadata of the architecture: keys are without its name before them. */
export type GgufFields = Readonly<Record<string, WritableValue>>;

/** How a GGUF file is made of the model. */
export interface GgufWriting {
  /** Metadata that says all of the config; whether it does is checked by reading it. */
  fields(config: ModelConfig): GgufFields;
  /** Modules that the file holds as one. */
  readonly fused?: readonly Fusion[];
  /** Shape of a vector `[length]` of the model, by its name within a layer; default: that. */
  shapeOf?(local: string, length: number, config: ModelConfig): readonly number[] | undefined;
  /** Tensors in place of one of the model's, for those that the file has in another form. */
  split?(tensor: CheckpointTensor, config: ModelConfig): readonly CheckpointTensor[] | undefined;
}
