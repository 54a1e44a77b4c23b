// Fusion by pattern: rewrites of the graph into fewer, larger ops. Each pattern is a file here and a line in the list;
// each fused op has a composite and a reference, so a pattern is never the only definition of what it makes.

import type { Graph, Node } from '../node.ts';
import { graphNodes, rewriteGraph, usersOf } from '../trace.ts';
import { expertGlu, expertSum } from './experts.ts';
import { glu } from './glu.ts';
import { linearNorm } from './linear-norm.ts';
import { linearResidual } from './linear-residual.ts';
import { mergeLinears } from './merge-linears.ts';
import { moeResidual } from './moe-residual.ts';
import type { Pattern } from './pattern.ts';
import { ropeKv } from './rope-kv.ts';
import { ropeNorm } from './rope-norm.ts';
import { takeNorm } from './take-norm.ts';

/** In this order: rows before what is done to them, gate and up before other linears that share their input, norms when the sharing is settled. */
export const patterns: readonly Pattern[] = [
  takeNorm,
  glu,
  expertGlu,
  expertSum,
  mergeLinears,
  linearNorm,
  linearResidual,
  moeResidual,
  ropeNorm,
  ropeKv,
];

/** The graph after all patterns. */
export const fusePatterns = (graph: Graph): Graph => patterns.reduce(applyPattern, graph);

function applyPattern(graph: Graph, pattern: Pattern): Graph {
  const isRoot = (node: Node): boolean => node.kind === 'op' && node.op.name === pattern.root.name;
  const nodes = graphNodes(graph);
  if (!nodes.some(isRoot)) return graph;
  const users = usersOf(graph);
  let positions: ReadonlyMap<Node, number> | undefined;
  const position = (node: Node): number => {
    positions ??= new Map(nodes.map((n, i) => [n, i]));
    return positions.get(node) ?? 0;
  };
  return rewriteGraph(graph, (node, _, lookup, assign) => {
    if (!isRoot(node)) return undefined;
    const result = pattern.match(node, { users, position, lookup });
    for (const [other, values] of result?.others ?? []) assign(other, values);
    return result?.values;
  });
}
