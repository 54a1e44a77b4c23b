// Reads fields of a model's config.json: every value is checked for type and range, and every complaint names the file,
// the field and the number. `null` counts as absent, as checkpoints write it.

import { FileFormatError, IngotError } from '../../base/errors.ts';

export interface Range {
  readonly min: number;
  readonly max: number;
}

/** Limits far above any published model: what lies beyond is a damaged or hostile file. */
export const limits = {
  vocabSize: { min: 1, max: 2 ** 24 },
  hiddenSize: { min: 1, max: 2 ** 18 },
  intermediateSize: { min: 1, max: 2 ** 20 },
  layers: { min: 1, max: 4096 },
  heads: { min: 1, max: 4096 },
  headDim: { min: 2, max: 4096 },
  experts: { min: 0, max: 65536 },
  contextLength: { min: 1, max: 2 ** 28 },
  tokenId: { min: 0, max: 2 ** 24 },
  eps: { min: 0, max: 1 },
  theta: { min: 1.001, max: 1e15 },
  factor: { min: 1e-6, max: 1e6 },
} as const satisfies Record<string, Range>;

export class ConfigReader {
  readonly #fields: Readonly<Record<string, unknown>>;
  readonly #source: string;
  readonly #prefix: string;

  /** `source` names the file in messages; `prefix` the object inside it. Throws bad_file unless `json` is an object. */
  constructor(json: unknown, source: string, prefix = '') {
    if (typeof json !== 'object' || json === null || Array.isArray(json)) {
      throw new FileFormatError(source, prefix || 'config', `must be an object, found ${describe(json)}`);
    }
    this.#fields = json as Readonly<Record<string, unknown>>;
    this.#source = source;
    this.#prefix = prefix;
  }

  get source(): string {
    return this.#source;
  }

  has(key: string): boolean {
    return this.#get(key) !== undefined;
  }

  /** Whether the field is there at all: null, which counts as absent elsewhere, may switch off what is meant without it. */
  stated(key: string): boolean {
    return Object.hasOwn(this.#fields, key);
  }

  keys(): readonly string[] {
    return Object.keys(this.#fields).filter((key) => this.has(key));
  }

  /** Throws bad_file for a field of this config. */
  fail(key: string, problem: string): never {
    throw new FileFormatError(this.#source, this.#name(key), problem);
  }

  /** Throws unsupported for a field whose value is valid but not implemented. */
  unsupported(key: string, problem: string): never {
    throw new IngotError('unsupported', `${this.#source}: ${this.#name(key)}: ${problem}`, {
      details: { file: this.#source, field: this.#name(key), value: this.#get(key) },
    });
  }

  /** A number in range. Without a fallback the field must be there. */
  number(key: string, range: Range, fallback?: number): number {
    const value = this.#get(key) ?? fallback;
    if (value === undefined) this.fail(key, 'is missing');
    if (typeof value !== 'number' || !Number.isFinite(value)) {
      this.fail(key, `must be a number, found ${describe(value)}`);
    }
    if (value < range.min || value > range.max) {
      this.fail(key, `is ${value}, must be between ${range.min} and ${range.max}`);
    }
    return value;
  }

  /** A whole number in range. Without a fallback the field must be there. */
  int(key: string, range: Range, fallback?: number): number {
    const value = this.number(key, range, fallback);
    if (!Number.isSafeInteger(value)) this.fail(key, `is ${value}, must be a whole number`);
    return value;
  }

  optionalNumber(key: string, range: Range): number | undefined {
    return this.has(key) ? this.number(key, range) : undefined;
  }

  optionalInt(key: string, range: Range): number | undefined {
    return this.has(key) ? this.int(key, range) : undefined;
  }

  boolean(key: string, fallback: boolean): boolean {
    const value = this.#get(key) ?? fallback;
    if (typeof value !== 'boolean') this.fail(key, `must be true or false, found ${describe(value)}`);
    return value;
  }

  string(key: string): string | undefined {
    const value = this.#get(key);
    if (value === undefined || typeof value === 'string') return value;
    return this.fail(key, `must be a string, found ${describe(value)}`);
  }

  /** A list of whole numbers in range; a single number counts as a list of one; absent is undefined. */
  ints(key: string, range: Range, maxLength = 65536): readonly number[] | undefined {
    const value = this.#get(key);
    if (value === undefined) return undefined;
    const list: readonly unknown[] = Array.isArray(value) ? value : [value];
    if (list.length > maxLength)
      this.fail(key, `has ${list.length} entries, at most ${maxLength} are allowed`);
    return list.map((v) => {
      const fits = typeof v === 'number' && Number.isSafeInteger(v) && v >= range.min && v <= range.max;
      return fits
        ? v
        : this.fail(key, `holds ${describe(v)}, must be whole numbers from ${range.min} to ${range.max}`);
    });
  }

  /** A list of numbers in range; must be there. */
  numbers(key: string, range: Range, maxLength: number): readonly number[] {
    const value = this.#get(key);
    if (!Array.isArray(value)) this.fail(key, `must be a list of numbers, found ${describe(value)}`);
    if (value.length > maxLength)
      this.fail(key, `has ${value.length} entries, at most ${maxLength} are allowed`);
    return value.map((v) => {
      const fits = typeof v === 'number' && v >= range.min && v <= range.max;
      return fits
        ? v
        : this.fail(key, `holds ${describe(v)}, must be numbers from ${range.min} to ${range.max}`);
    });
  }

  strings(key: string, maxLength = 65536): readonly string[] | undefined {
    const value = this.#get(key);
    if (value === undefined) return undefined;
    if (!Array.isArray(value)) this.fail(key, `must be a list, found ${describe(value)}`);
    if (value.length > maxLength)
      this.fail(key, `has ${value.length} entries, at most ${maxLength} are allowed`);
    return value.map((v) =>
      typeof v === 'string' ? v : this.fail(key, `holds ${describe(v)}, must be strings`),
    );
  }

  object(key: string): ConfigReader | undefined {
    const value = this.#get(key);
    return value === undefined ? undefined : new ConfigReader(value, this.#source, this.#name(key));
  }

  #get(key: string): unknown {
    // Own properties only: a field called `constructor` is absent, not a function.
    return Object.hasOwn(this.#fields, key) ? (this.#fields[key] ?? undefined) : undefined;
  }

  #name(key: string): string {
    return this.#prefix === '' ? key : `${this.#prefix}.${key}`;
  }
}

function describe(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return `a list of ${value.length}`;
  const text = JSON.stringify(value) ?? typeof value;
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
