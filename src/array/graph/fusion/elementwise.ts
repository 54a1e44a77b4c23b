// Chains of elementwise ops -> one tile op each: intermediate results stay in registers, constants cost nothing.

import { elementCount, sameShape } from '../../../base/shape.ts';
import { registerKind } from '../../../kernel/expr.ts';
import type { TileOpcode } from '../../../kernel/tile-opcodes.ts';
import { fullOp } from '../../ops/creation/full.ts';
import { castOp } from '../../ops/elementwise/cast.ts';
import { tileOp } from '../../ops/elementwise/tile.ts';
import type { ElementwiseConstant, ElementwiseInstruction } from '../../ops/elementwise/tile-params.ts';
import { operand } from '../../ops/operands.ts';
import { type Graph, isOp, type Node, type OpNode, opNode, type Value, valueType } from '../node.ts';
import { isView } from '../schedule.ts';
import { graphNodes, type Lookup, rewriteGraph, usersOf, valuesOf } from '../trace.ts';
import type { OnMatch } from './pattern.ts';

/** Limits of a program: what a kernel with a handful of streams and an L1-sized register file takes well. */
export const maxInputs = 12;
export const maxInstructions = 48;

/** Ops that run as one program; `root` computes the result. */
interface Cluster {
  readonly root: OpNode;
  readonly members: Set<OpNode>;
}

export function fuseElementwise(graph: Graph, onMatch?: OnMatch): Graph {
  const clusters = findClusters(graph);
  if (clusters.size > 0) onMatch?.('elementwise', clusters.size);
  return rewriteGraph(graph, (node, _, lookup) => {
    const cluster = clusters.get(node);
    return cluster === undefined ? undefined : valuesOf(buildTile(cluster, lookup));
  });
}

const isElementwise = (node: Node): node is OpNode => node.kind === 'op' && opcodeOf(node) !== undefined;

/** The instruction of an op on its operands; undefined for ops that are not elementwise or not on these dtypes. */
export function opcodeOf(node: OpNode): TileOpcode | 'copy' | undefined {
  if (node.op.elementwise === undefined) return undefined;
  const kinds = node.inputs.map((_, i) => registerKind(valueType(operand(node.inputs, i)).dtype));
  return node.op.elementwise.opcode(kinds, registerKind(operand(node.outputs, 0).dtype), node.attrs);
}

/** Clusters by root: those with several ops, or with constants to take in. */
function findClusters(graph: Graph): ReadonlyMap<OpNode, Cluster> {
  const users = usersOf(graph);
  const taken = new Set<OpNode>();
  const clusters = new Map<OpNode, Cluster>();
  const nodes = graphNodes(graph);
  const late = afterUpdates(nodes);
  const early = stateReaders(nodes);
  for (let i = nodes.length - 1; i >= 0; i--) {
    const root = nodes[i] as Node;
    if (!isElementwise(root) || taken.has(root)) continue;
    const members = grow(root, users, late.has(root) ? early : new Set());
    // A single element with users elsewhere is computed there again.
    for (const m of members) if (m === root || allInside(m, members, users)) taken.add(m);
    const constants = root.inputs.some((v) => v !== null && isOp(v.node, fullOp));
    if (members.size > 1 || constants) clusters.set(root, { root, members });
  }
  return clusters;
}

/** Takes in producers all of whose users are inside, but none of `early`, until nothing more fits. */
function grow(
  root: OpNode,
  users: ReadonlyMap<Node, readonly (OpNode | null)[]>,
  early: ReadonlySet<Node>,
): Set<OpNode> {
  const members = new Set<OpNode>([root]);
  for (let changed = true; changed && members.size < maxInstructions; ) {
    changed = false;
    for (const member of [...members]) {
      for (const v of member.inputs) {
        const p = v?.node;
        if (p === undefined || !isElementwise(p) || members.has(p) || !absorbable(p, root)) continue;
        if (early.has(p)) continue;
        if (isSingle(p) && !isSingle(root) && slow.test(opcodeOf(p) ?? '')) continue;
        if (!allInside(p, members, users) && !isSingle(p)) continue;
        members.add(p);
        if (externalInputs(members).length > maxInputs) members.delete(p);
        else changed = true;
      }
    }
  }
  return members;
}

const allInside = (
  p: OpNode,
  members: ReadonlySet<OpNode>,
  users: ReadonlyMap<Node, readonly (OpNode | null)[]>,
): boolean => (users.get(p) ?? []).every((u) => u !== null && members.has(u));

