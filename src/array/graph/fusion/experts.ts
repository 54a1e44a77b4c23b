// act(expertLinear(x, gate)) * expertLinear(x, up) -> moeGlu, and the sum over slots of a weighted expertLinear -> moeDown.

import { sameLayout } from '../../../quant/layout.ts';
import { mulOp } from '../../ops/elementwise/mul.ts';
import { type ExpertLinearAttrs, expertLinearOp } from '../../ops/experts/expert-linear.ts';
import { moeDownOp } from '../../ops/experts/moe-down.ts';
import { moeGluOp } from '../../ops/experts/moe-glu.ts';
import { sumOp } from '../../ops/reduce/sum.ts';
import { isOp, type OpNode, opNode, type Value, valueType } from '../node.ts';
import { sameValue, valuesOf } from '../trace.ts';
import { gluActivations } from './glu.ts';
import { onlyProducer, type Pattern, rewritten } from './pattern.ts';

type ExpertLinear = OpNode & { readonly attrs: ExpertLinearAttrs };

export const expertGlu: Pattern = {
  name: 'moe_mlp',
  root: mulOp,
  match: (node, context) => {
    for (const [a, b] of [
      [0, 1],
      [1, 0],
    ] as const) {
      for (const [act, glu] of gluActivations) {
        const activation = onlyProducer(node, a, act, context);
        const gate = activation && onlyProducer(activation, 0, expertLinearOp, context);
        const up = onlyProducer(node, b, expertLinearOp, context);
        if (gate === undefined || up === undefined || !alike(gate, up)) continue;
        const inputs = [
          rewritten(gate, 0, context),
          rewritten(gate, 1, context),
          rewritten(gate, 3, context),
          rewritten(up, 3, context),
        ];
        return { values: valuesOf(opNode(moeGluOp, inputs, { ...gate.attrs, glu })) };
      }
    }
    return undefined;
  },
};

/** Whether one kernel can do both: the same rows and experts, matrices alike, nothing added or scaled. */
function alike(gate: ExpertLinear, up: ExpertLinear): boolean {
  const [x, w, other] = [gate.inputs[0], gate.inputs[3], up.inputs[3]];
  if (x == null || w == null || other == null) return false;
  const [a, b] = [valueType(w).layout, valueType(other).layout];
  const plain = [gate, up].every(({ inputs }) => inputs[2] === null && inputs[4] === null);
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
    if (down === undefined || down.inputs[2] == null || down.inputs[4] !== null) return undefined;
    const x: Value | null = down.inputs[0] ?? null;
    if (x === null || valueType(x).shape.length !== 3) return undefined;
    const inputs = [0, 1, 2, 3].map((i) => rewritten(down, i, context));
    return { values: valuesOf(opNode(moeDownOp, [...inputs, null], down.attrs)) };
  },
};
