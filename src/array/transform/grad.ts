// grad, valueAndGrad, vjp and jvp: functions of arrays to functions that give derivatives. They compose, in any order.

import { isFloat } from '../../base/dtype.ts';
import { IngotError } from '../../base/errors.ts';
import { formatShape, sameShape } from '../../base/shape.ts';
import { NDArray } from '../array.ts';
import { tidy } from '../lifetime.ts';
import { fullLike } from '../ops/creation/full-like.ts';
import { identity } from '../ops/memory/identity.ts';
import { backward } from './backward.ts';
import { mapTree, treeArrays, withArrays } from './tree.ts';

/** Which arguments are differentiated: one position, or several. */
export type Argnums = number | readonly number[];

// biome-ignore lint/suspicious/noExplicitAny: any function of trees is differentiated, and its own types are kept
type AnyFunction = (...args: any[]) => any;
type ArgumentAt<F extends AnyFunction, N> = N extends number ? Parameters<F>[N] : readonly unknown[];

/**
 * A function of the same arguments that gives the result of `fn` and the gradient of it. The result is an array of shape [],
 * or a list that begins with one: the rest is passed on. The gradient has the tree of the argument `argnums` (default 0), or is a
 * list of such trees. Throws invalid_argument for a result of another shape and for arguments without floats.
 */
export function valueAndGrad<F extends AnyFunction, N extends Argnums = 0>(
  fn: F,
  argnums?: N,
): (...args: Parameters<F>) => [value: ReturnType<F>, grads: ArgumentAt<F, N>] {
  const places = typeof argnums === 'object' ? argnums : [(argnums as number | undefined) ?? 0];
  return (...args) =>
    tidy(() => {
      const { inputs, sources } = separate(args, places);
      const value = fn(...inputs) as unknown;
      const loss = Array.isArray(value) ? value[0] : value;
      checkLoss(loss);
      const grads = backward([loss], [fullLike(loss, 1)], sources);
      const filled = grads.map((g, i) => g ?? fullLike(sources[i] as NDArray, 0));
      let next = 0;
      const trees = places.map((p) => {
        const count = treeArrays(args[p]).length;
        next += count;
        return withArrays(args[p], filled.slice(next - count, next));
      });
      return [value, typeof argnums === 'object' ? trees : trees[0]] as [ReturnType<F>, ArgumentAt<F, N>];
    });
}

/** As valueAndGrad, the gradient alone. */
export function grad<F extends AnyFunction, N extends Argnums = 0>(
  fn: F,
  argnums?: N,
): (...args: Parameters<F>) => ArgumentAt<F, N> {
  const both = valueAndGrad(fn, argnums);
  return (...args) => tidy(() => both(...args)[1]);
}

/** Arguments with nodes of their own for what is differentiated: other uses of the same arrays do not count. */
function separate(args: readonly unknown[], places: readonly number[]) {
  const sources: NDArray[] = [];
  const inputs = [...args];
  for (const p of places) {
    if (!(p in args)) {
      throw new IngotError('invalid_argument', `grad: argument ${p} is not among the ${args.length} given`);
    }
    inputs[p] = mapTree(args[p], (x, path) => {
      if (!isFloat(x.dtype)) {
        throw new IngotError(
          'invalid_argument',
          `grad: argument ${p}${path === '' ? '' : ` (${path})`} is ${x.dtype}; only floats have gradients`,
        );
      }
      const own = identity(x);
      sources.push(own);
      return own;
    });
  }
  if (sources.length === 0) {
    throw new IngotError('invalid_argument', `grad: argument ${places.join(', ')} holds no array`);
  }
  return { inputs, sources };
}

function checkLoss(loss: unknown): asserts loss is NDArray {
  if (!(loss instanceof NDArray)) {
    throw new IngotError(
      'invalid_argument',
      'grad: the function must return an array, or a list that begins with one',
    );
  }
  if (loss.shape.length !== 0 || !isFloat(loss.dtype)) {
    throw new IngotError(
      'invalid_argument',
      `grad: the function must return one float, got ${loss.dtype} ${formatShape(loss.shape)}; reduce it with sum() or mean()`,
    );
  }
}

type ArraysFunction = (...args: NDArray[]) => NDArray | readonly NDArray[];

const listOf = (x: NDArray | readonly NDArray[]): readonly NDArray[] => (x instanceof NDArray ? [x] : x);

/** The results of `fn` at `primals`, and the products of `cotangents` (one for each result) with its Jacobian. */
export const vjp = (
  fn: ArraysFunction,
  primals: readonly NDArray[],
  cotangents: readonly NDArray[],
): [outputs: readonly NDArray[], vjps: readonly NDArray[]] =>
  tidy(() => {
    const sources = primals.map(identity);
    const outputs = listOf(fn(...sources));
    checkLike(cotangents, outputs, 'vjp: cotangent');
    const grads = backward(outputs, cotangents, sources);
    return [outputs, grads.map((g, i) => g ?? fullLike(sources[i] as NDArray, 0))];
  });

/**
 * The results of `fn` at `primals`, and the products of its Jacobian with `tangents` (one for each argument): the gradient of
 * the vector-Jacobian product, which is linear in the cotangents, with respect to them.
 */
export const jvp = (
  fn: ArraysFunction,
  primals: readonly NDArray[],
  tangents: readonly NDArray[],
): [outputs: readonly NDArray[], jvps: readonly NDArray[]] =>
  tidy(() => {
    checkLike(tangents, primals, 'jvp: tangent');
    const sources = primals.map(identity);
    const outputs = listOf(fn(...sources));
    const cotangents = outputs.map((o) => identity(fullLike(o, 0)));
    const pulled = backward(outputs, cotangents, sources);
    const present = pulled.flatMap((g, i) => (g === null ? [] : [{ g, t: tangents[i] as NDArray }]));
    const pushed = backward(
      present.map((p) => p.g),
      present.map((p) => p.t),
      cotangents,
    );
    return [outputs, pushed.map((t, i) => t ?? fullLike(outputs[i] as NDArray, 0))];
  });

function checkLike(given: readonly NDArray[], wanted: readonly NDArray[], what: string): void {
  if (given.length !== wanted.length) {
    throw new IngotError('invalid_argument', `${what}s: ${wanted.length} are needed, got ${given.length}`);
  }
  given.forEach((g, i) => {
    const shape = wanted[i]?.shape ?? [];
    if (sameShape(g.shape, shape)) return;
    throw new IngotError(
      'shape_mismatch',
      `${what} ${i} must have shape ${formatShape(shape)}, got ${formatShape(g.shape)}`,
    );
  });
}
