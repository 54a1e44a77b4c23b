// The experts of a checkpoint as a device streams them: an expert's gate, up and down are one block in memory, whichever way
// the file has them.

import { IngotError } from '../base/errors.ts';
import {
  type ExpertPart,
  expertParts,
  type FilePlace,
  type StreamedLayer,
  type StreamedMatrix,
} from '../device/expert-stream.ts';
import { packedBytes } from '../quant/layout.ts';
import { blockOf, type ExpertTensors } from '../weights/experts.ts';
import type { ByteSource } from '../weights/source.ts';
import {
  type CheckpointTensor,
  dimensions,
  formatTensor,
  matrixOffset,
  type RowSlice,
} from '../weights/tensor.ts';

/** Experts of each layer, and bytes of a block. */
export interface ExpertSizes {
  readonly name: string;
  readonly experts: number;
  readonly blockBytes: number;
}

export const expertSizes = (layers: readonly ExpertTensors[]): readonly ExpertSizes[] =>
  layers.map((layer) => ({
    name: layer.name,
    experts: dimensions(layer.tensors.gate.shape).matrices,
    blockBytes: blockOf(layer).bytes,
  }));

/** Collects the files that places are in. */
class Files {
  readonly list: { readonly path: string; readonly byteLength: number }[] = [];
  readonly #index = new Map<string, number>();

  place({ path, size }: ByteSource, offset: number, byteLength: number): FilePlace | undefined {
    if (path === undefined) return undefined;
    let file = this.#index.get(path);
    if (file === undefined) {
      file = this.list.push({ path, byteLength: size }) - 1;
      this.#index.set(path, file);
    }
    return { file, offset, byteLength };
  }
}

/**
 * The layers as a device streams them, and the files they are in. Throws `unsupported`, with what to do, where the file has
 * experts in a form that only the whole of a tensor can be made of.
 */
export function streamedLayers(layers: readonly ExpertTensors[]): {
  readonly files: Files['list'];
  readonly layers: readonly StreamedLayer[];
} {
  const files = new Files();
  return { layers: layers.map((layer) => streamedLayer(layer, files)), files: files.list };
}

function streamedLayer(layer: ExpertTensors, files: Files): StreamedLayer {
  const { bytes, offsets } = blockOf(layer);
  const matrices = Object.fromEntries(
    expertParts.map((part) => [part, streamedMatrix(layer.tensors[part], offsets[part], files)]),
  ) as Record<ExpertPart, StreamedMatrix>;
  return { name: layer.name, experts: matrices.gate.places.length, blockBytes: bytes, matrices };
}

function streamedMatrix(tensor: CheckpointTensor, offset: number, files: Files): StreamedMatrix {
  const { matrices, rows, columns } = dimensions(tensor.shape);
  const layout = tensor.kind === 'packed' ? tensor.layout : tensor.format.layout;
  const byteLength = packedBytes(layout, rows, columns);
  const common = { offset, byteLength, rows, columns, layout };
  if (tensor.kind === 'packed') {
    const places = Array.from({ length: matrices }, (_, e) => {
      const place = files.place(tensor.source, matrixOffset(tensor, e), byteLength);
      return [place ?? refuse(tensor, 'is not in a file')];
    });
    return { ...common, source: undefined, places };
  }
  const { format, rowMap, slices } = tensor;
  if (format.code === undefined) refuse(tensor, 'is in a format that is not read by native code');
  if (rowMap !== undefined) refuse(tensor, 'has its rows in another order');
  const places = slices.map(
    (slice) => slicePlaces(slice, rows, files) ?? refuse(tensor, 'is not in one piece'),
  );
  return { ...common, source: format.code, places };
}

function slicePlaces(slice: RowSlice, rows: number, files: Files): readonly FilePlace[] | undefined {
  const places = slice.map(({ source, offset, rowBytes, stride, transposed }) =>
    transposed !== undefined || (stride !== undefined && stride !== rowBytes)
      ? undefined
      : files.place(source, offset, rows * rowBytes),
  );
  return places.every((place) => place !== undefined) ? places : undefined;
}

function refuse(tensor: CheckpointTensor, why: string): never {
  throw new IngotError(
    'unsupported',
    `${tensor.name} ${formatTensor(tensor)} ${why}, so its experts cannot be read one by one: write them with ` +
      '`ingot pack --experts` and load that file',
    { details: { name: tensor.name } },
  );
}
