// Which ops may write the next version of a State where it lies, so that `assign` has nothing to copy: elementwise ops whose result
// is assigned, when all others that read the version before have run by then.

import { sameShape } from '../../base/shape.ts';
import { type TileAttrs, tileOp } from '../ops/elementwise/tile.ts';
import { assignOp } from '../ops/memory/assign.ts';
import { type Graph, type Node, type OpNode, type Value, valueType } from './node.ts';
import { isView } from './schedule.ts';

/** Leaf of a State by the value, node and output, that is written into its memory. */
export type InPlace = ReadonlyMap<OpNode, ReadonlyMap<number, Value>>;

/** The values of `order`, the ops of a graph as they will run, that may be written into States. */
export function writtenInPlace(order: readonly OpNode[], graph: Graph): InPlace {
  const place = new Map<Node, number>(order.map((n, i) => [n, i]));
  const readers = readersOfLeaves(order);
  const outputs = new Set(graph.outputs.map((v) => v.node));
  const updated = new Set(order.flatMap((n) => (n.op.inPlace ?? []).map((i) => n.inputs[i]?.node)));
  const result = new Map<OpNode, Map<number, Value>>();
  for (const [leaf, found] of readers) {
    const writers = found.filter((n) => n.op.inPlace !== undefined);
    const [assign] = writers;
    if (writers.length !== 1 || assign?.op !== assignOp || outputs.has(leaf)) continue;
    const [version, x] = assign.inputs;
    if (version == null || x == null || version.node !== leaf || x.node.kind !== 'op') continue;
    const maker = x.node;
    if (!isPointwise(maker) || outputs.has(maker) || result.get(maker)?.has(x.index)) continue;
    if (updated.has(assign) && usesOf(x, order) > 1) continue; // others may read it when the next version is there
    const at = place.get(maker) ?? 0;
    const others = found.filter((n) => n !== assign && n !== maker);
    if (others.some((n) => (place.get(n) ?? 0) >= at)) continue;
    if (found.includes(maker) && !readsItsOwnPlace(maker, leaf, version)) continue;
    const byIndex = result.get(maker) ?? new Map<number, Value>();
    result.set(maker, byIndex.set(x.index, version));
  }
  return result;
}

const usesOf = (x: Value, order: readonly OpNode[]): number =>
  order.filter((n) => n.inputs.some((v) => v?.node === x.node && v.index === x.index)).length;

const isPointwise = (node: OpNode): boolean => node.op === tileOp || node.op.elementwise !== undefined;

/** Ops that read the memory of each State as it was before the run, views included. */
function readersOfLeaves(order: readonly OpNode[]): ReadonlyMap<Node, readonly OpNode[]> {
  const roots = new Map<Node, Node>();
  const readers = new Map<Node, OpNode[]>();
  for (const node of order) {
    for (const v of node.inputs) {
      if (v === null) continue;
      const root = roots.get(v.node) ?? (v.node.kind === 'buffer' && valueType(v).state ? v.node : undefined);
      if (root === undefined) continue;
      if (isView(node)) roots.set(node, root);
      else readers.set(root, [...(readers.get(root) ?? []), node]);
    }
  }
  return readers;
}

/** Whether each element that `node` makes depends on no other element of the State, and no result is the State as it was. */
function readsItsOwnPlace(node: OpNode, leaf: Node, version: Value): boolean {
  const { shape } = valueType(version);
  const whole = node.inputs.every((v) => v === null || rootIsNot(v, leaf) || v.node === leaf);
  const results = node.op === tileOp ? (node.attrs as TileAttrs).results : [];
  return (
    whole &&
    node.outputs.every((t) => sameShape(t.shape, shape)) &&
    node.inputs.every((v, i) => v?.node !== leaf || !results.includes(i))
  );
}

function rootIsNot(v: Value, leaf: Node): boolean {
  let at = v.node;
  while (at.kind === 'op' && isView(at) && at.inputs[0] != null) at = at.inputs[0].node;
  return at !== leaf;
}
