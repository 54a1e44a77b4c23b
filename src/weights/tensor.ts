// What every kind of checkpoint is made of: tensors whose rows lie at known places of files, in a source format or
// already packed.

import { FileFormatError, IngotError } from '../base/errors.ts';
import type { SourceFormat } from '../quant/format.ts';
import { formatLayout, type WeightLayout } from '../quant/layout.ts';
import type { ByteSource } from './source.ts';

/** Rows of one part of a tensor in a file, one after the other unless it says otherwise. */
export interface Region {
  readonly source: ByteSource;
  readonly offset: number;
  readonly rowBytes: number;
  /** Bytes from one row to the next, where others lie between them. */
  readonly stride?: number;
  /** Bytes from one element of a row to the next, of a matrix that is stored by columns: its rows are one element apart. */
  readonly transposed?: { readonly elementBytes: number; readonly stride: number };
}

/** One matrix: a region for each part of its format ([blocks] or [codes, scales, biases]). */
export type RowSlice = readonly Region[];

/** A tensor as a file of foreign format stores it. */
export interface SourceTensor {
  readonly kind: 'source';
  readonly name: string;
  /** `[n]`, `[N, K]` or `[E, N, K]`. */
  readonly shape: readonly number[];
  readonly format: SourceFormat;
  /** One for each of the E matrices; one when there is no E. */
  readonly slices: readonly RowSlice[];
  /** `rowMap[i]` is the stored row of row i, within each slice; undefined when rows are in order. */
  readonly rowMap?: Int32Array;
  /** Added to every value of a vector: norms that are stored less 1. */
  readonly add?: number;
}

/** A tensor of a packed file: a matrix in its layout, or a vector of f32. */
export interface PackedTensor {
  readonly kind: 'packed';
  readonly name: string;
  readonly shape: readonly number[];
  readonly layout: WeightLayout;
  readonly source: ByteSource;
  readonly offset: number;
  readonly bytes: number;
  /** Of experts that lie in blocks: bytes from the matrix of one to that of the next. Without it they follow each other. */
  readonly stride?: number;
}

export type CheckpointTensor = SourceTensor | PackedTensor;

/** Where matrix `index` of a packed tensor starts in its file. */
export function matrixOffset(tensor: PackedTensor, index: number): number {
  const { matrices } = dimensions(tensor.shape);
  return tensor.offset + index * (tensor.stride ?? tensor.bytes / matrices);
}

/** More matrices than any stack of experts has: such a shape is damage, and listing its slices would cost memory. */
const maxMatrices = 16384;

/** Why no weight has this shape, or undefined when it may be one. */
export function shapeProblem(shape: readonly number[]): string | undefined {
  if (shape.length < 1 || shape.length > 3) return `has ${shape.length} dimensions`;
  if (shape.includes(0)) return `has the empty shape [${shape.join(', ')}]`;
  return dimensions(shape).matrices > maxMatrices ? `has ${shape[0]} matrices` : undefined;
}

/** Matrices, rows and columns of a shape; a vector is one row. */
export function dimensions(shape: readonly number[]): { matrices: number; rows: number; columns: number } {
  const [columns = 1, rows = 1, matrices = 1] = shape.toReversed();
  return { matrices, rows, columns };
}

/** For messages: `[576, 1536] q4_1`. */
export const formatTensor = (tensor: CheckpointTensor): string =>
  `[${tensor.shape.join(', ')}] ${tensor.kind === 'source' ? tensor.format.name : formatLayout(tensor.layout)}`;

/** The file a tensor is in. */
export const fileOf = (tensor: CheckpointTensor): string =>
  tensor.kind === 'packed' ? tensor.source.name : (tensor.slices[0]?.[0]?.source.name ?? 'no file');

/**
 * Makes the slices of a contiguous tensor. `starts` are the byte offsets of its parts in `sources`; `skipRows` leaves out
 * leading rows of each matrix that has `storedRows` of them (for fused tensors). Throws FileFormatError for a shape that no weight has.
 */
