// The output head of a model whose config says that it is the embedding, where the file has a matrix for it as well.

import type { CheckpointParts } from '../../weights/parts.ts';
import { type CheckpointTensor, dimensions, readRows, type SourceTensor } from '../../weights/tensor.ts';
import { embeddingName, headName } from '../blocks/names.ts';

/** Bytes of each matrix that are compared at a time. */
const pieceBytes = 2 ** 20;

/**
 * What a file says of the head that its config ties to the embedding: a copy of the embedding is left out, and a matrix of
 * other values is the head, since somebody has trained it. Rejects with FileFormatError when it cannot be read.
 */
export async function withOwnHead(
  parts: CheckpointParts,
  onNotice: (text: string) => void,
): Promise<CheckpointParts> {
  const { tensors, config, path } = parts;
  const head = tensors.get(`${headName}.weight`);
  const embedding = tensors.get(`${embeddingName}.weight`);
  if (head === undefined || embedding === undefined) return parts;
  if (isSource(head) && isSource(embedding) && (await sameValues(head, embedding))) {
    const others = new Map(tensors);
    others.delete(head.name);
    const unusable = new Map(parts.unusable).set(head.name, 'is a copy of the embedding');
    return { ...parts, tensors: others, unusable };
  }
  onNotice(
    `${path}: its config ties the output head to the embedding, but the file has another ${head.name}, which is used`,
  );
  return { ...parts, config: { ...config, tie_word_embeddings: false } };
}

/**
 * A model that was saved without its head makes embeddings: the embedding stands in for the head, and nothing is generated.
 * `headless` is a field of Ingot's own, which a packed file keeps.
 */
export function withoutHead(parts: CheckpointParts): CheckpointParts {
  if (parts.tensors.has(`${headName}.weight`) || parts.unusable?.has(`${headName}.weight`)) return parts;
  return { ...parts, config: { ...parts.config, tie_word_embeddings: true, headless: true } };
}

const isSource = (tensor: CheckpointTensor): tensor is SourceTensor => tensor.kind === 'source';

async function sameValues(a: SourceTensor, b: SourceTensor): Promise<boolean> {
  const [x, y] = [a.slices[0], b.slices[0]];
  if (x === undefined || y === undefined || a.format !== b.format || String(a.shape) !== String(b.shape))
    return false;
  const { rows } = dimensions(a.shape);
  const rowBytes = x.reduce((sum, region) => sum + region.rowBytes, 0);
  const step = Math.max(1, Math.floor(pieceBytes / rowBytes));
  for (let first = 0; first < rows; first += step) {
    const count = Math.min(step, rows - first);
    const [left, right] = await Promise.all([readRows(x, first, count), readRows(y, first, count)]);
    if (!left.every((bytes, part) => sameBytes(bytes, right[part]))) return false;
  }
  return true;
}

const sameBytes = (a: Uint8Array, b: Uint8Array | undefined): boolean =>
  b !== undefined && a.byteLength === b.byteLength && a.every((byte, i) => byte === b[i]);
