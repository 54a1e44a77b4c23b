// Reverse mode on the lazy graph: from cotangents of results to cotangents of the nodes they were made from.

import { isFloat } from '../../base/dtype.ts';
import { IngotError } from '../../base/errors.ts';
import { NDArray } from '../array.ts';
import { type Node, type OpNode, resolve, type Value, valueType } from '../graph/node.ts';
import type { OpDef, VjpCall } from '../op.ts';
import { fullLike } from '../ops/creation/full-like.ts';
import { identity } from '../ops/memory/identity.ts';

/**
 * Gradient of sum(outputs · cotangents) with respect to each of `sources`, which are values made before the outputs; null
 * where the outputs do not depend on one. Built from ops, so it can be differentiated again.
 */
export function backward(
  outputs: readonly NDArray[],
  cotangents: readonly NDArray[],
  sources: readonly NDArray[],
): readonly (NDArray | null)[] {
  const roots = sources.map((s) => s.value.node);
  const nodes = dependents(
    outputs.map((o) => o.value),
    roots,
  );
  const grads = new Map<Node, (NDArray | null)[]>();
  const accumulate = (v: Value, g: NDArray): void => {
    const at = resolve(v);
    const list = grads.get(at.node) ?? at.node.outputs.map(() => null);
    grads.set(at.node, list);
    const before = list[at.index] ?? null;
    const same = g.cast(valueType(at).dtype);
    list[at.index] = before === null ? same : before.add(same);
  };
  const wanted = new Set<Node>([...nodes, ...roots]);
  outputs.forEach((o, i) => {
    const g = cotangents[i];
    if (g !== undefined && wanted.has(resolve(o.value).node)) accumulate(o.value, g);
  });
  for (const node of [...nodes].reverse()) {
    const list = grads.get(node);
    if (list === undefined || roots.includes(node)) continue;
    inputGradients(node, list).forEach((g, i) => {
      const input = node.inputs[i];
      if (g === null || input == null || !wanted.has(resolve(input).node)) return;
      if (isFloat(valueType(input).dtype)) accumulate(input, g);
    });
  }
  return sources.map((s) => grads.get(s.value.node)?.[s.value.index] ?? null);
}

/** Ops between `roots` and `outputs`, producers first. Ids grow as nodes are made, so older nodes than the roots are not visited. */
function dependents(outputs: readonly Value[], roots: readonly Node[]): readonly OpNode[] {
  const oldest = Math.min(...roots.map((r) => r.id));
  const seen = new Set<Node>();
  const stack = outputs.map((v) => resolve(v).node);
  while (stack.length > 0) {
    const node = stack.pop() as Node;
    if (seen.has(node) || node.id < oldest) continue;
    seen.add(node);
    if (node.kind !== 'op' || roots.includes(node)) continue;
    for (const v of node.inputs) if (v !== null) stack.push(resolve(v).node);
  }
  const depends = new Set<Node>(roots);
  return [...seen]
    .sort((a, b) => a.id - b.id)
    .filter((node): node is OpNode => {
      if (depends.has(node)) return node.kind === 'op' && !roots.includes(node);
      if (node.kind !== 'op' || !node.inputs.some((v) => v !== null && depends.has(resolve(v).node)))
        return false;
      depends.add(node);
      return true;
    });
}

function inputGradients(node: OpNode, given: readonly (NDArray | null)[]): readonly (NDArray | null)[] {
  const { op, attrs } = node;
  const differentiable = node.outputs.some((t, i) => given[i] !== null && isFloat(t.dtype));
  if (!differentiable) return [];
  if (op.vjp === 'none') {
    throw new IngotError(
      'unsupported',
      `${op.name} has no gradient; keep it out of what is differentiated with stopGradient(), or give one with customFunction()`,
    );
  }
  const outputs = node.outputs.map((_, index) => new NDArray({ node, index }));
  const grads = outputs.map((o, i) => given[i] ?? fullLike(o, 0));
  const inputs = node.inputs.map((v) => (v === null ? null : new NDArray(v)));
  if (op.vjp === 'composite') return compositeGradients(op, { inputs, grads, attrs });
  return op.vjp({ inputs, outputs, grads, attrs });
}

/** Gradients through the ops that an op is made of. */
export function compositeGradients<A extends object>(
  op: OpDef<A>,
  { inputs, grads, attrs }: Pick<VjpCall<A>, 'inputs' | 'grads' | 'attrs'>,
): readonly (NDArray | null)[] {
  if (op.composite === undefined) throw new IngotError('internal', `internal: ${op.name} has no composite`);
  const own = inputs.map((x) => (x !== null && isFloat(x.dtype) && x.layout === undefined ? identity(x) : x));
  const sources = own.filter((x, i): x is NDArray => x !== null && x !== inputs[i]);
  const found = backward(op.composite(own, attrs), grads, sources);
  return own.map((x) => (x === null ? null : (found[sources.indexOf(x)] ?? null)));
}
