// The work of loading: tensors in pieces, read into a few reused buffers and packed into device buffers, several at a time.

import { FileFormatError } from '../base/errors.ts';
import { Turns } from '../base/turn.ts';
import type { PackRequest } from '../device/cpu/pack.ts';
import type { Device, DeviceBuffer } from '../device/device.ts';
import type { SourceFormat } from '../quant/format.ts';
import { neutralCode, neutralFormat, toNeutral } from '../quant/neutral.ts';
import { packReference } from '../quant/reference.ts';
import { sourceFormatOf } from '../quant/registry.ts';
import {
  type Chunk,
  chunkBytes,
  chunksOf,
  readChunk,
  readMatrix,
  readVector,
  smallChunkBytes,
  storedBytes,
} from './chunks.ts';
import { type CheckpointTensor, dimensions, fileOf, matrixOffset, type PackedTensor } from './tensor.ts';

/** Packs source rows into panels inside a device buffer: the native packer, or `packOn`. */
export type PackInto = (request: PackRequest) => Promise<void>;

/** A tensor and the buffer it goes into. */
export interface LoadJob {
  readonly tensor: CheckpointTensor;
  readonly buffer: DeviceBuffer;
  /** A matrix as f32 row by row, not in panels. */
  readonly floats?: true;
  /** Of `floats`: values are whole numbers below this. */
  readonly below?: number;
}

export interface LoadJobOptions {
  /** The native packer; without it `packReference` and `device.write`. */
  readonly packInto?: PackInto;
  readonly signal?: AbortSignal;
  /** Bytes of the source files that are done, out of all. */
  readonly onProgress?: (progress: { readonly bytesDone: number; readonly bytesTotal: number }) => void;
  /** Pieces read and packed at the same time (default 4). */
  readonly parallel?: number;
}

type Work =
  | { readonly kind: 'chunk'; readonly chunk: Chunk; readonly job: LoadJob }
  | { readonly kind: 'whole'; readonly job: LoadJob };

/** The order of the files: what reads ahead then reads what is needed next. */
function byPlace(a: LoadJob, b: LoadJob): number {
  const [x, y] = [a, b].map(({ tensor }) => (tensor.kind === 'packed' ? tensor : tensor.slices[0]?.[0]));
  if (x === undefined || y === undefined || x.source === y.source) return (x?.offset ?? 0) - (y?.offset ?? 0);
  return x.source.name < y.source.name ? -1 : 1;
}

function* workOf(jobs: readonly LoadJob[], maxBytes: number): Generator<Work> {
  for (const job of jobs.toSorted(byPlace)) {
    const { tensor } = job;
    if (tensor.kind === 'source' && tensor.shape.length > 1 && !job.floats) {
      const bytes = tensor.format.code === undefined ? smallChunkBytes : maxBytes; // decoded on this thread
      for (const chunk of chunksOf(tensor, bytes)) yield { kind: 'chunk', chunk, job };
    } else {
      yield { kind: 'whole', job };
    }
  }
}

/** Works through all pieces with a few workers, each with its own read buffers: they are the bound of the read-ahead. */
export async function runJobs(
  jobs: readonly LoadJob[],
  device: Device,
  options: LoadJobOptions,
): Promise<void> {
  const bytesTotal = jobs.reduce((sum, { tensor }) => sum + storedBytes(tensor), 0);
  const packInto = options.packInto ?? packOn(device);
  const queue = workOf(jobs, options.packInto ? chunkBytes : smallChunkBytes);
  let bytesDone = 0;
  let failed = false;
  const worker = async (): Promise<void> => {
    const buffers: Uint8Array[] = [];
    for (const work of queue) {
      if (failed) return;
      options.signal?.throwIfAborted();
      const bytes = await perform(work, device, packInto, buffers);
      bytesDone += bytes; // after the await: other workers add too
      options.onProgress?.({ bytesDone, bytesTotal });
    }
  };
  // Every worker ends before this returns: none may write into a buffer that is then released.
  const workers = Array.from({ length: options.parallel ?? 4 }, () =>
    worker().catch((error: unknown) => {
      failed = true;
      throw error;
    }),
  );
  const results = await Promise.allSettled(workers);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
  options.signal?.throwIfAborted();
}

/** Does one piece; returns the source bytes it covered. */
async function perform(
  work: Work,
  device: Device,
  packInto: PackInto,
  buffers: Uint8Array[],
): Promise<number> {
  const { tensor, buffer } = work.job;
  if (work.kind === 'whole') {
    if (work.job.floats) device.write(buffer, 0, checkIndices(work.job, await readMatrix(tensor)));
    else if (tensor.kind === 'packed' && tensor.shape.length > 1) await copyPacked(tensor, device, buffer);
    else device.write(buffer, 0, await readVector(tensor));
    return storedBytes(tensor);
  }
  const { chunk } = work;
  const { format } = chunk.tensor;
  const columns = dimensions(chunk.tensor.shape).columns;
  const rowBytes = format.rowBytes(columns);
  rowBytes.forEach((bytes, p) => {
    if ((buffers[p]?.byteLength ?? 0) < bytes * chunk.rows) buffers[p] = new Uint8Array(bytes * chunk.rows);
  });
  const { source, parts } = nativeParts(format, await readChunk(chunk, buffers), chunk.rows, columns);
  await packInto({
    target: buffer,
    offset: chunk.destination,
    byteLength: chunk.bytes,
    source,
    parts,
    rows: chunk.rows,
    columns,
    layout: format.layout,
    rowMap: chunk.rowMap,
  });
  return rowBytes.reduce((sum, bytes) => sum + bytes * chunk.rows, 0);
}

/** The values; throws bad_file for one that is no index where they must be. */
function checkIndices({ tensor, below }: LoadJob, values: Float32Array): Float32Array {
  if (below === undefined) return values;
  const wrong = values.find((value) => !(Number.isInteger(value) && value >= 0 && value < below));
  if (wrong === undefined) return values;
  throw new FileFormatError(
    fileOf(tensor),
    tensor.name,
    `holds ${wrong}, must be whole numbers from 0 to ${below - 1}`,
  );
}

async function copyPacked(tensor: PackedTensor, device: Device, buffer: DeviceBuffer): Promise<void> {
  const { matrices } = dimensions(tensor.shape);
  const pieces = tensor.stride === undefined ? 1 : matrices;
  const bytes = tensor.bytes / pieces;
  for (let i = 0; i < pieces; i++) {
    const from = matrixOffset(tensor, i);
    for (let done = 0; done < bytes; done += chunkBytes) {
      const length = Math.min(chunkBytes, bytes - done);
      device.write(buffer, i * bytes + done, await tensor.source.read(from + done, length));
    }
  }
}

/** Rows as a packer takes them: as they are, or in the neutral form where it has no reader of the format. */
export function nativeParts(
  format: SourceFormat,
  parts: readonly Uint8Array[],
  rows: number,
  columns: number,
): { readonly source: number; readonly parts: readonly Uint8Array[] } {
  if (format.code !== undefined) return { source: format.code, parts };
  return { source: neutralCode, parts: toNeutral(format, parts, rows, columns) };
}

/** The plain-TypeScript packer for a device. It lets the event loop turn. */
export const packOn = (device: Device): PackInto => {
  const turns = new Turns();
  return async ({ target, offset, source, parts, rows, columns, layout, rowMap }) => {
    await turns.next();
    const format = source === neutralCode ? neutralFormat(layout) : sourceFormatOf(source, layout);
    device.write(target, offset, packReference(format, parts, rows, columns, rowMap));
  };
};
