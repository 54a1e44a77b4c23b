// act(linear(x, gate)) * linear(x, up) -> one linear with two segments and the activation in its epilogue.

import { sameShape } from '../../../base/shape.ts';
import type { Glu } from '../../../kernel/signature.ts';
import type { OpDef } from '../../op.ts';
import { geluOp } from '../../ops/elementwise/gelu.ts';
import { geluTanhOp } from '../../ops/elementwise/gelu-tanh.ts';
import { mulOp } from '../../ops/elementwise/mul.ts';
import { siluOp } from '../../ops/elementwise/silu.ts';
import { linearOp } from '../../ops/linear/linear.ts';
import type { PatternName } from '../../patterns.ts';
import { isOp, opNode, valueType } from '../node.ts';
import { sameValue, valuesOf } from '../trace.ts';
import { onlyProducer, type Pattern, rewritten } from './pattern.ts';

/** Activations that kernels know, and the ops they are. */
export const gluActivations: readonly (readonly [OpDef, Exclude<Glu, 'none'>])[] = [
  [siluOp, 'silu'],
  [geluTanhOp, 'gelu_tanh'],
  [geluOp, 'gelu_erf'],
];

const gluPattern = (patternName: PatternName, activations: readonly Exclude<Glu, 'none'>[]): Pattern => ({
  name: patternName,
  root: mulOp,
  match: (node, context) => {
    if (!isOp(node, mulOp)) return undefined;
    for (const [a, b] of [
      [0, 1],
      [1, 0],
    ] as const) {
      for (const [act, name] of gluActivations) {
        if (!activations.includes(name)) continue;
        const activation = onlyProducer(node, a, act, context);
        const gate = activation && onlyProducer(activation, 0, linearOp, context);
        const up = onlyProducer(node, b, linearOp, context);
        if (gate === undefined || up === undefined || !isPlain(gate) || !isPlain(up)) continue;
        const shared = sameValue(gate.inputs[0] ?? null, up.inputs[0] ?? null);
        const fits = sameShape(
          valueType({ node: gate, index: 0 }).shape,
          valueType({ node: up, index: 0 }).shape,
        );
        if (!shared || !fits || gate.attrs.precision !== up.attrs.precision) continue;
        const inputs = [
          ...[0, 1, 2, 3, 4].map((i) => rewritten(gate, i, context)),
          ...[3, 4].map((i) => rewritten(up, i, context)),
        ];
        return { values: valuesOf(opNode(linearOp, inputs, { ...gate.attrs, glu: name })) };
      }
    }
    return undefined;
  },
});

export const swigluMlp = gluPattern('swiglu_mlp', ['silu']);
export const gegluMlp = gluPattern('geglu_mlp', ['gelu_tanh', 'gelu_erf']);

/** A linear as users write it: one weight, nothing fused. */
export const isPlain = (node: {
  readonly inputs: readonly unknown[];
  readonly attrs: { readonly norm: unknown; readonly glu: Glu };
}): boolean =>
  node.inputs.length === 5 &&
  node.inputs[2] === null &&
  node.attrs.norm === null &&
  node.attrs.glu === 'none';
