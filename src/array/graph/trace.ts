// Walks and rebuilds graphs: what a set of values needs, producers before users, and the rewriting all passes share.

import { IngotError } from '../../base/errors.ts';
import { type Graph, type Node, type OpNode, resolve, type Value } from './node.ts';

/** Nodes reachable from `roots`, producers first. Iterative: lazy chains may be very long. */
export function topologicalOrder(roots: readonly Value[]): readonly Node[] {
  const order: Node[] = [];
  const finished = new Map<Node, boolean>();
  const stack: Node[] = roots.map((r) => resolve(r).node).reverse();
  while (stack.length > 0) {
    const node = stack[stack.length - 1] as Node;
    const seen = finished.get(node);
    if (seen !== undefined) {
      stack.pop();
      if (!seen) order.push(node);
      finished.set(node, true);
      continue;
    }
    finished.set(node, false);
    if (node.kind !== 'op') continue;
    for (let i = node.inputs.length - 1; i >= 0; i--) {
      const input = node.inputs[i];
      if (input == null) continue;
      const target = resolve(input).node;
      if (!finished.has(target)) stack.push(target);
    }
  }
  return order;
}

const orders = new WeakMap<Graph, readonly Node[]>();

/** Nodes of a graph, producers first. Graphs do not change, so the order is found once. */
export function graphNodes(graph: Graph): readonly Node[] {
  const known = orders.get(graph);
  if (known !== undefined) return known;
  const order = topologicalOrder([...graph.outputs, ...graph.effects]);
  orders.set(graph, order);
  return order;
}

/** The graph of these values with evaluated ops replaced by their buffers. Throws invalid_argument on a stale state. */
export function traceGraph(outputs: readonly Value[], effects: readonly Value[]): Graph {
  const graph = rewriteGraph({ outputs, effects }, () => undefined);
  for (const node of graphNodes(graph)) {
    if (node.kind !== 'buffer' || !node.stale) continue;
    throw staleState(node.label);
  }
  return graph;
}

/** The error of reading a version of a State that has been overwritten. */
export const staleState = (label: string): IngotError =>
  new IngotError(
    'invalid_argument',
    `state ${label} was updated after this array read it; take its present version with value()`,
  );

/** Where a value of the old graph is in the new one. */
export type Lookup = (v: Value) => Value;

/**
 * Gets an op with its rewritten inputs; returns values for its outputs, or undefined to keep it. `lookup` finds other
 * values of the old graph that do not depend on the op. `assign` replaces another op whose users come after this one.
 */
export type Replace = (
  node: OpNode,
  inputs: readonly (Value | null)[],
  lookup: Lookup,
  assign: (other: Node, values: readonly Value[]) => void,
) => readonly Value[] | undefined;

/** Rebuilds a graph bottom up. Untouched nodes keep their identity; without a change the graph itself is returned. */
export function rewriteGraph(graph: Graph, replace: Replace): Graph {
  const done = new Map<Node, readonly Value[] | null>();
  let changed = false;
  const finish = (node: Node, values: readonly Value[]): void => {
    changed = true;
    done.set(node, values);
  };
  const visit = (node: Node): void => {
    if (node.kind !== 'op' || done.has(node)) return;
    done.set(node, null);
    const moved = node.inputs.map((v) => (v === null ? null : found(v)));
    const same = moved.every((v, i) => sameValue(v, node.inputs[i] ?? null));
    const inputs = same ? node.inputs : moved;
    const replaced = replace(node, inputs, lookup, finish);
    if (replaced !== undefined) finish(node, replaced);
    else if (!same) finish(node, valuesOf({ ...node, refs: 0, inputs }));
  };
  const found: Lookup = (v) => {
    const at = resolve(v);
    return done.get(at.node)?.[at.index] ?? at;
  };
  const lookup: Lookup = (v) => {
    if (!done.has(resolve(v).node)) topologicalOrder([v]).forEach(visit);
    return found(v);
  };
  graphNodes(graph).forEach(visit);
  if (!changed && [...graph.outputs, ...graph.effects].every((v) => resolve(v) === v)) return graph;
  return { outputs: graph.outputs.map(found), effects: graph.effects.map(found) };
}

/** Every output of a node. */
export const valuesOf = (node: Node): readonly Value[] => node.outputs.map((_, index) => ({ node, index }));

export const sameValue = (a: Value | null, b: Value | null): boolean =>
  a === b || (a !== null && b !== null && a.node === b.node && a.index === b.index);

const allUsers = new WeakMap<Graph, ReadonlyMap<Node, readonly (OpNode | null)[]>>();

/** The nodes that use each node, once per use; outputs and effects count as uses by `null`. */
export function usersOf(graph: Graph): ReadonlyMap<Node, readonly (OpNode | null)[]> {
  const known = allUsers.get(graph);
  if (known !== undefined) return known;
  const users = new Map<Node, (OpNode | null)[]>();
  const add = (v: Value, user: OpNode | null): void => {
    const list = users.get(v.node);
    if (list === undefined) users.set(v.node, [user]);
    else list.push(user);
  };
  for (const node of graphNodes(graph)) {
    if (node.kind !== 'op') continue;
    for (const v of node.inputs) if (v !== null) add(v, node);
  }
  for (const v of [...graph.outputs, ...graph.effects]) add(v, null);
  allUsers.set(graph, users);
  return users;
}
