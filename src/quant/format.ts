// What a source format is: how one row of a weight matrix lies in a file, and how it becomes the neutral row form from
// which panels are packed. One file in formats/ per format; registry.ts lists them.

import { IngotError } from '../base/errors.ts';
import { columnMultiple, metaFields, metaRecord, type WeightLayout } from './layout.ts';

/**
 * One row between file and panel. `codes[k]` is the stored code of column k (unsigned, as docs/layouts.md stores it) or
 * the float's bits; `meta` holds the bits of the meta fields, record after record in the order of `metaFields`.
 */
export interface RowForm {
  readonly codes: Uint32Array;
  readonly meta: Uint32Array;
}

/** A row form with room for K columns of a layout. */
export function newRowForm(layout: WeightLayout, K: number): RowForm {
  const records = K / metaRecord(layout).columns;
  return { codes: new Uint32Array(K), meta: new Uint32Array(records * metaFields(layout).length) };
}

/** A way weights are stored in files. Parts are one tensor ([blocks]) or three ([codes, scales, biases]). */
export interface SourceFormat {
  /** Unique, e.g. `q4_0` or `mlx4/64/bf16`. */
  readonly name: string;
  /** Source code of the native packer (docs/layouts.md); undefined: rows are decoded here and packed from their row form. */
  readonly code: number | undefined;
  /** Number and name of the type in GGUF files. */
  readonly gguf?: { readonly type: number; readonly name: string };
  /** Part 0 stores `blockElements` consecutive columns in `blockBytes` bytes. */
  readonly blockElements: number;
  readonly blockBytes: number;
  /** The layout this format is packed into. */
  readonly layout: WeightLayout;
  /** Bytes of one row of K columns, for each part. Check K with `checkColumns` first. */
  rowBytes(K: number): readonly number[];
  /** Decodes row `row` of `parts` (whole rows of K columns) into `out`. */
  readRow(parts: readonly Uint8Array[], row: number, K: number, out: RowForm): void;
  /** Encodes one row, for each part its bytes. Undefined for formats that are only read. */
  readonly quantizeRow?: (values: Float32Array) => readonly Uint8Array[];
}

/** Throws invalid_argument when rows of K columns cannot be stored in the format or its layout. */
export function checkColumns(format: SourceFormat, K: number): void {
  const multiple = Math.max(format.blockElements, columnMultiple(format.layout));
  if (Number.isSafeInteger(K) && K > 0 && K % multiple === 0) return;
  throw new IngotError(
    'invalid_argument',
    `${format.name}: K = ${K} must be a positive multiple of ${multiple}`,
    {
      details: { K, multiple },
    },
  );
}

/** Throws invalid_argument unless every part has exactly the bytes of `rows` rows of K columns. */
export function checkParts(
  format: SourceFormat,
  parts: readonly Uint8Array[],
  rows: number,
  K: number,
): void {
  checkColumns(format, K);
  const expected = format.rowBytes(K).map((bytes) => bytes * rows);
  const found = parts.map((part) => part.byteLength);
  if (expected.length === found.length && expected.every((bytes, i) => bytes === found[i])) return;
  throw new IngotError(
    'invalid_argument',
    `${format.name}: ${rows} rows of ${K} columns need parts of [${expected}] bytes, found [${found}]`,
    { details: { expected, found } },
  );
}

export const readU16 = (bytes: Uint8Array, at: number): number =>
  (bytes[at] as number) | ((bytes[at + 1] as number) << 8);

export const readU32 = (bytes: Uint8Array, at: number): number =>
  (readU16(bytes, at) | (readU16(bytes, at + 2) << 16)) >>> 0;

export function writeU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
}

export function writeU32(bytes: Uint8Array, at: number, value: number): void {
  writeU16(bytes, at, value);
  writeU16(bytes, at + 2, value >>> 16);
}

/** Bounds of a slice of values: what the block quantisers start from. */
export function range(
  values: Float32Array,
  from: number,
  count: number,
): { min: number; max: number; peak: number } {
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  let peak = 0; // the value with the largest magnitude, sign kept
  for (let i = from; i < from + count; i++) {
    const value = values[i] as number;
    min = Math.min(min, value);
    max = Math.max(max, value);
    if (Math.abs(value) > Math.abs(peak)) peak = value;
  }
  return { min, max, peak };
}

export const clamp = (value: number, low: number, high: number): number =>
  Math.min(high, Math.max(low, value));
