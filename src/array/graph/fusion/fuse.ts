// Fusion by pattern: rewrites of the graph into fewer, larger ops. Each pattern is a file here and a line in the list;
// each fused op has a composite and a reference, so a pattern is never the only definition of what it makes.

import { allPatterns, type PatternName, type PatternSet } from '../../patterns.ts';
import type { Graph, Node } from '../node.ts';
import { hasOrder, readsOverwritten } from '../schedule.ts';
import { graphNodes, rewriteGraph, usersOf } from '../trace.ts';
import { expertGlu, expertSum } from './experts.ts';
import { gegluMlp, swigluMlp } from './glu.ts';
import { linearNorm } from './linear-norm.ts';
import { linearResidual } from './linear-residual.ts';
import { mergeLinears } from './merge-linears.ts';
import { moeResidual } from './moe-residual.ts';
import { normResidual } from './norm-residual.ts';
import { layerNorms, normWeights, rmsNorms } from './norms.ts';
import type { OnMatch, Pattern } from './pattern.ts';
import { residualNorm } from './residual-norm.ts';
import { ropeKv } from './rope-kv.ts';
import { ropeNorm } from './rope-norm.ts';
import { normedRoutes, routeThenSoftmax, softmaxThenRoute } from './router.ts';
import { takeNorm } from './take-norm.ts';

/**
 * In this order: what was written out before what looks for it, rows before what is done to them, gate and up before other
 * linears that share their input, norms when the sharing is settled, and additions in front of norms when no product took either.
 */
export const patterns: readonly Pattern[] = [
  ...layerNorms,
  ...rmsNorms,
  ...normWeights,
  softmaxThenRoute,
  routeThenSoftmax,
  normedRoutes,
  takeNorm,
  swigluMlp,
  gegluMlp,
  expertGlu,
  expertSum,
  mergeLinears,
  linearNorm,
  linearResidual,
  moeResidual,
  residualNorm,
  normResidual,
  ropeNorm,
  ropeKv,
];

/**
 * The graph after the patterns that are chosen, without one that would read a State where its update has to have run.
 * Of patterns that share a name the one that applied most often is told.
 */
export function fusePatterns(graph: Graph, chosen: PatternSet = allPatterns, onMatch?: OnMatch): Graph {
  const most = new Map<PatternName, number>();
  let fused = graph;
  const guarded = readsOverwritten(graph);
  for (const pattern of patterns) {
    if (!chosen.has(pattern.name)) continue;
    const result = applyPattern(fused, pattern);
    if (guarded && result.times > 0 && !hasOrder(result.graph)) continue;
    fused = result.graph;
    most.set(pattern.name, Math.max(most.get(pattern.name) ?? 0, result.times));
  }
  for (const [name, times] of most) if (times > 0) onMatch?.(name, times);
  return fused;
}

function applyPattern(graph: Graph, pattern: Pattern): { readonly graph: Graph; readonly times: number } {
  const isRoot = (node: Node): boolean => node.kind === 'op' && node.op.name === pattern.root.name;
  const nodes = graphNodes(graph);
  if (!nodes.some(isRoot)) return { graph, times: 0 };
  const users = usersOf(graph);
  let positions: ReadonlyMap<Node, number> | undefined;
  const position = (node: Node): number => {
    positions ??= new Map(nodes.map((n, i) => [n, i]));
    return positions.get(node) ?? 0;
  };
  let times = 0;
  const rewritten = rewriteGraph(graph, (node, _, lookup, assign) => {
    if (!isRoot(node)) return undefined;
    const result = pattern.match(node, { users, position, lookup });
    if (result === undefined) return undefined;
    times++;
    for (const [other, values] of result.others ?? []) assign(other, values);
    return result.values;
  });
  return { graph: rewritten, times };
}
