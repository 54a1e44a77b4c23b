// Trees of arrays: an array, or lists and plain objects of trees. What is neither is kept as it is.

import { IngotError } from '../../base/errors.ts';
import { NDArray } from '../array.ts';

export type Tree = unknown;

const maxDepth = 64;

/** A tree of the same shape with `f` of every array. `path` names the array: `layers[0].weight`. */
export function mapTree(tree: Tree, f: (x: NDArray, path: string) => unknown): Tree {
  const visit = (at: Tree, path: string, depth: number): Tree => {
    if (at instanceof NDArray) return f(at, path);
    if (depth > maxDepth)
      throw new IngotError('invalid_argument', `a tree of arrays goes in circles at ${path}`);
    if (Array.isArray(at)) return at.map((x, i) => visit(x, `${path}[${i}]`, depth + 1));
    if (!isPlain(at)) return at;
    const entries = Object.entries(at).map(([key, x]) => [
      key,
      visit(x, path === '' ? key : `${path}.${key}`, depth + 1),
    ]);
    return Object.fromEntries(entries);
  };
  return visit(tree, '', 0);
}

/** The arrays of a tree, in the order of its lists and keys. */
export function treeArrays(tree: Tree): readonly NDArray[] {
  const arrays: NDArray[] = [];
  mapTree(tree, (x) => arrays.push(x));
  return arrays;
}

/** A tree like `tree` with other arrays, in the order of treeArrays. */
export function withArrays(tree: Tree, arrays: readonly unknown[]): Tree {
  let next = 0;
  return mapTree(tree, () => arrays[next++]);
}

const isPlain = (x: unknown): x is Record<string, unknown> =>
  typeof x === 'object' && x !== null && Object.getPrototypeOf(x) === Object.prototype;
