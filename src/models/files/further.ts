// Modules that predict further tokens (multi-token prediction, https://arxiv.org/abs/2412.19437): files have them as layers behind the
// last one, or by names of their own. The model runs without them; they stay readable as `model.mtp.NUMBER.…`.

import { IngotError } from '../../base/errors.ts';
import type { CheckpointTensor } from '../../weights/tensor.ts';
import type { TensorName } from './names.ts';

/** The name of a tensor of a layer behind the last of `layers`; undefined for those of the model. */
export function furtherName(name: TensorName, layers: number): TensorName | undefined {
  const beyond = Number(/\d+/.exec(name.layer)?.[0] ?? 0) - layers;
  // What stands outside of layers in the model stands inside of the module.
  return beyond < 0
    ? undefined
    : { ...name, layer: `model.mtp.${beyond}.`, module: name.module.replace(/^model\./, '') };
}

/** Throws shape_mismatch for a tensor that no layer of the model has in that shape, though some have one of its name. */
export function checkFurther(
  path: string,
  tensors: ReadonlyMap<string, CheckpointTensor>,
  further: ReadonlyMap<string, CheckpointTensor>,
): void {
  if (further.size === 0) return;
  const shapes = new Map<string, Set<string>>();
  for (const [name, { shape }] of tensors) {
    const local = name.replace(/^model\.(?:layers\.\d+\.)?/, '');
    shapes.set(local, (shapes.get(local) ?? new Set()).add(`[${shape.join(', ')}]`));
  }
  for (const [name, { shape }] of further) {
    const known = shapes.get(name.replace(/^model\.mtp\.\d+\./, ''));
    const found = `[${shape.join(', ')}]`;
    if (known !== undefined && !known.has(found)) {
      const expected = [...known].join(' or ');
      throw new IngotError(
        'shape_mismatch',
        `${path}: tensor ${name} is ${found}, must be ${expected} as in the model's layers`,
      );
    }
  }
}