/** Not worth computing again for every element of a program, where it has only one. */
const slow = /^(pow|exp|expm1|log|log1p|sin|cos|tan|tanh|sigmoid|erf|silu|gelu_tanh|gelu_erf)_/;

/** One element: cheap enough to compute again in every program that needs it. */
const isSingle = (node: OpNode): boolean => {
  const count = elementCount(operand(node.outputs, 0).shape);
  return count.dyn === undefined && count.mul === 1;
};

function absorbable(p: OpNode, root: OpNode): boolean {
  const out = operand(p.outputs, 0);
  if (!sameShape(out.shape, operand(root.outputs, 0).shape) && !isSingle(p)) return false;
  // 8-bit results wrap when stored and a cast to a shorter float rounds: those must be stored to mean what they say.
  if (out.dtype === 'i8' || out.dtype === 'u8') return false;
  if (isOp(p, castOp) && (out.dtype === 'f16' || out.dtype === 'bf16')) return false;
  return true;
}

/** Ops that read memory of a State, also through views of it. */
export function stateReaders(nodes: readonly Node[]): ReadonlySet<Node> {
  const views = new Set<Node>();
  const readers = new Set<Node>();
  for (const node of nodes) {
    if (node.kind !== 'op') continue;
    if (!node.inputs.some((v) => v !== null && (valueType(v).state === true || views.has(v.node)))) continue;
    (isView(node) ? views : readers).add(node);
  }
  return readers;
}

/**
 * Ops that update a State, and all that need one of them to have run. What reads a State must run before its update: it is not fused
 * with these, which may need the update.
 */
export function afterUpdates(nodes: readonly Node[]): ReadonlySet<Node> {
  const late = new Set<Node>();
  for (const node of nodes) {
    if (node.kind !== 'op') continue;
    if (node.op.inPlace !== undefined || node.inputs.some((v) => v !== null && late.has(v.node)))
      late.add(node);
  }
  return late;
}

/** Values a cluster reads from memory. */
function externalInputs(members: ReadonlySet<OpNode>): readonly Value[] {
  const seen = new Map<string, Value>();
  const ids = new Map<Node, number>();
  for (const member of members) {
    for (const v of member.inputs) {
      if (v === null || isOp(v.node, fullOp) || (isElementwise(v.node) && members.has(v.node))) continue;
      ids.set(v.node, ids.get(v.node) ?? ids.size);
      seen.set(`${ids.get(v.node)}.${v.index}`, v);
    }
  }
  return [...seen.values()];
}

/** The tile op of a cluster. */
function buildTile({ root, members }: Cluster, lookup: Lookup): OpNode {
  const inputs = externalInputs(members);
  const constants: ElementwiseConstant[] = [];
  const constantNodes: Node[] = [];
  const ordered = orderMembers(root, members);
  for (const v of ordered.flatMap((m) => m.inputs)) {
    if (v === null || !isOp(v.node, fullOp) || constantNodes.includes(v.node)) continue;
    constants.push({ dtype: v.node.attrs.dtype, value: v.node.attrs.value });
    constantNodes.push(v.node);
  }
  const instructions: ElementwiseInstruction[] = [];
  const computed = new Map<Node, number>();
  const registerOf = (v: Value): number => {
    const own = computed.get(v.node);
    if (own !== undefined) return own;
    const constant = constantNodes.indexOf(v.node);
    if (constant >= 0) return inputs.length + constant;
    return inputs.findIndex((i) => i.node === v.node && i.index === v.index);
  };
  const base = inputs.length + constants.length;
  for (const member of ordered) {
    const args = member.inputs.map((_, i) => registerOf(operand(member.inputs, i)));
    const opcode = opcodeOf(member);
    if (opcode === undefined || opcode === 'copy') computed.set(member, args[0] as number);
    else {
      computed.set(member, base + instructions.length);
      instructions.push({ opcode, args });
    }
  }
  const { shape, dtype } = operand(root.outputs, 0);
  const attrs = { shape, dtypes: [dtype], constants, instructions, results: [computed.get(root) as number] };
  return opNode(tileOp, inputs.map(lookup), attrs);
}

/** Members with producers first. */
function orderMembers(root: OpNode, members: ReadonlySet<OpNode>): readonly OpNode[] {
  const order: OpNode[] = [];
  const visit = (node: OpNode): void => {
    if (order.includes(node)) return;
    for (const v of node.inputs)
      if (v !== null && isElementwise(v.node) && members.has(v.node)) visit(v.node);
    order.push(node);
  };
  visit(root);
  return order;
}
