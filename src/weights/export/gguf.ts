// Tensors of a model as a GGUF file.

import { f32 } from '../../quant/formats/float.ts';
import { writeAtomically } from '../atomic-file.ts';
import { type GgufContent, type WritableTensor, type WritableValue, writeGguf } from '../gguf/writer.ts';
import type { ExportProgress } from './progress.ts';
import { encodedPieces, piecesOf } from './rows.ts';
import { isVector, type StoredTensor } from './stored.ts';

/** Vectors are f32 in GGUF, whatever was planned. */
const ggufTensor = (stored: StoredTensor): StoredTensor =>
  isVector(stored) ? { ...stored, format: f32 } : stored;

/** The file as the writer of GGUF takes it. */
export const ggufFile = (
  tensors: readonly StoredTensor[],
  metadata: Readonly<Record<string, WritableValue>>,
  progress: ExportProgress,
): GgufContent => ({
  metadata,
  tensors: tensors.map((tensor): WritableTensor => {
    const stored = ggufTensor(tensor);
    const { name, shape, format } = stored;
    return { name, shape, format, data: () => dataOf(stored, progress) };
  }),
});

/** Writes the tensors with `metadata`, whole or not at all. Rejects with disk_full when there is no room. */
export async function writeGgufExport(
  path: string,
  tensors: readonly StoredTensor[],
  metadata: Readonly<Record<string, WritableValue>>,
  progress: ExportProgress,
): Promise<void> {
  const content = ggufFile(tensors, metadata, progress);
  await writeAtomically(path, (sink) => writeGguf(sink, content));
}

async function* dataOf(stored: StoredTensor, progress: ExportProgress): AsyncGenerator<Uint8Array> {
  if (isVector(stored)) {
    for await (const { values } of piecesOf(stored))
      yield new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    return progress.done(stored);
  }
  for await (const [bytes] of encodedPieces(stored, { encode: progress.encode })) {
    progress.check();
    if (bytes !== undefined) yield bytes;
  }
  progress.done(stored);
}
