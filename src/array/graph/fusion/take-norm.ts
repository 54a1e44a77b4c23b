// take(rmsNorm(x), rows) -> rmsNorm(take(x, rows)): norms only the rows that are used, and the norm then fits a linear.

import { takeOp } from '../../ops/indexing/take.ts';
import { rmsNormOp } from '../../ops/nn/rms-norm.ts';
import { isOp, opNode, valueType } from '../node.ts';
import { valuesOf } from '../trace.ts';
import { onlyProducer, type Pattern, rewritten } from './pattern.ts';

export const takeNorm: Pattern = {
  name: 'take_norm',
  root: takeOp,
  match: (node, context) => {
    if (!isOp(node, takeOp)) return undefined;
    const norm = onlyProducer(node, 0, rmsNormOp, context);
    // Rows are whole only when an axis before the last is indexed.
    if (norm === undefined || node.attrs.axis === valueType({ node: norm, index: 0 }).shape.length - 1)
      return undefined;
    const taken = opNode(takeOp, [rewritten(norm, 0, context), rewritten(node, 1, context)], node.attrs);
    const inputs = [{ node: taken, index: 0 }, rewritten(norm, 1, context)];
    return { values: valuesOf(opNode(rmsNormOp, inputs, norm.attrs)) };
  },
};
