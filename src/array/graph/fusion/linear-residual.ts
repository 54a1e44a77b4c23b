// linear(x, w) + r -> linear with the addition in its epilogue.

import { sameShape } from '../../../base/shape.ts';
import { addOp } from '../../ops/elementwise/add.ts';
import { linearOp } from '../../ops/linear/linear.ts';
import { isOp, opNode, valueType } from '../node.ts';
import { valuesOf } from '../trace.ts';
import { onlyProducer, type Pattern, rewritten, rewrittenInputs } from './pattern.ts';

export const linearResidual: Pattern = {
  name: 'linear_residual',
  root: addOp,
  match: (node, context) => {
    if (!isOp(node, addOp)) return undefined;
    for (const [a, b] of [
      [1, 0],
      [0, 1],
    ] as const) {
      const linear = onlyProducer(node, a, linearOp, context);
      const residual = node.inputs[b];
      if (linear === undefined || residual == null) continue;
      const free = linear.outputs.length === 1 && linear.inputs[2] === null && linear.attrs.glu === 'none';
      if (!free || !sameShape(valueType(residual).shape, valueType({ node, index: 0 }).shape)) continue;
      const inputs = rewrittenInputs(linear, context).map((v, i) =>
        i === 2 ? rewritten(node, b, context) : v,
      );
      return { values: valuesOf(opNode(linearOp, inputs, linear.attrs)) };
    }
    return undefined;
  },
};