export function contiguousSlices(
  format: SourceFormat,
  shape: readonly number[],
  parts: readonly { readonly source: ByteSource; readonly offset: number }[],
  stored: { readonly rows: number; readonly skip: number } = { rows: dimensions(shape).rows, skip: 0 },
): RowSlice[] {
  const problem = shapeProblem(shape);
  if (problem !== undefined)
    throw new FileFormatError(parts[0]?.source.name ?? 'no file', 'a tensor', problem);
  const { matrices, columns } = dimensions(shape);
  const rowBytes = format.rowBytes(columns);
  return Array.from({ length: matrices }, (_, e) =>
    parts.map(({ source, offset }, p) => {
      const bytes = rowBytes[p] ?? 0;
      return { source, offset: offset + (e * stored.rows + stored.skip) * bytes, rowBytes: bytes };
    }),
  );
}

/**
 * Reads rows [first, first + count) of one matrix, in stored order (a row map is not applied), part by part.
 * `buffers` hold the result when given and large enough, so that a loader can reuse memory.
 */
export async function readRows(
  slice: RowSlice,
  first: number,
  count: number,
  buffers: readonly Uint8Array[] = [],
): Promise<Uint8Array[]> {
  return Promise.all(
    slice.map(async (region, p) => {
      const bytes = count * region.rowBytes;
      const buffer = buffers[p];
      const target =
        buffer !== undefined && buffer.byteLength >= bytes
          ? buffer.subarray(0, bytes)
          : new Uint8Array(bytes);
      await readRegion(region, first, count, target);
      return target;
    }),
  );
}

async function readRegion(region: Region, first: number, count: number, target: Uint8Array): Promise<void> {
  const { source, offset, rowBytes, stride = rowBytes, transposed } = region;
  if (transposed !== undefined) return readTransposed(region, first, count, target);
  if (stride === rowBytes) return source.readInto(offset + first * rowBytes, target);
  if (count === 0) return;
  const stored = await source.read(offset + first * stride, (count - 1) * stride + rowBytes);
  for (let row = 0; row < count; row++)
    target.set(stored.subarray(row * stride, row * stride + rowBytes), row * rowBytes);
}

/** Rows of a matrix that is stored by columns: a piece of every stored row, its elements spread over the rows. */
async function readTransposed(
  { source, offset, rowBytes, stride, transposed }: Region,
  first: number,
  count: number,
  target: Uint8Array,
): Promise<void> {
  const elementBytes = transposed?.elementBytes ?? 1;
  const apart = stride ?? elementBytes;
  const columns = rowBytes / elementBytes;
  if (count === 0) return;
  const piece = new Uint8Array((count - 1) * apart + elementBytes);
  for (let column = 0; column < columns; column++) {
    await source.readInto(offset + column * (transposed?.stride ?? 0) + first * apart, piece);
    for (let row = 0; row < count; row++) {
      const at = row * rowBytes + column * elementBytes;
      for (let b = 0; b < elementBytes; b++) target[at + b] = piece[row * apart + b] ?? 0;
    }
  }
}

/** Rows first, first + step, … of each matrix: `count` of them. Those of a vector are its elements. */
export function selectRows(
  tensor: SourceTensor,
  { first, count, step = 1 }: { readonly first: number; readonly count: number; readonly step?: number },
): SourceTensor {
  const column = tensor.shape.length === 1;
  const stored = column ? asColumn(tensor) : tensor;
  const slices = stored.slices.map((slice) =>
    slice.map((region) => {
      const stride = region.stride ?? region.rowBytes;
      const { transposed } = region;
      if (transposed === undefined)
        return {
          ...region,
          offset: region.offset + first * stride,
          ...(step === 1 && region.stride === undefined ? {} : { stride: step * stride }),
        };
      const offset = region.offset + first * transposed.elementBytes;
      return { ...region, offset, stride: step * transposed.elementBytes };
    }),
  );
  const shape = [...stored.shape.slice(0, -2), count, stored.shape.at(-1) ?? 1];
  const selected = { ...stored, shape, slices };
  return column ? { ...selected, shape: [count] } : selected;
}

