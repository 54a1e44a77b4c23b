// JSON out of foreign files: parsed with a size bound, and read field by field with errors that name file and field.

import { FileFormatError } from '../base/errors.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

export const isJsonObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Parses UTF-8 bytes that must be a JSON object. `field` names it in errors. */
export function parseJsonObject(bytes: Uint8Array, file: string, field: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new FileFormatError(file, field, `is not JSON (${reason.slice(0, 120)})`, { cause });
  }
  if (!isJsonObject(value)) throw new FileFormatError(file, field, 'must be a JSON object');
  return value;
}

/** A shape: a list of non-negative integers whose product is a safe integer. */
export function jsonShape(value: unknown, file: string, field: string): readonly number[] {
  const valid =
    Array.isArray(value) && value.length <= 8 && value.every((d) => Number.isSafeInteger(d) && d >= 0);
  if (!valid) throw new FileFormatError(file, `${field}.shape`, 'must be at most 8 non-negative integers');
  const shape = value as number[];
  if (!Number.isSafeInteger(shape.reduce((product, d) => product * d, 1))) {
    throw new FileFormatError(file, `${field}.shape`, `[${shape}] has more elements than can be counted`);
  }
  return shape;
}
