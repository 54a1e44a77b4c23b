// Makes a packed file out of any checkpoint: every tensor in the layout its format is packed into, experts stacked,
// vectors as f32, tokenizer files embedded.

import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { IngotError } from '../../base/errors.ts';
import type { Device } from '../../device/device.ts';
import { expertParts } from '../../device/expert-stream.ts';
import type { SourceFormat } from '../../quant/format.ts';
import { layoutOf, packedBytes, type WeightLayout } from '../../quant/layout.ts';
import { packReference, type RowMap } from '../../quant/reference.ts';
import { pad, type Sink, writeAtomically } from '../atomic-file.ts';
import type { Checkpoint } from '../checkpoint.ts';
import { chunkBytes, chunksOf, loadedBytes, readChunk, readVector, smallChunkBytes } from '../chunks.ts';
import { blockOf, type ExpertTensors, expertTensors } from '../experts.ts';
import { nativeParts, type PackInto } from '../load-jobs.ts';
import type { ByteSource } from '../source.ts';
import { type CheckpointTensor, dimensions, expertName, matrixOffset } from '../tensor.ts';
import {
  encodeHeader,
  metadataFile,
  type PackedHeader,
  type PackedTensorEntry,
  pageAlignment,
  type SourceFile,
  versionOf,
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
  /**
   * Experts as blocks, each with the matrices of one expert, that are read with one request: `blocks` in the file with everything
   * else, `alone` in a file beside the model that has the rest.
   */
  readonly experts?: 'blocks' | 'alone';
}

/**
 * Writes the packed form of a checkpoint to `path`, whole or not at all.
 * Rejects with disk_full, with the signal's reason, or with invalid_argument for a checkpoint that is packed already, unless its
 * experts become blocks.
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
  if (checkpoint.kind === 'packed' && options.experts === undefined) {
    throw new IngotError('invalid_argument', `${checkpoint.path}: is a packed file already`);
  }
  const alone = options.experts === 'alone';
  const tensors = packableTensors(checkpoint);
  const items = itemsOf(checkpoint, tensors, options.experts);
  const files = alone ? [] : await embeddedFiles(checkpoint);
  const plan = planData(items, files);
  const source = {
    kind: checkpoint.kind,
    name: basename(checkpoint.path),
    fingerprint: await fingerprint(checkpoint, tensors),
    ...(alone ? { files: await sourceFiles(sourcesOf(tensors)) } : {}),
  };
  const header: PackedHeader = {
    config: alone ? {} : checkpoint.config,
    source,
    files: plan.files,
    tensors: plan.tensors,
  };
  await sink.write(await encodeHeader(header, plan.bytes, versionOf(header)));
  const start = sink.position;
  const progress = (): void => {
    options.signal?.throwIfAborted();
    options.onProgress?.({ bytesDone: sink.position - start, bytesTotal: plan.bytes });
  };
  for (const { bytes } of files) {
    await sink.write(bytes);
    await pad(sink, 64);
  }
  const pack = options.pack ?? packReference;
  for (const item of items) {
    if (item.kind === 'experts') {
      await pad(sink, pageAlignment);
      await writeBlocks(sink, item.layer, pack, progress);
    } else {
      if (item.tensor.shape.length > 1) await pad(sink, pageAlignment);
      await writeTensor(sink, item.tensor, pack, progress);
      await pad(sink, 64);
    }
  }
  progress();
}

/** What is written as one piece: a tensor, or the experts of a layer. */
type Item =
  | { readonly kind: 'tensor'; readonly tensor: CheckpointTensor }
  | { readonly kind: 'experts'; readonly layer: ExpertTensors };

/** Throws unsupported for a model that has no experts where they are asked for. */
function itemsOf(
  checkpoint: Checkpoint,
  tensors: readonly CheckpointTensor[],
  experts: PackOptions['experts'],
): readonly Item[] {
  const layers = experts === undefined ? [] : expertTensors(checkpoint);
  if (experts !== undefined && layers.length === 0)
    throw new IngotError('unsupported', `${checkpoint.path}: has no experts`);
  const inBlocks = new Set(layers.flatMap((layer) => expertParts.map((part) => layer.tensors[part].name)));
  const others = tensors.filter(({ name }) => !inBlocks.has(name));
  return [
    ...(experts === 'alone' ? [] : others.map((tensor) => ({ kind: 'tensor', tensor }) as const)),
    ...layers.map((layer) => ({ kind: 'experts', layer }) as const),
  ];
}

