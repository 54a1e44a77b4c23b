// Rows of a checkpoint's tensors as values, or as a format's bytes, in pieces: what writers of other files are fed with. Memory holds
// a piece, whatever the size of the tensor.

import type { SourceFormat } from '../../quant/format.ts';
import { panelBytes, panelRows } from '../../quant/layout.ts';
import { dequantizeSource, quantizeReference, unpackReference } from '../../quant/reference.ts';
import { readVector } from '../chunks.ts';
import { dimensions, matrixOffset, type PackedTensor, readRows, type SourceTensor } from '../tensor.ts';
import { isVector, type StoredPart, type StoredTensor } from './stored.ts';

/** Values of one piece, about. */
const pieceValues = 2 ** 18;

/** Makes the parts of a format of `[rows, columns]` values. */
export type RowEncoder = (
  format: SourceFormat,
  values: Float32Array,
  rows: number,
  columns: number,
) => Promise<readonly Uint8Array[]>;

export interface RowOptions {
  /** What quantises; default: plain TypeScript. */
  readonly encode?: RowEncoder | undefined;
  /** Rows of a piece are a multiple of this, but for the last ones of a matrix. */
  readonly multiple?: number;
  /** Only this matrix of a stack. */
  readonly only?: number;
}

/** Some rows of one matrix, dequantised: `[rows, K]`. */
export interface Piece {
  readonly matrix: number;
  readonly first: number;
  readonly rows: number;
  readonly values: Float32Array;
}

type Parts = Pick<StoredTensor, 'parts'>;

/** The rows of a matrix or stack of them, piece after piece. A vector is one row. */
export async function* piecesOf(stored: Parts, options: RowOptions = {}): AsyncGenerator<Piece> {
  const { parts } = stored;
  const [first] = parts;
  if (first === undefined) return;
  if (isVector(stored)) {
    yield { matrix: 0, first: 0, rows: 1, values: joined(await Promise.all(parts.map(vectorOf))) };
    return;
  }
  const { matrices, columns } = dimensions(first.tensor.shape);
  const rows = parts.reduce((sum, { tensor }) => sum + dimensions(tensor.shape).rows, 0);
  const multiple = options.multiple ?? panelRows;
  const step = Math.max(1, Math.floor(pieceValues / (columns * multiple))) * multiple;
  const { only = 0, only: last = matrices - 1 } = options;
  for (let matrix = only; matrix <= last; matrix++) {
    for (let first = 0; first < rows; first += step) {
      const count = Math.min(step, rows - first);
      yield { matrix, first, rows: count, values: await rowsOfParts(parts, matrix, first, count) };
    }
  }
}

async function vectorOf({ tensor, order }: StoredPart): Promise<Float32Array> {
  const values = await readVector(tensor);
  return order === undefined ? values : Float32Array.from(order, (row) => values[row] as number);
}

/** The same as the bytes of the parts of a format. */
export async function* encodedPieces(
  stored: Pick<StoredTensor, 'parts' | 'format'>,
  options: RowOptions = {},
): AsyncGenerator<readonly Uint8Array[]> {
  const { parts, format } = stored;
  const same = parts.flatMap(({ tensor, order }) =>
    tensor.kind === 'source' &&
    tensor.format === format &&
    tensor.rowMap === undefined &&
    order === undefined &&
    tensor.shape.length > 1
      ? [tensor]
      : [],
  );
  if (same.length === parts.length) {
    yield* storedPieces(same, options);
    return;
  }
  const columns = dimensions(parts[0]?.tensor.shape ?? []).columns;
  const { encode = plainEncoder } = options;
  // One piece is read while the one before it is quantised.
  let before: Promise<readonly Uint8Array[]> | undefined;
  try {
    for await (const { rows, values } of piecesOf(stored, options)) {
      const next = encode(format, values, rows, columns);
      next.catch(() => undefined); // awaited below, or given up with what failed first
      if (before !== undefined) yield await before;
      before = next;
    }
    if (before !== undefined) yield await before;
  } finally {
    await before?.catch(() => undefined);
  }
}

const plainEncoder: RowEncoder = async (format, values, rows, columns) =>
  quantizeReference(format, values, rows, columns);

/** What is in the format already, byte for byte. */
async function* storedPieces(
  tensors: readonly SourceTensor[],
  { only }: RowOptions,
): AsyncGenerator<readonly Uint8Array[]> {
  const last = only ?? (tensors[0]?.slices.length ?? 0) - 1;
  for (let matrix = only ?? 0; matrix <= last; matrix++) {
    for (const { shape, slices } of tensors) {
      const { rows, columns } = dimensions(shape);
      const step = Math.max(1, Math.floor((4 * pieceValues) / columns));
      for (let first = 0; first < rows; first += step)
        yield readRows(slices[matrix] ?? [], first, Math.min(step, rows - first));
    }
  }
}

/** Rows [first, first + count) of what the parts make together. */
async function rowsOfParts(
  parts: readonly StoredPart[],
  matrix: number,
  first: number,
  count: number,
): Promise<Float32Array> {
  const found: Float32Array[] = [];
  let start = 0;
  for (const part of parts) {
    const { rows } = dimensions(part.tensor.shape);
    const from = Math.max(first, start);
    const to = Math.min(first + count, start + rows);
    if (from < to) found.push(await readValues(part, matrix, from - start, to - from));
    start += rows;
  }
  return joined(found);
}

function joined(pieces: readonly Float32Array[]): Float32Array {
  const [only] = pieces;
  if (pieces.length === 1 && only !== undefined) return only;
  const values = new Float32Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    values.set(piece, at);
    at += piece.length;
  }
  return values;
}

async function readValues(
  { tensor, order }: StoredPart,
  matrix: number,
  first: number,
  count: number,
): Promise<Float32Array> {
  const map = tensor.kind === 'source' ? tensor.rowMap : undefined;
  const wanted = Int32Array.from({ length: count }, (_, i) => {
    const row = order?.[first + i] ?? first + i;
    return map?.[row] ?? row;
  });
  const low = wanted.reduce((a, b) => Math.min(a, b));
  const high = wanted.reduce((a, b) => Math.max(a, b));
  const { columns } = dimensions(tensor.shape);
  const stored =
    tensor.kind === 'packed'
      ? await packedValues(tensor, matrix, low, high - low + 1)
      : await sourceValues(tensor, matrix, low, high - low + 1);
  if (wanted.every((row, i) => row === low + i)) return stored;
  const values = new Float32Array(count * columns);
  wanted.forEach((row, i) => {
    values.set(stored.subarray((row - low) * columns, (row - low + 1) * columns), i * columns);
  });
  return values;
}

async function sourceValues(
  tensor: SourceTensor,
  matrix: number,
  first: number,
  count: number,
): Promise<Float32Array> {
  const parts = await readRows(tensor.slices[matrix] ?? [], first, count);
  return dequantizeSource(tensor.format, parts, count, dimensions(tensor.shape).columns);
}

async function packedValues(
  tensor: PackedTensor,
  matrix: number,
  first: number,
  count: number,
): Promise<Float32Array> {
  const { columns } = dimensions(tensor.shape);
  const panel = panelBytes(tensor.layout, columns);
  const begin = Math.floor(first / panelRows);
  const end = Math.ceil((first + count) / panelRows);
  const at = matrixOffset(tensor, matrix) + begin * panel;
  const bytes = await tensor.source.read(at, (end - begin) * panel);
  const values = unpackReference(tensor.layout, bytes, (end - begin) * panelRows, columns);
  const skip = first - begin * panelRows;
  return values.slice(skip * columns, (skip + count) * columns);
}
