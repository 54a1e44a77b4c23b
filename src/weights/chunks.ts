// Tensors in pieces small enough to read into a reused buffer and pack from there: memory stays bounded whatever the
// tensor's size, and pieces of one tensor can be packed in parallel.

import { packedBytes, panelBytes, panelRows } from '../quant/layout.ts';
import { dequantizeSource, unpackReference } from '../quant/reference.ts';
import {
  type CheckpointTensor,
  dimensions,
  matrixOffset,
  type RowSlice,
  readRows,
  type SourceTensor,
} from './tensor.ts';

/** Source bytes of one piece, about. */
export const chunkBytes = 4 * 2 ** 20;
/** The same where plain TypeScript packs, on the event loop: 2 to 7 ms of work, by format. */
export const smallChunkBytes = chunkBytes / 32;

/** Rows of one matrix that become whole panels. */
export interface Chunk {
  readonly tensor: SourceTensor;
  readonly slice: RowSlice;
  /** Rows [first, first + rows), the same ones stored and packed. */
  readonly first: number;
  readonly rows: number;
  /** Where packed rows come from among the rows of the piece (undefined: in order). */
  readonly rowMap: Int32Array | undefined;
  /** Byte of the packed tensor where these panels go, and how many they are. */
  readonly destination: number;
  readonly bytes: number;
}

/** Bytes of a tensor once packed: panels for matrices, f32 for vectors. */
export function loadedBytes(tensor: CheckpointTensor): number {
  if (tensor.kind === 'packed') return tensor.bytes;
  if (tensor.shape.length === 1) return (tensor.shape[0] ?? 0) * 4;
  const { matrices, rows, columns } = dimensions(tensor.shape);
  return matrices * packedBytes(tensor.format.layout, rows, columns);
}

/** Bytes of a tensor in its source file. */
export function storedBytes(tensor: CheckpointTensor): number {
  if (tensor.kind === 'packed') return tensor.bytes;
  const { matrices, rows, columns } = dimensions(tensor.shape);
  return tensor.format.rowBytes(columns).reduce((sum, bytes) => sum + bytes, 0) * rows * matrices;
}

/** The pieces of a matrix or a stack of matrices, in the order of the packed bytes. */
export function* chunksOf(tensor: SourceTensor, maxBytes = chunkBytes): Generator<Chunk> {
  const { rows, columns } = dimensions(tensor.shape);
  const { layout } = tensor.format;
  const panel = panelBytes(layout, columns);
  const rowBytes = tensor.format.rowBytes(columns).reduce((sum, bytes) => sum + bytes, 0);
  const step = Math.max(1, Math.floor(maxBytes / (rowBytes * panelRows))) * panelRows;
  const ends = pieceEnds(tensor.rowMap, rows, step);
  for (const [index, slice] of tensor.slices.entries()) {
    const start = index * packedBytes(layout, rows, columns);
    let first = 0;
    for (const end of ends) {
      yield {
        tensor,
        slice,
        first,
        rows: end - first,
        rowMap: tensor.rowMap?.subarray(first, end).map((row) => row - first),
        destination: start + (first / panelRows) * panel,
        bytes: Math.ceil((end - first) / panelRows) * panel,
      };
      first = end;
    }
  }
}

/**
 * Ends of pieces of about `step` rows, each a whole number of panels. With a row map a piece ends only where all rows up to
 * there come from rows up to there, so that it can be packed from what it read.
 */
function pieceEnds(map: Int32Array | undefined, rows: number, step: number): number[] {
  const ends: number[] = [];
  let last = 0;
  let highest = -1;
  for (let end = panelRows; end < rows; end += panelRows) {
    for (let i = end - panelRows; i < end; i++) highest = Math.max(highest, map?.[i] ?? i);
    if (end - last < step || highest >= end) continue;
    ends.push(end);
    last = end;
  }
  return [...ends, rows];
}

/** Reads the stored rows of a piece; `buffers` are reused when they are large enough. */
export const readChunk = (chunk: Chunk, buffers?: readonly Uint8Array[]): Promise<Uint8Array[]> =>
  readRows(chunk.slice, chunk.first, chunk.rows, buffers);

/** The values of a vector, or of a small matrix of floats row by row, as f32. */
export async function readVector(tensor: CheckpointTensor): Promise<Float32Array> {
  const length = tensor.shape.reduce((product, n) => product * n, 1);
  if (tensor.kind === 'packed') {
    const bytes = await tensor.source.read(tensor.offset, tensor.bytes);
    return new Float32Array(bytes.buffer, bytes.byteOffset, length);
  }
  const values = new Float32Array(length);
  const each = length / tensor.slices.length;
  const [rowBytes = 1] = tensor.slices[0]?.map((region) => region.rowBytes) ?? [];
  const columns = tensor.shape.length === 1 ? elementsOf(tensor, rowBytes) : dimensions(tensor.shape).columns;
  for (const [i, slice] of tensor.slices.entries()) {
    const parts = await readRows(slice, 0, each / columns);
    values.set(dequantizeSource(tensor.format, parts, each / columns, columns), i * each);
  }
  const { rowMap, add = 0 } = tensor;
  const ordered = rowMap === undefined ? values : Float32Array.from(rowMap, (row) => values[row] as number);
  return add === 0 ? ordered : ordered.map((value) => value + add);
}

/** The values of a matrix `[N, K]` or a stack of them, of any format, row by row as f32. */
export async function readMatrix(tensor: CheckpointTensor): Promise<Float32Array> {
  const { matrices, rows, columns } = dimensions(tensor.shape);
  const values = new Float32Array(matrices * rows * columns);
  if (tensor.kind === 'packed') {
    const each = packedBytes(tensor.layout, rows, columns);
    for (let i = 0; i < matrices; i++) {
      const bytes = await tensor.source.read(matrixOffset(tensor, i), each);
      values.set(unpackReference(tensor.layout, bytes, rows, columns), i * rows * columns);
    }
    return values;
  }
  for (const [i, slice] of tensor.slices.entries()) {
    const stored = dequantizeSource(tensor.format, await readRows(slice, 0, rows), rows, columns);
    for (let row = 0; row < rows; row++) {
      const from = (tensor.rowMap?.[row] ?? row) * columns;
      values.set(stored.subarray(from, from + columns), (i * rows + row) * columns);
    }
  }
  return values;
}

/** Elements of one stored row of a vector: all of them, or one where they were chosen one by one. */
const elementsOf = ({ format }: SourceTensor, rowBytes: number): number =>
  (rowBytes / format.blockBytes) * format.blockElements;
