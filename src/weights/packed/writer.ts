// Makes a packed file out of any checkpoint: every tensor in the layout its format is packed into, experts stacked,
// vectors as f32, tokenizer files embedded.

import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import { IngotError } from '../../base/errors.ts';
import type { Device } from '../../device/device.ts';
import type { SourceFormat } from '../../quant/format.ts';
import { layoutOf, packedBytes } from '../../quant/layout.ts';
import { packReference, type RowMap } from '../../quant/reference.ts';
import { pad, type Sink, writeAtomically } from '../atomic-file.ts';
import type { Checkpoint } from '../checkpoint.ts';
import { chunkBytes, chunksOf, loadedBytes, readChunk, readVector, smallChunkBytes } from '../chunks.ts';
import { nativeParts, type PackInto } from '../load-jobs.ts';
import type { ByteSource } from '../source.ts';
import { type CheckpointTensor, dimensions, expertName } from '../tensor.ts';
import {
  encodeHeader,
  metadataFile,
  type PackedHeader,
  type PackedTensorEntry,
  pageAlignment,
} from './format.ts';
import { encodeMetadata } from './open.ts';

/** Packs whole rows into panels: `packReference`, or the native packer behind the same signature. */
export type PackRows = (
  format: SourceFormat,
  parts: readonly Uint8Array[],
  rows: number,
  K: number,
  rowMap: RowMap | undefined,
) => Uint8Array | Promise<Uint8Array>;

/** A device's packer as `PackRows`: packs into a buffer of the device and reads it back. */
export const packThrough =
  (device: Device, packInto: PackInto): PackRows =>
  async (format, parts, rows, columns, rowMap) => {
    const byteLength = packedBytes(format.layout, rows, columns);
    const target = device.allocate(byteLength, `packing ${format.name}`);
    try {
      const native = nativeParts(format, parts, rows, columns);
      await packInto({
        target,
        offset: 0,
        byteLength,
        ...native,
        rows,
        columns,
        layout: format.layout,
        rowMap,
      });
      return await device.read(target, 0, byteLength);
    } finally {
      target.dispose();
    }
  };

export interface PackOptions {
  readonly pack?: PackRows;
  readonly onProgress?: (progress: { readonly bytesDone: number; readonly bytesTotal: number }) => void;
  readonly signal?: AbortSignal;
}

/**
 * Writes the packed form of a checkpoint to `path`, whole or not at all.
 * Rejects with disk_full, with the signal's reason, or with invalid_argument for a checkpoint that is packed already.
 */
export async function writePackedFile(
  path: string,
  checkpoint: Checkpoint,
  options: PackOptions = {},
): Promise<void> {
  await writeAtomically(path, (sink) => writePacked(sink, checkpoint, options));
}

export async function writePacked(
  sink: Sink,
  checkpoint: Checkpoint,
  options: PackOptions = {},
): Promise<void> {
  if (checkpoint.kind === 'packed') {
    throw new IngotError('invalid_argument', `${checkpoint.path}: is a packed file already`);
  }
  const tensors = packableTensors(checkpoint);
  const files = await embeddedFiles(checkpoint);
  const plan = planData(tensors, files);
  const source = {
    kind: checkpoint.kind,
    name: basename(checkpoint.path),
    fingerprint: await fingerprint(checkpoint, tensors),
  };
  const header: PackedHeader = {
    config: checkpoint.config,
    source,
    files: plan.files,
    tensors: plan.tensors,
  };
  await sink.write(await encodeHeader(header, plan.bytes));
  const start = sink.position;
  const progress = (): void => {
    options.signal?.throwIfAborted();
    options.onProgress?.({ bytesDone: sink.position - start, bytesTotal: plan.bytes });
  };
  for (const { bytes } of files) {
    await sink.write(bytes);
    await pad(sink, 64);
  }
  for (const tensor of tensors) {
    if (tensor.shape.length > 1) await pad(sink, pageAlignment);
    await writeTensor(sink, tensor, options.pack ?? packReference, progress);
    await pad(sink, 64);
  }
  progress();
}

async function writeTensor(
  sink: Sink,
  tensor: CheckpointTensor,
  pack: PackRows,
  progress: () => void,
): Promise<void> {
  if (tensor.shape.length === 1) {
    const values = await readVector(tensor);
    await sink.write(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    return;
  }
  if (tensor.kind === 'packed') return;
  const { columns } = dimensions(tensor.shape);
  const small = pack === packReference || tensor.format.code === undefined;
  for (const chunk of chunksOf(tensor, small ? smallChunkBytes : chunkBytes)) {
    progress();
    const parts = await readChunk(chunk);
    await sink.write(await pack(tensor.format, parts, chunk.rows, columns, chunk.rowMap));
  }
}

/** Every tensor once: an expert's own matrix is left out when the stack has it. */
function packableTensors(checkpoint: Checkpoint): CheckpointTensor[] {
  return checkpoint.tensors
    .filter((name) => {
      const expert = expertName(name);
      return expert === undefined || !checkpoint.has(expert.stacked);
    })
    .map((name) => checkpoint.describe(name));
}

interface EmbeddedFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

async function embeddedFiles(checkpoint: Checkpoint): Promise<EmbeddedFile[]> {
  const files: EmbeddedFile[] = [];
  for (const name of checkpoint.files) {
    const bytes = await checkpoint.readFile(name);
    if (bytes !== undefined) files.push({ name, bytes });
  }
  if (checkpoint.metadata !== undefined)
    files.push({ name: metadataFile, bytes: encodeMetadata(checkpoint.metadata) });
  return files;
}

/** Where everything goes, from the start of the data. */
function planData(
  tensors: readonly CheckpointTensor[],
  files: readonly EmbeddedFile[],
): { files: PackedHeader['files']; tensors: PackedTensorEntry[]; bytes: number } {
  let offset = 0;
  const take = (bytes: number, alignment: number): number => {
    const at = Math.ceil(offset / alignment) * alignment;
    offset = Math.ceil((at + bytes) / 64) * 64;
    return at;
  };
  const placedFiles = files.map(({ name, bytes }) => ({
    name,
    offset: take(bytes.byteLength, 64),
    bytes: bytes.byteLength,
  }));
  const placed = tensors.map((tensor) => {
    const { name, shape } = tensor;
    const vector = shape.length === 1;
    const own = tensor.kind === 'source' ? tensor.format.layout : tensor.layout;
    const bytes = loadedBytes(tensor);
    const layout = vector ? layoutOf('f32') : own;
    return { name, shape, layout, offset: take(bytes, vector ? 64 : pageAlignment), bytes };
  });
  return { files: placedFiles, tensors: placed, bytes: offset };
}

const sampleBytes = 64 * 1024;

/** SHA-256 over name, size, first and last 64 KiB of every source file: tells whether a packed file is of this source. */
async function fingerprint(checkpoint: Checkpoint, tensors: readonly CheckpointTensor[]): Promise<string> {
  const sources = new Set<ByteSource>();
  for (const tensor of tensors) {
    if (tensor.kind === 'source')
      for (const slice of tensor.slices) for (const part of slice) sources.add(part.source);
  }
  const hash = createHash('sha256').update(checkpoint.kind);
  for (const source of [...sources].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const length = Math.min(sampleBytes, source.size);
    hash.update(`${basename(source.name)} ${source.size}`);
    hash.update(await source.read(0, length));
    hash.update(await source.read(source.size - length, length));
  }
  return hash.digest('hex');
}
