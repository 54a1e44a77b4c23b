// Tensors in pieces small enough to read into a reused buffer and pack from there: memory stays bounded whatever the
// tensor's size, and pieces of one tensor can be packed in parallel.

import { packedBytes, panelBytes, panelRows } from '../quant/layout.ts';
import { dequantizeSource } from '../quant/reference.ts';
import { type CheckpointTensor, dimensions, readRows, type Slice, type SourceTensor } from './tensor.ts';

/** Source bytes of one piece, about. */
export const chunkBytes = 4 * 2 ** 20;

/** Rows of one matrix that become whole panels. */
export interface Chunk {
  readonly tensor: SourceTensor;
  readonly slice: Slice;
  /** Stored rows to read. */
  readonly first: number;
  readonly count: number;
  /** Rows to pack, and where they come from among the rows read (null: in order). */
  readonly rows: number;
  readonly rowMap: Int32Array | null;
  /** Byte of the packed tensor where these panels go. */
  readonly destination: number;
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
  for (const [index, slice] of tensor.slices.entries()) {
    for (let first = 0; first < rows; first += step) {
      const count = Math.min(step, rows - first);
      yield {
        tensor,
        slice,
        rows: count,
        ...span(tensor.rowMap, first, count),
        destination: index * packedBytes(layout, rows, columns) + (first / panelRows) * panel,
      };
    }
  }
}

/** The stored rows that hold rows [first, first + count), and the map relative to them. */
function span(
  map: Int32Array | undefined,
  first: number,
  count: number,
): { readonly first: number; readonly count: number; readonly rowMap: Int32Array | null } {
  if (map === undefined) return { first, count, rowMap: null };
  const part = map.subarray(first, first + count);
  const low = part.reduce((least, row) => Math.min(least, row), Number.POSITIVE_INFINITY);
  const high = part.reduce((most, row) => Math.max(most, row), 0);
  return { first: low, count: high - low + 1, rowMap: part.map((row) => row - low) };
}

/** Reads the stored rows of a piece; `buffers` are reused when they are large enough. */
export const readChunk = (chunk: Chunk, buffers?: readonly Uint8Array[]): Promise<Uint8Array[]> =>
  readRows(chunk.slice, chunk.first, chunk.count, buffers);

/** A vector as f32, in order. */
export async function readVector(tensor: CheckpointTensor): Promise<Float32Array> {
  const length = tensor.shape[0] ?? 0;
  if (tensor.kind === 'packed') {
    const bytes = await tensor.source.read(tensor.offset, tensor.bytes);
    return new Float32Array(bytes.buffer, bytes.byteOffset, length);
  }
  const parts = await readRows(tensor.slices[0] ?? [], 0, 1);
  const values = dequantizeSource(tensor.format, parts, 1, length);
  return tensor.rowMap === undefined
    ? values
    : Float32Array.from(tensor.rowMap, (row) => values[row] as number);
}
