// h = x + r; norm(h, w) -> one op with both results, bit for bit the same. In f32 alone: of half floats the norm would see a sum
// that was not rounded.

import { sameShape } from '../../../base/shape.ts';
import { addOp } from '../../ops/elementwise/add.ts';
import { addLayerNormOp, addRmsNormOp } from '../../ops/nn/add-norm.ts';
import { layerNormOp } from '../../ops/nn/layer-norm.ts';
import { rmsNormOp } from '../../ops/nn/rms-norm.ts';
import { isOp, type Node, type OpNode, opNode, type Value, valueType } from '../node.ts';
import { dependsOn, type MatchContext, type Pattern, rewritten } from './pattern.ts';

export const residualNorm: Pattern = {
  name: 'residual_norm',
  root: addOp,
  match: (node, context) => {
    const { shape, dtype } = valueType({ node, index: 0 });
    if (dtype !== 'f32' || !node.inputs.every((v) => v !== null && sameType(valueType(v), shape)))
      return undefined;
    const norm = context.users.get(node)?.find((user) => user !== null && isNormOf(user, node, context));
    if (norm == null) return undefined;
    const inputs = [
      rewritten(node, 0, context),
      rewritten(node, 1, context),
      ...norm.inputs.slice(1).map((_, i) => rewritten(norm, i + 1, context)),
    ];
    const fused = isOp(norm, rmsNormOp)
      ? opNode(addRmsNormOp, inputs, norm.attrs)
      : isOp(norm, layerNormOp) && opNode(addLayerNormOp, inputs, norm.attrs);
    if (!fused) return undefined;
    const [y, h] = [0, 1].map((index): Value => ({ node: fused, index })) as [Value, Value];
    return { values: [h], others: new Map<Node, readonly Value[]>([[norm, [y]]]) };
  },
};

const sameType = (type: ReturnType<typeof valueType>, shape: typeof type.shape): boolean =>
  type.dtype === 'f32' && sameShape(type.shape, shape);

/** A norm of the sum whose weights do not need it. */
function isNormOf(user: OpNode, sum: OpNode, context: MatchContext): boolean {
  if (!isOp(user, rmsNormOp) && !isOp(user, layerNormOp)) return false;
  const [x, ...weights] = user.inputs;
  return x?.node === sum && weights.every((w) => w == null || !dependsOn(w.node, sum, context));
}
