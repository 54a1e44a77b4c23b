// Tensors that a file has and the model has not asked for: an error where they would change what a layer computes, else a notice.

import { IngotError } from '../../base/errors.ts';
import type { Checkpoint } from '../../weights/checkpoint.ts';
import { layerNames } from '../blocks/names.ts';
import { splitName, type TensorName } from './names.ts';

const inLayer = /^model\.layers\.(\d+)\.(.+)$/;
/** Experts are known by the module of all of them. */
const moduleOf = ({ module }: TensorName): string => module.replace(/\.experts\.\d+\./, '.experts.');

/** The modules that blocks know, whether or not a model has them. */
const blockModules: readonly string[] = [
  ...texts(layerNames(0)),
  ...(['gate', 'up', 'down'] as const).map(layerNames(0).moe.stacked),
].map((name) => moduleOf(splitName(name, inLayer)));

function texts(names: object): string[] {
  return Object.values(names).flatMap((name: unknown) => {
    if (typeof name === 'string') return [name];
    return typeof name === 'object' && name !== null ? texts(name) : [];
  });
}

/**
 * What becomes of the tensors that the model of `checkpoint` left, which are `unasked`. Throws unsupported for those of modules
 * that the layers of models have, or that this one has without them, as a bias: answers would be wrong without a word. The others
 * are told to `onNotice` in one line.
 */
export function checkUnused(
  checkpoint: Checkpoint,
  unasked: readonly string[],
  onNotice: (text: string) => void = () => undefined,
): void {
  const left = new Set(unasked);
  const asked = checkpoint.tensors.filter((name) => !left.has(name));
  const used = new Set(asked.map((name) => moduleOf(splitName(name, inLayer))));
  for (const module of blockModules) used.add(module);
  const wrong = unasked.filter((name) => {
    const split = splitName(name, inLayer);
    return split.kind !== '' && used.has(moduleOf(split)) && (split.layer !== '' || split.kind === 'bias');
  });
  const { path, parts } = checkpoint;
  const [first] = wrong;
  if (first !== undefined) {
    const others = wrong.length === 1 ? '' : ` (and ${wrong.length - 1} more)`;
    throw new IngotError(
      'unsupported',
      `${path}: tensor ${first}${others} has no use in a model with this config, and answers would be wrong without it: the config and the file do not belong together`,
      { details: { name: first, tensors: wrong } },
    );
  }
  const rest = [...unasked, ...(parts.unknown ?? [])];
  if (rest.length === 0) return;
  const some = rest.slice(0, 3).join(', ');
  const more = rest.length > 3 ? `, … (${rest.length} in all)` : '';
  onNotice(`${path}: tensors that the model has no use for are left out: ${some}${more}`);
}
