// softmax, topk and the division by the sum, written out -> moeRoute. Models of the engine say moeRoute themselves; these
// are for functions and modules of users. Both break ties to the lower expert.

import { divOp } from '../../ops/elementwise/div.ts';
import { moeRouteOp } from '../../ops/experts/moe-route.ts';
import { topkOp } from '../../ops/indexing/topk.ts';
import { softmaxOp } from '../../ops/reduce/softmax.ts';
import { sumOp } from '../../ops/reduce/sum.ts';
import { isOp, type Node, type OpNode, opNode, type Value, valueType } from '../node.ts';
import { sameValue } from '../trace.ts';
import { onlyProducer, type Pattern, rewritten, rewrittenInputs } from './pattern.ts';

const plain = { normTopk: false, epsilon: 0, scale: 1 } as const;

/** Rows of logits that the kernel takes. */
const isLogits = (v: Value | null | undefined): boolean =>
  v != null && valueType(v).dtype === 'f32' && valueType(v).shape.length === 2;

/** topk(softmax(logits)) */
export const softmaxThenRoute: Pattern = {
  name: 'router',
  root: topkOp,
  match: (node, context) => {
    if (!isOp(node, topkOp)) return undefined;
    const softmax = onlyProducer(node, 0, softmaxOp, context);
    if (softmax === undefined || !isLogits(softmax.inputs[0])) return undefined;
    const attrs = { ...plain, k: node.attrs.k, mode: 'softmax-topk' as const };
    const route = opNode(moeRouteOp, [rewritten(softmax, 0, context), null], attrs);
    return { values: [1, 0].map((index): Value => ({ node: route, index })) };
  },
};

/** softmax(values of topk(logits)) */
export const routeThenSoftmax: Pattern = {
  name: 'router',
  root: softmaxOp,
  match: (node, context) => {
    const values = node.inputs[0];
    if (values == null || values.index !== 0 || !isOp(values.node, topkOp)) return undefined;
    const topk: OpNode = values.node;
    const users = context.users.get(topk) ?? [];
    // Whoever else reads the values wants the logits.
    const others = users.filter((u) => u !== node);
    const onlyIds = others.every((u) =>
      u?.inputs.every((v) => v === null || v.node !== topk || v.index === 1),
    );
    if (!onlyIds || !isLogits(topk.inputs[0])) return undefined;
    const attrs = { ...plain, k: values.node.attrs.k, mode: 'topk-softmax' as const };
    const route = opNode(moeRouteOp, [rewritten(topk, 0, context), null], attrs);
    const [ids, weights] = [0, 1].map((index): Value => ({ node: route, index })) as [Value, Value];
    // Users of the ids that come before the softmax were rebuilt already: they keep the topk.
    const early = others.some((u) => u === null || context.position(u) < context.position(node));
    return early
      ? undefined
      : { values: [weights], others: new Map<Node, readonly Value[]>([[topk, [weights, ids]]]) };
  },
};

/** weights / sum of weights */
export const normedRoutes: Pattern = {
  name: 'router',
  root: divOp,
  match: (node, context) => {
    const weights = node.inputs[0];
    if (weights == null || weights.index !== 1 || !isOp(weights.node, moeRouteOp)) return undefined;
    const route = weights.node;
    const sum = onlyProducer(node, 1, sumOp, context);
    if (sum === undefined || !sum.attrs.keepDims || sum.attrs.axes.join() !== '1') return undefined;
    if (!sameValue(sum.inputs[0] ?? null, weights) || route.attrs.normTopk) return undefined;
    const others = (context.users.get(route) ?? []).filter((u) => u !== node && u !== sum);
    const late = others.every((u) => u !== null && context.position(u) > context.position(node));
    const onlyIds = others.every((u) =>
      u?.inputs.every((v) => v === null || v.node !== route || v.index === 0),
    );
    if (!late || !onlyIds) return undefined;
    const inputs = rewrittenInputs(route, context);
    const normed = opNode(moeRouteOp, inputs, { ...route.attrs, normTopk: true });
    const values = [0, 1].map((index): Value => ({ node: normed, index })) as [Value, Value];
    return { values: [values[1]], others: new Map<Node, readonly Value[]>([[route, values]]) };
  },
};
