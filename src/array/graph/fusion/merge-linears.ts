// linear(x, a), linear(x, b), … -> one linear with several segments: x is read and quantised once.

import { linearOp } from '../../ops/linear/linear.ts';
import { isOp, type Node, opNode, type Value } from '../node.ts';
import { sameValue } from '../trace.ts';
import { isPlain } from './glu.ts';
import { isLeaf, type Pattern, rewritten } from './pattern.ts';

/** Of one dispatch, as many as `kMaxSegments` in native/kernels/linear.cc. */
const maxSegments = 8;

export const mergeLinears: Pattern = {
  name: 'merge_linears',
  root: linearOp,
  match: (node, context) => {
    const x = node.inputs[0];
    if (!isOp(node, linearOp) || x == null) return undefined;
    const { precision } = node.attrs;
    const all = [...new Set(context.users.get(x.node))].filter(
      (n) =>
        n !== null &&
        isOp(n, linearOp) &&
        sameValue(n.inputs[0] ?? null, x) &&
        isPlain(n) &&
        n.attrs.precision === precision &&
        // Weights and biases that are leaves exist before any of the siblings.
        isLeaf(n.inputs[3]) &&
        isLeaf(n.inputs[4]),
    );
    const first = all.indexOf(node);
    const siblings = all.slice(first - (first % maxSegments)).slice(0, maxSegments);
    if (first < 0 || siblings.length < 2) return undefined;
    const segments = siblings.flatMap((n) =>
      n === null ? [] : [rewritten(n, 3, context), rewritten(n, 4, context)],
    );
    const merged = opNode(linearOp, [rewritten(node, 0, context), null, null, ...segments], node.attrs);
    const values = siblings.map((_, index): Value => ({ node: merged, index }));
    const others = new Map<Node, readonly Value[]>();
    siblings.forEach((n, i) => {
      if (n !== null) others.set(n, [values[i] as Value]);
    });
    return { values: others.get(node) ?? [], others };
  },
};
