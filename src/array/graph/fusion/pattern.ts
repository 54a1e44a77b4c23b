// What a fusion pattern is, and the questions patterns ask.

import type { OpDef } from '../../op.ts';
import { fullOp } from '../../ops/creation/full.ts';
import type { PatternName } from '../../patterns.ts';
import { isOp, type Node, type OpNode, type Value } from '../node.ts';
import type { Lookup } from '../trace.ts';

export interface MatchContext {
  /** Users of each node of the graph being matched; null stands for an output or effect. */
  readonly users: ReadonlyMap<Node, readonly (OpNode | null)[]>;
  /** Place of a node in an order where producers come first. */
  position(node: Node): number;
  /** Where an operand found in the matched graph is in the new one. */
  readonly lookup: Lookup;
}

export interface Match {
  /** Values for the outputs of the op that matched. */
  readonly values: readonly Value[];
  /** Values for outputs of other ops that the match replaces too; their users must come after the op that matched. */
  readonly others?: ReadonlyMap<Node, readonly Value[]>;
}

export interface Pattern {
  /** Several may share one: they are switched together. */
  readonly name: PatternName;
  /** The op at which the pattern is tried. */
  readonly root: OpDef;
  /** Looks at one root and what produces its operands; undefined when the pattern does not apply. */
  match(node: OpNode, context: MatchContext): Match | undefined;
}

/** Told that a pattern applied `times` times. */
export type OnMatch = (name: PatternName, times: number) => void;

/** The op that makes operand i of `node` when it is an `op` and nothing else uses it. */
export function onlyProducer<A extends object>(
  node: OpNode,
  i: number,
  op: OpDef<A>,
  { users }: MatchContext,
): (OpNode & { readonly attrs: A }) | undefined {
  const input = node.inputs[i];
  if (input == null || !isOp(input.node, op)) return undefined;
  return users.get(input.node)?.length === 1 ? input.node : undefined;
}

/** Operand i rewritten; null when it is not given. */
export const rewritten = (node: OpNode, i: number, { lookup }: MatchContext): Value | null => {
  const v = node.inputs[i];
  return v == null ? null : lookup(v);
};

/** All operands rewritten. */
export const rewrittenInputs = (node: OpNode, context: MatchContext): readonly (Value | null)[] =>
  node.inputs.map((_, i) => rewritten(node, i, context));

/** True for a constant, weight or state: something no op computes. */
export const isLeaf = (v: Value | null | undefined): boolean => v == null || v.node.kind === 'buffer';

/** The number that a value is everywhere. */
export function constantOf(v: Value | null | undefined): number | undefined {
  if (v == null || !isOp(v.node, fullOp)) return undefined;
  const { value } = v.node.attrs;
  return typeof value === 'number' ? value : undefined;
}

/** Whether `node` needs the result of `producer`. */
export function dependsOn(node: Node, producer: Node, { position }: MatchContext): boolean {
  const limit = position(producer);
  const seen = new Set<Node>();
  const stack: Node[] = [node];
  for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
    if (at === producer) return true;
    // What comes before the producer cannot need it.
    if (at.kind !== 'op' || seen.has(at) || position(at) < limit) continue;
    seen.add(at);
    for (const v of at.inputs) if (v !== null) stack.push(v.node);
  }
  return false;
}
