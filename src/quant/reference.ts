// Packing, unpacking and dequantising in plain TypeScript: the definition the native code is tested against, and the
// fallback where there is no native code. Written to be read, not to be fast.

import { IngotError } from '../base/errors.ts';
import { checkColumns, checkParts, newRowForm, type SourceFormat } from './format.ts';
import { floatValues } from './formats/float.ts';
import { packedBytes, panelBytes, panelRows, type WeightLayout } from './layout.ts';
import { readLane, rowValues, writeLane } from './panel.ts';

/** `rowMap[i]` is the source row of packed row i. */
export type RowMap = Int32Array;

/**
 * Packs `rows` rows of K columns into panels of `source.layout`.
 * `parts` are the source's tensors with whole rows; with a `rowMap` packed row i comes from source row `rowMap[i]`, and the
 * parts may then have more (or fewer) rows than are packed.
 * Throws invalid_argument for wrong sizes or a row outside the parts.
 */
export function packReference(
  source: SourceFormat,
  parts: readonly Uint8Array[],
  rows: number,
  K: number,
  rowMap?: RowMap | null,
): Uint8Array {
  checkColumns(source, K);
  const sourceRows = rowMap ? Math.floor((parts[0]?.byteLength ?? 0) / (source.rowBytes(K)[0] ?? 1)) : rows;
  checkParts(source, parts, sourceRows, K);
  checkRowMap(rowMap, rows, sourceRows);
  const { layout } = source;
  const panel = panelBytes(layout, K);
  const packed = new Uint8Array(packedBytes(layout, rows, K));
  const form = newRowForm(layout, K);
  for (let i = 0; i < rows; i++) {
    source.readRow(parts, rowMap ? (rowMap[i] as number) : i, K, form);
    writeLane(layout, K, form, packed, Math.floor(i / panelRows) * panel, i % panelRows);
  }
  return packed;
}

function checkRowMap(rowMap: RowMap | null | undefined, rows: number, sourceRows: number): void {
  if (!rowMap) return;
  const outside = rowMap.findIndex((row) => row < 0 || row >= sourceRows);
  if (rowMap.length === rows && outside < 0) return;
  const problem =
    rowMap.length === rows
      ? `entry ${outside} is row ${rowMap[outside]} of ${sourceRows}`
      : `has ${rowMap.length} entries for ${rows} rows`;
  throw new IngotError('invalid_argument', `row map ${problem}`);
}

/** Row `row` of a packed N x K matrix, dequantised: `[K]`. This is the lookup of an embedding. */
export function gatherRow(
  layout: WeightLayout,
  packed: Uint8Array,
  N: number,
  K: number,
  row: number,
): Float32Array {
  checkPacked(layout, packed, N, K);
  if (!Number.isInteger(row) || row < 0 || row >= N) {
    throw new IngotError('invalid_argument', `row ${row} is outside a matrix of ${N} rows`);
  }
  const values = new Float32Array(K);
  const form = newRowForm(layout, K);
  readLane(layout, K, packed, Math.floor(row / panelRows) * panelBytes(layout, K), row % panelRows, form);
  rowValues(layout, K, form, values, 0);
  return values;
}

/** A packed N x K matrix, dequantised: `[N, K]` row major. */
export function unpackReference(
  layout: WeightLayout,
  packed: Uint8Array,
  N: number,
  K: number,
): Float32Array {
  checkPacked(layout, packed, N, K);
  const panel = panelBytes(layout, K);
  const values = new Float32Array(N * K);
  const form = newRowForm(layout, K);
  for (let i = 0; i < N; i++) {
    readLane(layout, K, packed, Math.floor(i / panelRows) * panel, i % panelRows, form);
    rowValues(layout, K, form, values, i * K);
  }
  return values;
}

function checkPacked(layout: WeightLayout, packed: Uint8Array, N: number, K: number): void {
  const expected = packedBytes(layout, N, K);
  if (packed.byteLength === expected) return;
  throw new IngotError(
    'invalid_argument',
    `packed ${layout.kind} matrix of ${N} x ${K} needs ${expected} bytes, found ${packed.byteLength}`,
  );
}

/** `rows` rows of K columns straight from a file's blocks: `[rows, K]` row major. */
export function dequantizeSource(
  source: SourceFormat,
  parts: readonly Uint8Array[],
  rows: number,
  K: number,
): Float32Array {
  checkParts(source, parts, rows, K);
  const floats = floatValues(source, parts[0] as Uint8Array);
  if (floats !== undefined) return floats;
  const values = new Float32Array(rows * K);
  const form = newRowForm(source.layout, K);
  for (let i = 0; i < rows; i++) {
    source.readRow(parts, i, K, form);
    rowValues(source.layout, K, form, values, i * K);
  }
  return values;
}

/** Encodes `[rows, K]` values in a source format: the bytes of each part. Inverse of `dequantizeSource` up to rounding. */
export function quantizeReference(
  source: SourceFormat,
  values: Float32Array,
  rows: number,
  K: number,
): readonly Uint8Array[] {
  checkColumns(source, K);
  const { quantizeRow } = source;
  if (quantizeRow === undefined) {
    throw new IngotError('unsupported', `${source.name} is a format that is only read`);
  }
  if (values.length !== rows * K) {
    throw new IngotError(
      'invalid_argument',
      `${source.name}: ${rows} x ${K} values expected, found ${values.length}`,
    );
  }
  const rowBytes = source.rowBytes(K);
  const parts = rowBytes.map((bytes) => new Uint8Array(bytes * rows));
  for (let i = 0; i < rows; i++) {
    quantizeRow(values.subarray(i * K, (i + 1) * K)).forEach((bytes, p) => {
      parts[p]?.set(bytes, i * bytes.byteLength);
    });
  }
  return parts;
}
