// The experts of a checkpoint, layer by layer, and how the matrices of one expert lie in a block: one after the other, in memory
// as in files that were written for it.

import { type ExpertPart, expertParts } from '../device/expert-stream.ts';
import type { Checkpoint } from './checkpoint.ts';
import { loadedBytes } from './chunks.ts';
import { type CheckpointTensor, dimensions } from './tensor.ts';

/** Blocks are whole pages of this, and so is where `down` starts in one: the finest a disk reads past the page cache. */
export const blockAlignment = 4096;

const aligned = (bytes: number, to: number): number => Math.ceil(bytes / to) * to;

/** Tensors of the experts of one layer, each a stack `[E, N, K]`. */
export interface ExpertTensors {
  /** Of the layer: `model.layers.3`. */
  readonly name: string;
  readonly tensors: Readonly<Record<ExpertPart, CheckpointTensor>>;
}

const stackName = /^(.+)\.mlp\.experts\.(gate|up|down)_proj\.weight$/;

/** Layer and part of a stack's tensor. */
export function expertStackName(
  name: string,
): { readonly layer: string; readonly part: ExpertPart } | undefined {
  const match = stackName.exec(name);
  return match === null ? undefined : { layer: match[1] as string, part: match[2] as ExpertPart };
}

/** The layers that have experts, in the order of the layers. */
export function expertTensors(
  checkpoint: Pick<Checkpoint, 'tensors' | 'describe'>,
): readonly ExpertTensors[] {
  const layers = new Map<string, Partial<Record<ExpertPart, CheckpointTensor>>>();
  for (const name of checkpoint.tensors) {
    const found = expertStackName(name);
    if (found === undefined) continue;
    const parts = layers.get(found.layer) ?? {};
    parts[found.part] = checkpoint.describe(name);
    layers.set(found.layer, parts);
  }
  const number = (name: string): number => Number(/(\d+)$/.exec(name)?.[1] ?? 0);
  return [...layers]
    .filter(([, tensors]) => expertParts.every((part) => tensors[part] !== undefined))
    .map(([name, tensors]) => ({ name, tensors: tensors as Record<ExpertPart, CheckpointTensor> }))
    .toSorted((a, b) => number(a.name) - number(b.name));
}

/** Where each matrix of an expert starts in its block, how long it is, and the bytes of the block. */
export function blockOf({ tensors }: ExpertTensors): {
  readonly bytes: number;
  readonly offsets: Readonly<Record<ExpertPart, number>>;
  readonly sizes: Readonly<Record<ExpertPart, number>>;
} {
  const each = (part: ExpertPart): number =>
    loadedBytes(tensors[part]) / dimensions(tensors[part].shape).matrices;
  const sizes = { gate: each('gate'), up: each('up'), down: each('down') };
  const up = aligned(sizes.gate, 64);
  const down = aligned(up + sizes.up, blockAlignment);
  return {
    bytes: aligned(down + sizes.down, blockAlignment),
    offsets: { gate: 0, up, down },
    sizes,
  };
}
