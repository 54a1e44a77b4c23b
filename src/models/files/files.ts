// What a family says about its files: names, order of rows, and the metadata of GGUF.

import type { JsonObject } from '../../weights/json.ts';
import type { GgufKeys } from './gguf-keys.ts';
import type { NameTable } from './names.ts';

export interface FamilyFiles {
  /** Names in safetensors, plain or of MLX, where they are not those of blocks/names.ts. */
  readonly names?: NameTable;
  /** Tensors of safetensors that the model has no use for, by name: those of heads that predict further tokens, buffers. */
  readonly unused?: RegExp;
  /** Safetensors hold the weights of norms less 1. */
  readonly normsLessOne?: boolean;
  /** How safetensors hold experts whose gate and up are one tensor; default: gate's rows, then up's. */
  readonly fusedExperts?: { readonly alternating: boolean; readonly transposed: boolean };
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
  /** Whether files are written as well: the metadata of weights/gguf/export.ts say all of the family's config. */
  readonly written?: boolean;
  /** Fields of config.json besides the common ones of gguf-config.ts. */
  config?(keys: GgufKeys): JsonObject;
}
