// Planned tensors as a GGUF file.

import type { SourceFormat } from '../../quant/format.ts';
import { f32 } from '../../quant/formats/float.ts';
import { writeAtomically } from '../atomic-file.ts';
import { type WritableTensor, type WritableValue, writeGguf } from '../gguf/writer.ts';
import type { CheckpointTensor } from '../tensor.ts';
import type { PlannedTensor } from './plan.ts';
import type { ExportProgress } from './progress.ts';
import { encodedPieces, piecesOf } from './rows.ts';

/** How a tensor is called in the file, and the order of its rows there: `order[i]` is the row that comes i-th. */
export interface GgufPlace {
  readonly name: string;
  readonly order?: Int32Array | undefined;
}

/** Writes the planned tensors with `metadata`, whole or not at all. Rejects with what `place` throws, and with disk_full. */
export async function writeGgufExport(
  path: string,
  plan: readonly PlannedTensor[],
  place: (tensor: CheckpointTensor) => GgufPlace,
  metadata: Readonly<Record<string, WritableValue>>,
  progress: ExportProgress,
): Promise<void> {
  const tensors = plan.map((planned): WritableTensor => {
    const { tensor } = planned;
    const format = tensor.shape.length === 1 ? f32 : planned.format;
    const { name, order } = place(tensor);
    return { name, shape: tensor.shape, format, data: () => dataOf(tensor, order, format, progress) };
  });
  await writeAtomically(path, (sink) => writeGguf(sink, { metadata, tensors }));
}

async function* dataOf(
  tensor: CheckpointTensor,
  order: Int32Array | undefined,
  format: SourceFormat,
  progress: ExportProgress,
): AsyncGenerator<Uint8Array> {
  if (tensor.shape.length === 1) {
    for await (const { values } of piecesOf(tensor)) {
      const ordered = order === undefined ? values : Float32Array.from(order, (row) => values[row] as number);
      yield new Uint8Array(ordered.buffer, ordered.byteOffset, ordered.byteLength);
    }
    return progress.done(tensor);
  }
  for await (const [bytes] of encodedPieces(tensor, format, { order })) {
    progress.check();
    if (bytes !== undefined) yield bytes;
  }
  progress.done(tensor);
}