/** A matrix `[E, N]` of floats as E matrices `[N, 1]`, a vector `[N]` as one: their elements can then be chosen as rows. */
export function asColumn(tensor: SourceTensor): SourceTensor {
  const { columns, rows } = dimensions(tensor.shape);
  const [elementBytes = 0] = tensor.format.rowBytes(1);
  const slices = tensor.slices.flatMap((slice) =>
    Array.from({ length: rows }, (_, row) =>
      slice.map((region) => ({
        source: region.source,
        offset: region.offset + row * region.rowBytes,
        rowBytes: elementBytes,
      })),
    ),
  );
  return { ...tensor, shape: [...tensor.shape.slice(0, -1), columns, 1], slices };
}

/** The matrices of a tensor of floats `[…, K, N]` as `[…, N, K]`. */
export function transposedMatrices(tensor: SourceTensor): SourceTensor {
  const { rows: K, columns: N } = dimensions(tensor.shape);
  const [elementBytes = 0] = tensor.format.rowBytes(1);
  const slices = tensor.slices.map((slice) =>
    slice.map(({ source, offset, rowBytes }) => ({
      source,
      offset,
      rowBytes: K * elementBytes,
      transposed: { elementBytes, stride: rowBytes },
    })),
  );
  return { ...tensor, shape: [...tensor.shape.slice(0, -2), N, K], slices };
}

/**
 * Adds the stacked form of experts that are stored one by one: `PREFIX.experts.E.gate_proj.weight` for E = 0 … n-1 become
 * `PREFIX.experts.gate_proj.weight` `[n, N, K]`. Incomplete or unequal sets are left alone; asking for them then names what
 * is missing.
 */
export function stackExperts(tensors: Map<string, CheckpointTensor>): void {
  const groups = new Map<string, SourceTensor[]>();
  for (const tensor of tensors.values()) {
    const match = expertName(tensor.name);
    if (match === undefined || tensor.kind !== 'source' || tensor.shape.length !== 2) continue;
    const group = groups.get(match.stacked) ?? [];
    group[match.expert] = tensor;
    groups.set(match.stacked, group);
  }
  for (const [name, group] of groups) {
    const first = group[0];
    if (first === undefined || tensors.has(name)) continue;
    const same = (t: SourceTensor | undefined): boolean =>
      t !== undefined && t.format === first.format && t.shape.every((d, i) => d === first.shape[i]);
    // Not every(): that would pass over holes.
    if (!Array.from(group).every(same)) continue;
    const slices = group.flatMap((t) => t.slices);
    tensors.set(name, { ...first, name, shape: [group.length, ...first.shape], slices });
  }
}

/** Splits the name of one expert's matrix: its number, and the name of the stack. */
export function expertName(name: string): { readonly expert: number; readonly stacked: string } | undefined {
  const match = /^(.*\.experts)\.(\d{1,5})\.(\w+_proj\.weight)$/.exec(name);
  return match === null ? undefined : { expert: Number(match[2]), stacked: `${match[1]}.${match[3]}` };
}

/** Throws missing_tensor that names the tensor and the file. */
export function missingTensor(file: string, name: string, names: Iterable<string>): never {
  const last = name.split('.').slice(-2).join('.');
  const similar = [...names].filter((other) => other.endsWith(last)).slice(0, 3);
  const hint = similar.length === 0 ? '' : `; it has ${similar.join(', ')}`;
  throw new IngotError('missing_tensor', `${file}: tensor ${name} is missing${hint}`, {
    details: { file, name },
  });
}
