// A graph as text, for messages of the verifier and for people.

import { formatShape } from '../../base/shape.ts';
import { formatLayout } from '../../quant/layout.ts';
import type { ValueType } from '../types.ts';
import { attributeKey } from './attributes.ts';
import type { Graph, Node, Value } from './node.ts';
import { graphNodes } from './trace.ts';

/** `f32[n<=512, 64]`, with the layout of packed weights. */
export const formatType = (t: ValueType): string =>
  `${t.layout === undefined ? t.dtype : formatLayout(t.layout)}${formatShape(t.shape)}${t.state ? '!' : ''}`;

/** One line per node: `%7 = rmsNorm(%3, %5) {eps:0.00001} : f32[4, 64]`. */
export function printGraph(graph: Graph): string {
  const nodes = graphNodes(graph);
  const names = new Map<Node, string>(nodes.map((node, i) => [node, `%${i}`]));
  const name = (v: Value | null): string => {
    if (v === null) return '-';
    const base = names.get(v.node) ?? '%?';
    return v.node.outputs.length > 1 ? `${base}.${v.index}` : base;
  };
  const lines = nodes.map((node) => `${names.get(node)} = ${describe(node, name)}`);
  lines.push(`return ${graph.outputs.map(name).join(', ')}`);
  if (graph.effects.length > 0) lines.push(`effects ${graph.effects.map(name).join(', ')}`);
  return lines.join('\n');
}

function describe(node: Node, name: (v: Value | null) => string): string {
  const types = node.outputs.map(formatType).join(', ');
  switch (node.kind) {
    case 'buffer':
      return `${node.role} ${node.label} : ${types}`;
    case 'input':
      return `input ${node.name} : ${types}`;
    case 'op': {
      const attrs = attributeKey(node.attrs);
      return `${node.op.name}(${node.inputs.map(name).join(', ')})${attrs === '{}' ? '' : ` ${attrs}`} : ${types}`;
    }
  }
}
