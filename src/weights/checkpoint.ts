// One view of every kind of model file: config, tensors by name, and the small files a tokenizer needs. As opened, names are
// those of the file; models/files/translate.ts makes the checkpoint that a model is built from.

import { FileFormatError, IngotError } from '../base/errors.ts';
import type { GgufMetadata } from './gguf/metadata.ts';
import { openGgufCheckpoint } from './gguf/open.ts';
import type { JsonObject } from './json.ts';
import { packedMagic } from './packed/format.ts';
import { packedCheckpoint } from './packed/open.ts';
import type { CheckpointKind, CheckpointParts } from './parts.ts';
import { openSafetensorsCheckpoint } from './safetensors/open.ts';
import type { ByteSource, Folder } from './source.ts';
import { type CheckpointTensor, missingTensor } from './tensor.ts';

/** An open model: a GGUF file, a folder of safetensors (plain or MLX-quantised), or a packed file. */
export class Checkpoint {
  readonly path: string;
  readonly kind: CheckpointKind;
  /** The model's config as a Hugging Face `config.json`; empty for a GGUF file as opened, whose metadata say it. */
  readonly config: JsonObject;
  readonly metadata: GgufMetadata | undefined;
  /** Names that `readFile` may have something for. */
  readonly files: readonly string[];
  /** What the opener of the file provided. */
  readonly parts: CheckpointParts;

  constructor(parts: CheckpointParts) {
    this.path = parts.path;
    this.kind = parts.kind;
    this.config = parts.config;
    this.metadata = parts.metadata;
    this.files = parts.files;
    this.parts = parts;
  }

  /** Names of all usable tensors. */
  get tensors(): string[] {
    return [...this.parts.tensors.keys()];
  }

  /** Tensors that the model runs without, by name: `model.mtp.0.…` are those of a module that predicts further tokens. */
  get further(): ReadonlyMap<string, CheckpointTensor> {
    return this.parts.further ?? new Map();
  }

  has(name: string): boolean {
    return this.parts.tensors.has(name);
  }

  /** Shape, format and place of a tensor. Throws missing_tensor, or unsupported when it is there in another form. */
  describe(name: string): CheckpointTensor {
    const tensor = this.parts.tensors.get(name);
    if (tensor !== undefined) return tensor;
    const reason = this.parts.unusable?.get(name);
    if (reason !== undefined) {
      throw new IngotError('unsupported', `${this.path}: tensor ${name} ${reason}`, { details: { name } });
    }
    return missingTensor(this.path, name, this.parts.tensors.keys());
  }

  /** Contents of a small file that belongs to the model (`tokenizer.json`, `generation_config.json`), or undefined. */
  async readFile(name: string): Promise<Uint8Array | undefined> {
    return this.parts.files.includes(name) ? this.parts.readFile(name) : undefined;
  }

  async close(): Promise<void> {
    await this.parts.close();
  }
}

/**
 * Opens a model by what `source` contains, whatever its name; what belongs to it comes from `folder`. Reads headers only.
 * Rejects with unsupported, or FileFormatError that names file and field. The source is closed on failure.
 */
export async function openSource(source: ByteSource, folder: Folder): Promise<Checkpoint> {
  try {
    const start = new TextDecoder('latin1').decode(await source.read(0, Math.min(8, source.size)));
    if (start.startsWith('GGUF')) return new Checkpoint(await openGgufCheckpoint(source, folder));
    if (start === packedMagic) return new Checkpoint(await packedCheckpoint(source.name, source));
    // A safetensors file is opened with the config beside it.
    if (!isSafetensors(source.name))
      throw new FileFormatError(source.name, 'magic', 'is not a GGUF, safetensors or packed model file');
  } catch (error) {
    await source.close();
    throw error;
  }
  await source.close();
  return openSafetensorsFolder(folder, source.name.split(/[/\\]/).at(-1));
}

/** Whether a name is that of a file of tensors, or of an index of such files. */
export const isSafetensors = (name: string): boolean => /\.safetensors(\.index\.json)?$/.test(name);

/**
 * Opens a folder's model of safetensors, or the one of a `file` in it. Rejects like `openSource`, and with not_found for what
 * is not in the folder.
 */
export const openSafetensorsFolder = async (folder: Folder, file?: string): Promise<Checkpoint> =>
  new Checkpoint(await openSafetensorsCheckpoint(folder, file));
