// Rows of a checkpoint's tensors as values, or as a format's bytes, in pieces: what writers of other files are fed with. Memory holds
// a piece, whatever the size of the tensor.

import type { SourceFormat } from '../../quant/format.ts';
import { panelBytes, panelRows } from '../../quant/layout.ts';
import { dequantizeSource, quantizeReference, unpackReference } from '../../quant/reference.ts';
import { readVector } from '../chunks.ts';
import {
  type CheckpointTensor,
  dimensions,
  matrixOffset,
  type PackedTensor,
  readRows,
  type SourceTensor,
} from '../tensor.ts';

/** Values of one piece, about. */
const pieceValues = 2 ** 18;

export interface RowOptions {
  /** `order[i]` is the tensor's row that comes i-th within each matrix; undefined: as they are. */
  readonly order?: Int32Array | undefined;
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

/** The rows of a matrix or stack of them, piece after piece. A vector is one row. */
export async function* piecesOf(tensor: CheckpointTensor, options: RowOptions = {}): AsyncGenerator<Piece> {
  const { matrices, rows, columns } = dimensions(tensor.shape);
  if (tensor.shape.length === 1) {
    yield { matrix: 0, first: 0, rows: 1, values: await readVector(tensor) };
    return;
  }
  const multiple = options.multiple ?? panelRows;
  const step = Math.max(1, Math.floor(pieceValues / (columns * multiple))) * multiple;
  const { only = 0, only: last = matrices - 1 } = options;
  for (let matrix = only; matrix <= last; matrix++) {
    for (let first = 0; first < rows; first += step) {
      const count = Math.min(step, rows - first);
      yield {
        matrix,
        first,
        rows: count,
        values: await readValues(tensor, matrix, first, count, options.order),
      };
    }
  }
}

/** The same as the bytes of the parts of a format. */
export async function* encodedPieces(
  tensor: CheckpointTensor,
  format: SourceFormat,
  options: RowOptions = {},
): AsyncGenerator<readonly Uint8Array[]> {
  const columns = dimensions(tensor.shape).columns;
  if (
    tensor.kind === 'source' &&
    tensor.format === format &&
    tensor.rowMap === undefined &&
    options.order === undefined
  ) {
    yield* storedPieces(tensor);
    return;
  }
  for await (const { rows, values } of piecesOf(tensor, options)) {
    yield quantizeReference(format, values, rows, columns);
  }
}

/** What is in the format already, byte for byte. */
async function* storedPieces(tensor: SourceTensor): AsyncGenerator<readonly Uint8Array[]> {
  const { rows, columns } = dimensions(tensor.shape);
  const step = Math.max(1, Math.floor((4 * pieceValues) / columns));
  for (const slice of tensor.slices) {
    for (let first = 0; first < rows; first += step)
      yield readRows(slice, first, Math.min(step, rows - first));
  }
}

async function readValues(
  tensor: CheckpointTensor,
  matrix: number,
  first: number,
  count: number,
  order: Int32Array | undefined,
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
