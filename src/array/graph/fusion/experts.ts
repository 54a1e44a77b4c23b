// act(expertLinear(x, gate)) * expertLinear(x, up), with the limits that families have -> moeGlu, and the sum over slots of a weighted expertLinear -> moeDown.

import type { Glu } from '../../../kernel/signature.ts';
import { sameLayout } from '../../../quant/layout.ts';
import type { OpDef } from '../../op.ts';
import { addOp } from '../../ops/elementwise/add.ts';
import { maximumOp } from '../../ops/elementwise/maximum.ts';
import { minimumOp } from '../../ops/elementwise/minimum.ts';
import { mulOp } from '../../ops/elementwise/mul.ts';
import { sigmoidOp } from '../../ops/elementwise/sigmoid.ts';
import { type ExpertLinearAttrs, expertLinearOp } from '../../ops/experts/expert-linear.ts';
import { moeDownOp } from '../../ops/experts/moe-down.ts';
import { moeGluOp } from '../../ops/experts/moe-glu.ts';
import { sumOp } from '../../ops/reduce/sum.ts';
import { isOp, type Node, type OpNode, opNode, type Value, valueType } from '../node.ts';
import { sameValue, valuesOf } from '../trace.ts';
import { gluActivations } from './glu.ts';
import { constantOf, type MatchContext, onlyProducer, type Pattern, rewritten } from './pattern.ts';

type ExpertLinear = OpNode & { readonly attrs: ExpertLinearAttrs };

export const expertGlu: Pattern = {
  name: 'moe_mlp',
  root: mulOp,
  match: (node, context) => {
    for (const [a, b] of bothWays) {
      const inner = new Set<Node>();
      const opened = openGate(node.inputs[a], inner);
      const through = opened && passage(node.inputs[b], opened.limit, inner);
      if (opened === undefined || through === undefined) continue;
      const [gate, up] = [opened.gate, through.up];
      if (!alike(gate, up) || !onlyUsedWithin(inner, node, context)) continue;
      const inputs = [0, 1, 3].map((i) => rewritten(gate, i, context));
      const biases = [rewritten(gate, 4, context), rewritten(up, 4, context)];
      const { glu, limit, alpha } = opened;
      const attrs = { ...gate.attrs, glu, limit, alpha, offset: through.offset };
      const values = [...inputs, rewritten(up, 3, context), ...biases];
      return { values: valuesOf(opNode(moeGluOp, values, attrs)) };
    }
    return undefined;
  },
};

const bothWays = [
  [0, 1],
  [1, 0],
] as const;

/** The node of a value when it is an `op`, noted as one that the match takes. */
function made<A extends object>(
  v: Value | null | undefined,
  op: OpDef<A>,
  inner: Set<Node>,
): (OpNode & { readonly attrs: A }) | undefined {
  if (v == null || !isOp(v.node, op)) return undefined;
  inner.add(v.node);
  return v.node;
}

/** The operand of a two-sided op beside a number, and the number. */
function besideNumber(
  node: OpNode | undefined,
): { readonly value: Value; readonly number: number } | undefined {
  for (const [a, b] of bothWays) {
    const [value, number] = [node?.inputs[a], constantOf(node?.inputs[b])];
    if (value != null && number !== undefined) return { value, number };
  }
  return undefined;
}

interface OpenGate {
  readonly gate: ExpertLinear;
  readonly glu: Exclude<Glu, 'none'>;
  readonly limit: number;
  readonly alpha: number;
}

/** act(gate) or gate sigmoid(alpha gate), where gate may be kept below a limit. */
function openGate(v: Value | null | undefined, inner: Set<Node>): OpenGate | undefined {
  for (const [act, glu] of gluActivations) {
    const activation = made(v, act, inner);
    if (activation !== undefined) return limited(activation.inputs[0], { glu, alpha: 0 }, inner);
  }
  const product = made(v, mulOp, inner);
  for (const [a, b] of bothWays) {
    const sigmoid = made(product?.inputs[b], sigmoidOp, inner);
    const scaled = besideNumber(made(sigmoid?.inputs[0], mulOp, inner));
    if (scaled === undefined || !sameValue(scaled.value, product?.inputs[a] ?? null)) continue;
    return limited(scaled.value, { glu: 'silu', alpha: scaled.number }, inner);
  }
  return undefined;
}

function limited(
  v: Value | null | undefined,
  form: Pick<OpenGate, 'glu' | 'alpha'>,
  inner: Set<Node>,
): OpenGate | undefined {
  const limit = besideNumber(made(v, minimumOp, inner));
  const gate = made(limit?.value ?? v, expertLinearOp, inner);
  if (gate === undefined || (limit !== undefined && !(limit.number > 0))) return undefined;
  return { gate, limit: limit?.number ?? 0, ...form };
}

/** up, kept within ± limit where there is one, plus a number. */
function passage(
  v: Value | null | undefined,
  limit: number,
  inner: Set<Node>,
): { readonly up: ExpertLinear; readonly offset: number } | undefined {
  const sum = besideNumber(made(v, addOp, inner));
  let value = sum?.value ?? v;
  if (limit > 0) {
    const low = besideNumber(made(value, maximumOp, inner));
    const high = low && besideNumber(made(low.value, minimumOp, inner));
    if (low?.number !== -limit || high?.number !== limit) return undefined;
    value = high.value;
  }
  const up = made(value, expertLinearOp, inner);
  return up && { up, offset: sum?.number ?? 0 };
}

/** Whether only the root and nodes of the match use what is inside of it. */
const onlyUsedWithin = (inner: ReadonlySet<Node>, root: OpNode, { users }: MatchContext): boolean =>
  [...inner].every((n) => users.get(n)?.every((user) => user === root || (user !== null && inner.has(user))));

/** Whether one kernel can do both: the same rows and experts, matrices alike, nothing scaled. */
function alike(gate: ExpertLinear, up: ExpertLinear): boolean {
  const [x, w, other] = [gate.inputs[0], gate.inputs[3], up.inputs[3]];
  if (x == null || w == null || other == null) return false;
  const [a, b] = [valueType(w).layout, valueType(other).layout];
  const plain = [gate, up].every(({ inputs }) => inputs[2] === null);
  const shared = [0, 1].every((i) => sameValue(gate.inputs[i] ?? null, up.inputs[i] ?? null));
  const layouts = a !== undefined && b !== undefined && sameLayout(a, b);
  return (
    plain &&
    shared &&
    layouts &&
    valueType(x).shape.length === 2 &&
    gate.attrs.precision === up.attrs.precision
  );
}

export const expertSum: Pattern = {
  name: 'moe_mlp',
  root: sumOp,
  match: (node, context) => {
    if (!isOp(node, sumOp) || node.attrs.keepDims || node.attrs.axes.join() !== '1') return undefined;
    const down = onlyProducer(node, 0, expertLinearOp, context);
    if (down === undefined || down.inputs[2] == null) return undefined;
    const x: Value | null = down.inputs[0] ?? null;
    if (x === null || valueType(x).shape.length !== 3) return undefined;
    const inputs = [0, 1, 2, 3].map((i) => rewritten(down, i, context));
    const values = [...inputs, null, rewritten(down, 4, context)];
    return { values: valuesOf(opNode(moeDownOp, values, down.attrs)) };
  },
};
