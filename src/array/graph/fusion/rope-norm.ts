// rope(rmsNorm(x, w)) over heads -> rope with the norm inside, as in models that normalise queries and keys.

import { rmsNormOp } from '../../ops/nn/rms-norm.ts';
import { ropeOp } from '../../ops/nn/rope.ts';
import { isOp, opNode } from '../node.ts';
import { valuesOf } from '../trace.ts';
import { onlyProducer, type Pattern, rewritten } from './pattern.ts';

export const ropeNorm: Pattern = {
  name: 'rope_norm',
  root: ropeOp,
  match: (node, context) => {
    if (!isOp(node, ropeOp) || node.attrs.norm !== null) return undefined;
    const norm = onlyProducer(node, 0, rmsNormOp, context);
    if (norm === undefined || norm.attrs.offset !== 0 || norm.inputs[1] == null) return undefined;
    const inputs = [
      rewritten(norm, 0, context),
      rewritten(node, 1, context),
      rewritten(node, 2, context),
      rewritten(norm, 1, context),
    ];
    return { values: valuesOf(opNode(ropeOp, inputs, { ...node.attrs, norm: { eps: norm.attrs.eps } })) };
  },
};
