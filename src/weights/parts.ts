// What opening a model file of any kind provides: the pieces a Checkpoint is made of.

import type { GgufMetadata } from './gguf/metadata.ts';
import type { JsonObject } from './json.ts';
import type { CheckpointTensor } from './tensor.ts';

export type CheckpointKind = 'gguf' | 'safetensors' | 'packed';

/** What the opener of each kind provides. */
export interface CheckpointParts {
  readonly path: string;
  readonly kind: CheckpointKind;
  readonly config: JsonObject;
  readonly tensors: ReadonlyMap<string, CheckpointTensor>;
  /** Tensors that the model runs without: those of modules that predict further tokens. */
  readonly further?: ReadonlyMap<string, CheckpointTensor>;
  /** Why tensors that are in the file cannot be used, by name. */
  readonly unusable?: ReadonlyMap<string, string>;
  /** Those of them that no name of the family's files means. */
  readonly unknown?: readonly string[];
  /** Raw GGUF metadata: tokenizer and chat template of a GGUF file, or of a packed file made from one. */
  readonly metadata?: GgufMetadata;
  /** Names of small files beside the weights (`tokenizer.json`, …), some of which may not exist. */
  readonly files: readonly string[];
  readFile(name: string): Promise<Uint8Array | undefined>;
  close(): Promise<void>;
}
