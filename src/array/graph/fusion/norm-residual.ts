// rmsNorm(x, w) + r -> a norm that adds r to each row it has normed: the norm behind a block and its residual connection. In f32
// alone: half floats would be rounded between.

import { sameShape } from '../../../base/shape.ts';
import { addOp } from '../../ops/elementwise/add.ts';
import { rmsNormOp } from '../../ops/nn/rms-norm.ts';
import { isOp, opNode, valueType } from '../node.ts';
import { valuesOf } from '../trace.ts';
import { onlyProducer, type Pattern, rewritten } from './pattern.ts';

export const normResidual: Pattern = {
  name: 'norm_residual',
  root: addOp,
  match: (node, context) => {
    const { shape, dtype } = valueType({ node, index: 0 });
    if (!isOp(node, addOp) || dtype !== 'f32') return undefined;
    for (const [a, b] of [
      [1, 0],
      [0, 1],
    ] as const) {
      const norm = onlyProducer(node, a, rmsNormOp, context);
      const residual = node.inputs[b];
      if (norm === undefined || residual == null || norm.inputs[2] != null) continue;
      const [own, other] = [valueType({ node: norm, index: 0 }), valueType(residual)];
      if (own.dtype !== 'f32' || other.dtype !== 'f32' || !sameShape(own.shape, shape)) continue;
      if (!sameShape(other.shape, shape)) continue;
      const inputs = [rewritten(norm, 0, context), rewritten(norm, 1, context), rewritten(node, b, context)];
      return { values: valuesOf(opNode(rmsNormOp, inputs, norm.attrs)) };
    }
    return undefined;
  },
};
