// Tensors of a model put together as files have them.

import { IngotError } from '../../base/errors.ts';
import type { SourceFormat } from '../../quant/format.ts';
import type { PlannedTensor } from '../../weights/export/plan.ts';
import { type CheckpointTensor, dimensions } from '../../weights/tensor.ts';
import type { DecoderConfig } from '../config/decoder.ts';
import type { ModelConfig } from '../contract.ts';
import { type Fusion, fusions, type TensorName } from './names.ts';

/** One tensor of a file: `tensors` one below the other, by the canonical name of what they make. */
export interface Fused {
  readonly name: string;
  readonly tensors: readonly CheckpointTensor[];
  readonly format: SourceFormat;
}

/** The planned tensors, those of each fusion as one. Throws shape_mismatch where parts are missing. */
export function fuse(plan: readonly PlannedTensor[], wanted: readonly Fusion[]): Fused[] {
  const byName = new Map(plan.map((planned) => [planned.tensor.name, planned]));
  const done: Fused[] = [];
  for (const { tensor, format } of plan) {
    const place = placeOf(tensor.name, wanted);
    if (place === undefined) done.push({ name: tensor.name, tensors: [tensor], format });
    if (place === undefined || place.index > 0) continue;
    const parts = place.names.map(
      (name) =>
        byName.get(name) ??
        fail(`${tensor.name} is stored together with ${name}, which the model does not have`),
    );
    // The widest format, where they were given different ones.
    const widest = parts.reduce((a, b) => (bytes(b) > bytes(a) ? b : a));
    done.push({ name: place.name, tensors: parts.map((part) => part.tensor), format: widest.format });
  }
  return done;
}

/** What a tensor is a part of, and the names of all its parts. */
function placeOf(
  tensor: string,
  wanted: readonly Fusion[],
): { readonly name: string; readonly names: readonly string[]; readonly index: number } | undefined {
  for (const fusion of wanted) {
    const modules: readonly string[] = fusions[fusion];
    const index = modules.findIndex((module) => tensor.includes(`.${module}.`));
    const module = modules[index];
    if (module === undefined) continue;
    const names = modules.map((other) => tensor.replace(module, other));
    return { name: tensor.replace(module, fusion), names, index };
  }
  return undefined;
}

/** Of a row that all of them fill. */
function bytes({ tensor, format }: PlannedTensor): number {
  const { columns } = dimensions(tensor.shape);
  return format.rowBytes(columns).reduce((sum, n) => sum + n, 0);
}

function fail(message: string): never {
  throw new IngotError('missing_tensor', message);
}

/** Shape of the parts together; vectors have the one that `shapeOf` says, biases of experts a row for each. */
export function storedShape(
  { module, kind }: TensorName,
  tensors: readonly CheckpointTensor[],
  config: ModelConfig,
  shapeOf?: (local: string, length: number, config: ModelConfig) => readonly number[] | undefined,
): readonly number[] {
  const [first] = tensors;
  if (first === undefined) return [];
  const rows = tensors.reduce((sum, { shape }) => sum + (shape.at(-2) ?? 0), 0);
  if (first.shape.length > 1) return [...first.shape.slice(0, -2), rows, first.shape.at(-1) ?? 0];
  const length = tensors.reduce((sum, { shape }) => sum + (shape[0] ?? 0), 0);
  const experts = /^mlp\.experts\.\w+$/.test(module) && kind === 'bias' ? expertCount(config) : undefined;
  return experts === undefined
    ? (shapeOf?.(`${module}.${kind}`, length, config) ?? [length])
    : [experts, length / experts];
}

function expertCount(config: ModelConfig): number | undefined {
  const { layers = [] } = config as Partial<DecoderConfig>;
  const moe = layers.map(({ feedForward }) => feedForward).find(({ kind }) => kind === 'moe');
  return moe?.kind === 'moe' ? moe.numExperts : undefined;
}
