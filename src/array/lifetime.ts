// Who holds a buffer: handles and pending ops count references to nodes; the last one frees. Scopes free intermediates.

import { IngotError } from '../base/errors.ts';
import { type Node, resolve } from './graph/node.ts';

/** One more holder of a node. The first holder of a pending op makes the op hold its inputs. */
export function retain(node: Node): void {
  node.refs++;
  if (node.refs > 1 || node.kind !== 'op') return;
  for (const held of heldBy(node)) retain(held);
}

/** One holder less. Without holders a constant's buffer is freed and a pending op lets go of its inputs. */
export function release(node: Node): void {
  const stack: Node[] = [node];
  while (stack.length > 0) {
    const at = stack.pop() as Node;
    at.refs--;
    if (at.refs > 0) continue;
    if (at.kind === 'buffer' && at.owned) at.buffer.dispose();
    if (at.kind === 'op') stack.push(...heldBy(at));
  }
}

/** After evaluation: the op holds its results instead of its inputs. */
export function settle(node: Node & { kind: 'op' }, realized: readonly { readonly node: Node }[]): void {
  const held = heldBy(node);
  if (node.refs > 0) for (const r of realized) retain(r.node);
  node.realized = realized.map((r) => ({ node: r.node, index: 0 }));
  if (node.refs > 0) for (const h of held) release(h);
  const { inPlace = [] } = node.op;
  node.inputs = node.inputs.map((v, i) => (v !== null && inPlace.includes(i) ? resolve(v) : null));
}

function heldBy(node: Node & { kind: 'op' }): readonly Node[] {
  const values = node.realized ?? node.inputs;
  return values.flatMap((v) => (v === null ? [] : [v.node]));
}

/** Anything a scope can free. */
export interface Disposable {
  dispose(): void;
}

const scopes: Set<Disposable>[] = [];

/** Called by every new handle: the innermost scope frees it unless it is returned. */
export const register = (handle: Disposable): void => {
  scopes.at(-1)?.add(handle);
};
export const unregister = (handle: Disposable): void => {
  for (const scope of scopes) scope.delete(handle);
};

/** No scope frees this handle any more: something that lives longer has it. */
export const isolate = unregister;

/**
 * Runs `fn` and disposes every array it made except those it returns (alone, or inside lists, plain objects and modules), which
 * pass to the scope around. `fn` must not be async: what it makes after its first await would be missed.
 */
export function tidy<T>(fn: () => T): T {
  const scope = new Set<Disposable>();
  scopes.push(scope);
  let kept: Set<unknown> = new Set();
  try {
    const result = fn();
    if (result instanceof Promise) {
      throw new IngotError(
        'invalid_argument',
        'tidy: the function must not be async; evaluate outside of it',
      );
    }
    kept = reachable(result);
    return result;
  } finally {
    scopes.pop();
    for (const handle of scope) {
      if (kept.has(handle)) register(handle);
      else handle.dispose();
    }
  }
}

/** An object with a method of this name keeps what it lists, when a scope returns the object. */
export const holdings = Symbol('holdings');

function reachable(root: unknown): Set<unknown> {
  const seen = new Set<unknown>();
  const visit = (x: unknown): void => {
    if (typeof x !== 'object' || x === null || seen.has(x) || ArrayBuffer.isView(x)) return;
    seen.add(x);
    const own = (x as { [holdings]?: () => readonly unknown[] })[holdings];
    if (own !== undefined) for (const held of own.call(x)) seen.add(held);
    const plain = Array.isArray(x) || Object.getPrototypeOf(x) === Object.prototype;
    if (plain) for (const child of Object.values(x)) visit(child);
  };
  visit(root);
  return seen;
}
