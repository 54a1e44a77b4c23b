// Order of execution: producers first, readers of a state's version before the op that writes the next one, else as traced.

import { IngotError } from '../../base/errors.ts';
import { type Graph, type Node, type OpNode, type Value, valueType } from './node.ts';
import { printGraph } from './print.ts';
import { graphNodes } from './trace.ts';

/** The ops of a graph in an order in which they can run. Throws invalid_argument when state order makes a cycle. */
export function schedule(graph: Graph): readonly OpNode[] {
  const order = runnable(graph);
  const nodes = opsOf(graph);
  if (order.length === nodes.length) return order;
  const stuck = nodes.find((n) => !order.includes(n));
  throw new IngotError(
    'invalid_argument',
    `${stuck?.op.name} reads a version of a State that must be overwritten before it can run; read the newest version\n${printGraph(graph)}`,
  );
}

/** Whether State order makes no cycle. */
export const hasOrder = (graph: Graph): boolean => runnable(graph).length === opsOf(graph).length;

/** Whether an op reads a version of a State that another overwrites: what fusion could move behind the update. */
export function readsOverwritten(graph: Graph): boolean {
  const nodes = opsOf(graph);
  const readers = stateReaders(nodes);
  return nodes.some((node) =>
    (node.op.inPlace ?? []).some((input) => {
      const version = node.inputs[input];
      return (
        version != null &&
        readers
          .get(version.node)
          ?.get(version.index)
          ?.some((r) => r !== node)
      );
    }),
  );
}

const opsOf = (graph: Graph): readonly OpNode[] => graphNodes(graph).filter((n) => n.kind === 'op');

/** Ops in order, without those that wait for each other. */
function runnable(graph: Graph): readonly OpNode[] {
  const nodes = opsOf(graph);
  const blockers = dependencies(nodes);
  const waiting = new Map<OpNode, number>();
  const unblocks = new Map<OpNode, OpNode[]>();
  for (const node of nodes) {
    const before = blockers.get(node) ?? new Set();
    waiting.set(node, before.size);
    for (const b of before) unblocks.set(b, [...(unblocks.get(b) ?? []), node]);
  }
  const position = new Map(nodes.map((n, i) => [n, i]));
  const ready = nodes.filter((n) => waiting.get(n) === 0);
  const order: OpNode[] = [];
  while (ready.length > 0) {
    // The earliest in trace order: ready lists are short, so a scan beats a heap.
    let best = 0;
    ready.forEach((n, i) => {
      if ((position.get(n) ?? 0) < (position.get(ready[best] as OpNode) ?? 0)) best = i;
    });
    const [node] = ready.splice(best, 1) as [OpNode];
    order.push(node);
    for (const next of unblocks.get(node) ?? []) {
      const left = (waiting.get(next) ?? 0) - 1;
      waiting.set(next, left);
      if (left === 0) ready.push(next);
    }
  }
  return order;
}

/** Ops that must run before each op. */
function dependencies(nodes: readonly OpNode[]): ReadonlyMap<OpNode, ReadonlySet<OpNode>> {
  const result = new Map<OpNode, Set<OpNode>>(nodes.map((n) => [n, new Set()]));
  const readers = stateReaders(nodes);
  for (const node of nodes) {
    const before = result.get(node) as Set<OpNode>;
    for (const v of node.inputs) if (v !== null && v.node.kind === 'op') before.add(v.node);
    for (const input of node.op.inPlace ?? []) {
      const version = node.inputs[input];
      if (version == null) continue;
      for (const reader of readers.get(version.node)?.get(version.index) ?? []) {
        if (reader !== node) before.add(reader);
      }
    }
  }
  return result;
}

/** Ops that read each version of a state, also through views of it. */
function stateReaders(nodes: readonly OpNode[]): ReadonlyMap<Node, ReadonlyMap<number, readonly OpNode[]>> {
  const readers = new Map<Node, Map<number, OpNode[]>>();
  const base = new Map<Node, Value>();
  for (const node of nodes) {
    for (const v of node.inputs) {
      if (v === null) continue;
      const version = base.get(v.node) ?? v;
      if (valueType(version).state !== true) continue;
      const byIndex = readers.get(version.node) ?? new Map<number, OpNode[]>();
      readers.set(version.node, byIndex);
      byIndex.set(version.index, [...(byIndex.get(version.index) ?? []), node]);
      if (isView(node)) base.set(node, version);
    }
  }
  return readers;
}

/** True for ops whose output is memory of their first operand. */
export const isView = (node: OpNode): boolean =>
  node.op.view !== undefined &&
  node.op.view(
    node.inputs.map((v) => (v === null ? null : valueType(v))),
    node.attrs,
  ) !== null;
