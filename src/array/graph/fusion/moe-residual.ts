// moeDown(…) + r -> moeDown that starts from r.

import { sameShape } from '../../../base/shape.ts';
import { addOp } from '../../ops/elementwise/add.ts';
import { moeDownOp } from '../../ops/experts/moe-down.ts';
import { isOp, opNode, valueType } from '../node.ts';
import { valuesOf } from '../trace.ts';
import { onlyProducer, type Pattern, rewritten, rewrittenInputs } from './pattern.ts';

export const moeResidual: Pattern = {
  name: 'moe_residual',
  root: addOp,
  match: (node, context) => {
    if (!isOp(node, addOp)) return undefined;
    for (const [a, b] of [
      [1, 0],
      [0, 1],
    ] as const) {
      const down = onlyProducer(node, a, moeDownOp, context);
      const residual = node.inputs[b];
      if (down === undefined || down.inputs[4] !== null || residual == null) continue;
      if (!sameShape(valueType(residual).shape, valueType({ node, index: 0 }).shape)) continue;
      const inputs = rewrittenInputs(down, context).map((v, i) =>
        i === 4 ? rewritten(node, b, context) : v,
      );
      return { values: valuesOf(opNode(moeDownOp, inputs, down.attrs)) };
    }
    return undefined;
  },
};
