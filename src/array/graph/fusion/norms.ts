// Norms that are written out with means and square roots -> rmsNorm and layerNorm, then the weight and bias behind them into
// the same op. Models of the engine say the norms themselves; these are for functions and modules of users.

import { sameShape } from '../../../base/shape.ts';
import type { OpDef } from '../../op.ts';
import { addOp } from '../../ops/elementwise/add.ts';
import { divOp } from '../../ops/elementwise/div.ts';
import { mulOp } from '../../ops/elementwise/mul.ts';
import { rsqrtOp } from '../../ops/elementwise/rsqrt.ts';
import { sqrtOp } from '../../ops/elementwise/sqrt.ts';
import { squareOp } from '../../ops/elementwise/square.ts';
import { subOp } from '../../ops/elementwise/sub.ts';
import { layerNormOp } from '../../ops/nn/layer-norm.ts';
import { rmsNormOp } from '../../ops/nn/rms-norm.ts';
import { meanOp } from '../../ops/reduce/mean.ts';
import { isOp, type OpNode, opNode, type Value, valueType } from '../node.ts';
import { sameValue, valuesOf } from '../trace.ts';
import { constantOf, type MatchContext, onlyProducer, type Pattern, rewritten } from './pattern.ts';

/** What is divided by the root of its mean square, and what keeps that from zero. */
interface Normalised {
  readonly x: Value;
  readonly eps: number;
}

const bothWays = [
  [0, 1],
  [1, 0],
] as const;

/** `x · rsqrt(mean(x²) + eps)` or `x / sqrt(mean(x²) + eps)` along the last axis. */
function normalised(node: OpNode, context: MatchContext): Normalised | undefined {
  if (isOp(node, divOp)) return meanSquareOf(node, { x: 0, root: 1, rootOp: sqrtOp }, context);
  for (const [x, root] of bothWays) {
    const found = meanSquareOf(node, { x, root, rootOp: rsqrtOp }, context);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Operand `x` when operand `root` is the root of its mean square. */
function meanSquareOf(
  node: OpNode,
  at: { readonly x: number; readonly root: number; readonly rootOp: OpDef },
  context: MatchContext,
): Normalised | undefined {
  const x = node.inputs[at.x];
  const root = onlyProducer(node, at.root, at.rootOp, context);
  const sum = root && onlyProducer(root, 0, addOp, context);
  if (x == null || sum === undefined) return undefined;
  const { shape, dtype } = valueType(x);
  for (const [a, b] of bothWays) {
    const mean = onlyProducer(sum, a, meanOp, context);
    const eps = constantOf(sum.inputs[b]);
    if (mean === undefined || eps === undefined || !(eps >= 0)) continue;
    const lastAxis = mean.attrs.keepDims && mean.attrs.axes.join() === String(shape.length - 1);
    const square = onlyProducer(mean, 0, squareOp, context) ?? onlyProducer(mean, 0, mulOp, context);
    const same = square?.inputs.every((v) => sameValue(v, x)) === true;
    if (lastAxis && same && valueType({ node, index: 0 }).dtype === dtype) return { x, eps };
  }
  return undefined;
}

const rmsNormPattern = (root: OpDef): Pattern => ({
  name: 'norms',
  root,
  match: (node, context) => {
    const found = normalised(node, context);
    if (found === undefined) return undefined;
    const { x, eps } = found;
    return { values: valuesOf(opNode(rmsNormOp, [context.lookup(x), null], { eps, offset: 0 })) };
  },
});

const layerNormPattern = (root: OpDef): Pattern => ({
  name: 'norms',
  root,
  match: (node, context) => {
    const found = normalised(node, context);
    if (found === undefined || !isOp(found.x.node, subOp)) return undefined;
    const centred = found.x.node;
    const [x, mean] = centred.inputs;
    if (x == null || mean == null || !isOp(mean.node, meanOp)) return undefined;
    const axis = valueType(x).shape.length - 1;
    const { keepDims, axes } = mean.node.attrs;
    if (!keepDims || axes.join() !== String(axis) || !sameValue(mean.node.inputs[0] ?? null, x))
      return undefined;
    return {
      values: valuesOf(opNode(layerNormOp, [context.lookup(x), null, null], { eps: found.eps })),
    };
  },
});

/** Before `rmsNorms`: what is left of a layer norm after its mean is an RMS norm. */
export const layerNorms = [layerNormPattern(mulOp), layerNormPattern(divOp)];
export const rmsNorms = [rmsNormPattern(mulOp), rmsNormPattern(divOp)];

/** norm(x) · weight, and layerNorm(x) + bias. */
export const normWeights: readonly Pattern[] = [
  {
    name: 'norms',
    root: mulOp,
    match: (node, context) => {
      for (const [a, b] of bothWays) {
        const rms = onlyProducer(node, a, rmsNormOp, context);
        if (rms !== undefined && rms.inputs[1] === null && isRow(node, b)) {
          const inputs = [rewritten(rms, 0, context), rewritten(node, b, context)];
          return { values: valuesOf(opNode(rmsNormOp, inputs, rms.attrs)) };
        }
        const layer = onlyProducer(node, a, layerNormOp, context);
        if (layer !== undefined && layer.inputs[1] === null && layer.inputs[2] === null && isRow(node, b)) {
          const inputs = [rewritten(layer, 0, context), rewritten(node, b, context), null];
          return { values: valuesOf(opNode(layerNormOp, inputs, layer.attrs)) };
        }
      }
      return undefined;
    },
  },
  {
    name: 'norms',
    root: addOp,
    match: (node, context) => {
      for (const [a, b] of bothWays) {
        const layer = onlyProducer(node, a, layerNormOp, context);
        if (layer === undefined || layer.inputs[2] !== null || !isRow(node, b)) continue;
        const inputs = [
          rewritten(layer, 0, context),
          rewritten(layer, 1, context),
          rewritten(node, b, context),
        ];
        return { values: valuesOf(opNode(layerNormOp, inputs, layer.attrs)) };
      }
      return undefined;
    },
  },
];

/** Whether operand i is one number for each column of the result. */
function isRow(node: OpNode, i: number): boolean {
  const v = node.inputs[i];
  const { shape, dtype } = valueType({ node, index: 0 });
  if (v == null) return false;
  const type = valueType(v);
  return type.dtype === dtype && sameShape(type.shape, shape.slice(-1));
}
