// Canonical form: equal computations are shared, chains of reshapes are one reshape, views of views are one view.
// Dead code needs no pass: a graph is what its outputs and effects reach.

import { sameShape } from '../../base/shape.ts';
import { operand } from '../ops/operands.ts';
import { reshapeOp } from '../ops/shape/reshape.ts';
import { attributeKey } from './attributes.ts';
import { type Graph, isOp, type OpNode, opNode, type Value, valueType } from './node.ts';
import { rewriteGraph, valuesOf } from './trace.ts';

export function canonicalise(graph: Graph): Graph {
  const known = new Map<string, readonly Value[]>();
  const ids = new Map<unknown, number>();
  const idOf = (v: Value | null): string => {
    if (v === null) return '-';
    const id = ids.get(v.node) ?? ids.size;
    ids.set(v.node, id);
    return `${id}.${v.index}`;
  };
  return rewriteGraph(graph, (node, inputs) => {
    if (node.op.forwards) return node.outputs.map((_, i) => operand(inputs, i));
    const folded = foldReshape(node, inputs);
    if (folded !== undefined) return [folded];
    if (node.op.inPlace !== undefined) return undefined;
    const key = `${node.op.name}(${inputs.map(idOf).join(',')})${attributeKey(node.attrs)}`;
    const before = known.get(key);
    if (before !== undefined) return before;
    const same = inputs.every((v, i) => v === node.inputs[i]);
    const values = valuesOf(same ? node : { ...node, refs: 0, inputs });
    known.set(key, values);
    return same ? undefined : values;
  });
}

/** reshape(reshape(x)) is one reshape, and none when the shape is the first one. */
function foldReshape(node: OpNode, inputs: readonly (Value | null)[]): Value | undefined {
  if (!isOp(node, reshapeOp)) return undefined;
  const from = inputs[0];
  if (from == null) return undefined;
  const { shape } = node.attrs;
  if (sameShape(valueType(from).shape, shape) && valueType(from).state !== true) return from;
  if (!isOp(from.node, reshapeOp)) return undefined;
  const source = from.node.inputs[0];
  if (source == null) return undefined;
  if (sameShape(valueType(source).shape, shape)) return source;
  return { node: opNode(reshapeOp, [source], { shape }), index: 0 };
}