/** The experts of a layer, one after the other: gate, up and down of each. */
async function writeBlocks(
  sink: Sink,
  layer: ExpertTensors,
  pack: PackRows,
  progress: () => void,
): Promise<void> {
  const { bytes, offsets } = blockOf(layer);
  const start = sink.position;
  const { matrices } = dimensions(layer.tensors.gate.shape);
  for (let e = 0; e < matrices; e++) {
    for (const part of expertParts) {
      await fill(sink, start + e * bytes + offsets[part]);
      await writeTensor(sink, oneOf(layer.tensors[part], e), pack, progress);
    }
    await fill(sink, start + (e + 1) * bytes);
  }
}

/** Zeros up to a position. */
async function fill(sink: Sink, position: number): Promise<void> {
  if (position > sink.position) await sink.write(new Uint8Array(position - sink.position));
}

/** Matrix `index` of a stack as a tensor of its own. */
function oneOf(tensor: CheckpointTensor, index: number): CheckpointTensor {
  const shape = tensor.shape.slice(1);
  if (tensor.kind === 'source') return { ...tensor, shape, slices: tensor.slices.slice(index, index + 1) };
  const { stride: _, ...whole } = tensor;
  return {
    ...whole,
    shape,
    offset: matrixOffset(tensor, index),
    bytes: tensor.bytes / (tensor.shape[0] ?? 1),
  };
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
  if (tensor.kind === 'packed') {
    for (let done = 0; done < tensor.bytes; done += chunkBytes) {
      progress();
      const length = Math.min(chunkBytes, tensor.bytes - done);
      await sink.write(await tensor.source.read(tensor.offset + done, length));
    }
    return;
  }
  const { columns } = dimensions(tensor.shape);
  const small = pack === packReference || tensor.format.code === undefined;
  for (const chunk of chunksOf(tensor, small ? smallChunkBytes : chunkBytes)) {
    progress();
    const parts = await readChunk(chunk);
    await sink.write(await pack(tensor.format, parts, chunk.rows, columns, chunk.rowMap));
  }
}

/** Every tensor once: an expert's own matrix is left out when the stack has it. */
export function packableTensors(checkpoint: Checkpoint): CheckpointTensor[] {
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
  items: readonly Item[],
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
  const layoutIn = (tensor: CheckpointTensor): WeightLayout =>
    tensor.kind === 'source' ? tensor.format.layout : tensor.layout;
  const placed = items.flatMap((item): PackedTensorEntry[] => {
    if (item.kind === 'experts') {
      const { tensors } = item.layer;
      const block = blockOf(item.layer);
      const start = take(block.bytes * dimensions(tensors.gate.shape).matrices, pageAlignment);
      return expertParts.map((part) => ({
        name: tensors[part].name,
        shape: tensors[part].shape,
        layout: layoutIn(tensors[part]),
        offset: start + block.offsets[part],
        bytes: loadedBytes(tensors[part]),
        stride: block.bytes,
      }));
    }
    const { name, shape } = item.tensor;
    const vector = shape.length === 1;
    const bytes = loadedBytes(item.tensor);
    const layout = vector ? layoutOf('f32') : layoutIn(item.tensor);
    return [{ name, shape, layout, offset: take(bytes, vector ? 64 : pageAlignment), bytes }];
  });
  return { files: placedFiles, tensors: placed, bytes: offset };
}

const sampleBytes = 64 * 1024;

/** The files that tensors are in, by name. */
export function sourcesOf(tensors: readonly CheckpointTensor[]): readonly ByteSource[] {
  const sources = new Set<ByteSource>();
  for (const tensor of tensors) {
    if (tensor.kind === 'packed') sources.add(tensor.source);
    else for (const slice of tensor.slices) for (const part of slice) sources.add(part.source);
  }
  return [...sources].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Size and time of the files among sources. */
export async function sourceFiles(sources: readonly ByteSource[]): Promise<readonly SourceFile[]> {
  const files = sources.filter(({ path }) => path !== undefined);
  return Promise.all(
    files.map(async ({ path = '', size }) => ({
      name: basename(path),
      bytes: size,
      modified: Math.floor((await stat(path)).mtimeMs),
    })),
  );
}

/** SHA-256 over name, size, first and last 64 KiB of every source file: tells whether a packed file is of this source. */
export async function fingerprint(
  checkpoint: Checkpoint,
  tensors: readonly CheckpointTensor[] = packableTensors(checkpoint),
): Promise<string> {
  const hash = createHash('sha256').update(checkpoint.kind);
  for (const source of sourcesOf(tensors)) {
    const length = Math.min(sampleBytes, source.size);
    hash.update(`${basename(source.name)} ${source.size}`);
    hash.update(await source.read(0, length));
    hash.update(await source.read(source.size - length, length));
  }
  return hash.digest('hex');
}
