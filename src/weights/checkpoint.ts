// One view of every kind of model file: config in the Hugging Face dialect, tensors by Hugging Face name, and the small
// files a tokenizer needs.

import { open, readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { FileFormatError, IngotError } from '../base/errors.ts';
import type { GgufMetadata } from './gguf/metadata.ts';
import { openGgufCheckpoint } from './gguf/open.ts';
import type { JsonObject } from './json.ts';
import { packedMagic } from './packed/format.ts';
import { openPackedCheckpoint } from './packed/open.ts';
import type { CheckpointKind, CheckpointParts } from './parts.ts';
import { openSafetensorsCheckpoint } from './safetensors/open.ts';
import { type CheckpointTensor, missingTensor } from './tensor.ts';

/** An open model: a GGUF file, a folder of safetensors (plain or MLX-quantised), or a packed file. */
export class Checkpoint {
  readonly path: string;
  readonly kind: CheckpointKind;
  /** The model's config as a Hugging Face `config.json`. */
  readonly config: JsonObject;
  readonly metadata: GgufMetadata | undefined;
  readonly files: readonly string[];
  readonly #parts: CheckpointParts;

  constructor(parts: CheckpointParts) {
    this.path = parts.path;
    this.kind = parts.kind;
    this.config = parts.config;
    this.metadata = parts.metadata;
    this.files = parts.files;
    this.#parts = parts;
  }

  /** Names of all usable tensors. */
  get tensors(): string[] {
    return [...this.#parts.tensors.keys()];
  }

  has(name: string): boolean {
    return this.#parts.tensors.has(name);
  }

  /** Shape, format and place of a tensor. Throws missing_tensor, or unsupported when it is there in another form. */
  describe(name: string): CheckpointTensor {
    const tensor = this.#parts.tensors.get(name);
    if (tensor !== undefined) return tensor;
    const reason = this.#parts.unusable?.get(name);
    if (reason !== undefined) {
      throw new IngotError('unsupported', `${this.path}: tensor ${name} ${reason}`, { details: { name } });
    }
    return missingTensor(this.path, name, this.#parts.tensors.keys());
  }

  /** Contents of a small file that belongs to the model (`tokenizer.json`, `generation_config.json`), or undefined. */
  async readFile(name: string): Promise<Uint8Array | undefined> {
    return this.#parts.files.includes(name) ? this.#parts.readFile(name) : undefined;
  }

  async close(): Promise<void> {
    await this.#parts.close();
  }
}

/**
 * Opens a model file or folder by what it contains, whatever its name. Reads headers only.
 * Rejects with not_found, unsupported, or FileFormatError that names file and field.
 */
export async function openCheckpoint(path: string): Promise<Checkpoint> {
  const status = await stat(path).catch((cause: unknown) => {
    throw new IngotError('not_found', `${path}: no such file or folder`, { cause, details: { path } });
  });
  if (status.isDirectory()) return openFolder(path);
  if (!status.isFile()) throw new FileFormatError(path, 'file', 'is neither a file nor a folder');
  switch (await sniff(path)) {
    case 'gguf':
      return new Checkpoint(await openGgufCheckpoint(path));
    case 'packed':
      return new Checkpoint(await openPackedCheckpoint(path));
    case 'other':
      // A single safetensors file is opened with the config beside it.
      if (path.endsWith('.safetensors') || path.endsWith('.safetensors.index.json')) {
        return new Checkpoint(await openSafetensorsCheckpoint(dirname(path)));
      }
      throw new FileFormatError(path, 'magic', 'is not a GGUF, safetensors or packed model file');
  }
}

async function openFolder(folder: string): Promise<Checkpoint> {
  const names = await readdir(folder);
  if (names.some((name) => name.endsWith('.safetensors') || name.endsWith('.safetensors.index.json'))) {
    return new Checkpoint(await openSafetensorsCheckpoint(folder));
  }
  const models = names.filter(
    (name) => /\.(gguf|ingot)$/.test(name) && !/-(?!00001)\d{5}-of-\d{5}\./.test(name),
  );
  const only = models[0];
  if (models.length === 1 && only !== undefined) return openCheckpoint(join(folder, only));
  if (models.length > 1) {
    throw new IngotError(
      'invalid_argument',
      `${folder}: holds several models, name one: ${models.join(', ')}`,
    );
  }
  throw new IngotError('not_found', `${folder}: holds no safetensors, GGUF or packed model`);
}

async function sniff(path: string): Promise<'gguf' | 'packed' | 'other'> {
  const handle = await open(path, 'r');
  try {
    const { buffer, bytesRead } = await handle.read(new Uint8Array(8), 0, 8, 0);
    const start = new TextDecoder('latin1').decode(buffer.subarray(0, bytesRead));
    if (start.startsWith('GGUF')) return 'gguf';
    return start === packedMagic ? 'packed' : 'other';
  } finally {
    await handle.close();
  }
}
