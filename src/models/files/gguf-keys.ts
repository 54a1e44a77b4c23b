// The metadata of a GGUF file as families read it: keys of its architecture, shapes of tensors, lists of rotary factors.

import { FileFormatError } from '../../base/errors.ts';
import type { GgufMetadata } from '../../weights/gguf/metadata.ts';

/** What a config is derived from besides metadata. */
export interface GgufTensors {
  /** Shape of a tensor by its GGUF name. */
  shape(name: string): readonly number[] | undefined;
  /** Values of `NAME.weight` when the file has it: what each rotary frequency is divided by. */
  factors(name: RotaryFactors): Float32Array | undefined;
}

export const rotaryFactors = ['rope_freqs', 'rope_factors_long', 'rope_factors_short'] as const;
export type RotaryFactors = (typeof rotaryFactors)[number];

export class GgufKeys {
  readonly file: string;
  readonly architecture: string;
  readonly metadata: GgufMetadata;
  readonly tensors: GgufTensors;

  constructor(file: string, architecture: string, metadata: GgufMetadata, tensors: GgufTensors) {
    this.file = file;
    this.architecture = architecture;
    this.metadata = metadata;
    this.tensors = tensors;
  }

  /** The full name of a key of the architecture. */
  key(name: string): string {
    return `${this.architecture}.${name}`;
  }

  fail(name: string, problem: string): never {
    throw new FileFormatError(this.file, name, problem);
  }

  integer(name: string, least = 0): number | undefined {
    return this.metadata.integer(this.key(name), least);
  }

  /** Throws FileFormatError when the key is missing. */
  required(name: string): number {
    return this.integer(name, 1) ?? this.fail(this.key(name), 'is missing');
  }

  number(name: string): number | undefined {
    return this.metadata.number(this.key(name));
  }

  string(name: string): string | undefined {
    return this.metadata.string(this.key(name));
  }

  boolean(name: string): boolean | undefined {
    return this.metadata.boolean(this.key(name));
  }

  /** A list of booleans or numbers, one per layer; undefined when the key is absent or holds one value. */
  list(name: string): readonly (number | boolean)[] | undefined {
    const value = this.metadata.get(this.key(name));
    if (value === undefined || typeof value !== 'object') return undefined;
    return Array.from(value as ArrayLike<number | boolean>);
  }

  has(tensor: string): boolean {
    return this.tensors.shape(tensor) !== undefined;
  }
}

/** A field, left out when there is no value. */
export const optional = (name: string, value: unknown): Record<string, unknown> =>
  value === undefined ? {} : { [name]: value };
