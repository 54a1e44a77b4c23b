// linear(rmsNorm(x, w)) -> linear with the norm in its prologue, when only that linear uses the norm.

import { linearOp } from '../../ops/linear/linear.ts';
import { rmsNormOp } from '../../ops/nn/rms-norm.ts';
import { isOp, opNode } from '../node.ts';
import { valuesOf } from '../trace.ts';
import { onlyProducer, type Pattern, rewritten, rewrittenInputs } from './pattern.ts';

export const linearNorm: Pattern = {
  name: 'linear_norm',
  root: linearOp,
  match: (node, context) => {
    if (!isOp(node, linearOp) || node.attrs.norm !== null) return undefined;
    const norm = onlyProducer(node, 0, rmsNormOp, context);
    // The kernel knows the norm by its weight.
    if (norm === undefined || norm.inputs[1] == null) return undefined;
    const inputs = [
      rewritten(norm, 0, context),
      rewritten(norm, 1, context),
      ...rewrittenInputs(node, context).slice(2),
    ];
    return { values: valuesOf(opNode(linearOp, inputs, { ...node.attrs, norm: norm.attrs })) };
  },
};
