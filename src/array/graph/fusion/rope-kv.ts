// rope(q), rope(k), kvWrite -> one ropeKv, where an attention reads all three with the same positions.

import { kvWriteOp } from '../../ops/memory/kv-write.ts';
import { ropeKvOp } from '../../ops/memory/rope-kv.ts';
import { attentionOp } from '../../ops/nn/attention.ts';
import { type RopeAttrs, ropeOp } from '../../ops/nn/rope.ts';
import { attributeKey } from '../attributes.ts';
import { isOp, type Node, type OpNode, opNode, type Value } from '../node.ts';
import { sameValue } from '../trace.ts';
import { dependsOn, type MatchContext, onlyProducer, type Pattern, rewritten } from './pattern.ts';

export const ropeKv: Pattern = {
  name: 'rope_kv',
  root: kvWriteOp,
  match: (node, context) => {
    if (!isOp(node, kvWriteOp)) return undefined;
    const k = onlyProducer(node, 2, ropeOp, context);
    const q = k && matchingQuery(node, k, context);
    if (k === undefined || q === undefined) return undefined;
    const inputs = [
      rewritten(node, 0, context),
      rewritten(node, 1, context),
      rewritten(q, 0, context),
      rewritten(k, 0, context),
      rewritten(node, 3, context),
      rewritten(node, 4, context),
      rewritten(k, 2, context),
      rewritten(q, 3, context),
      rewritten(k, 3, context),
      rewritten(node, 5, context),
      rewritten(node, 6, context),
    ];
    const fused = opNode(ropeKvOp, inputs, { ...k.attrs, ...node.attrs });
    const [kNext, vNext, y] = [0, 1, 2].map((index): Value => ({ node: fused, index })) as [
      Value,
      Value,
      Value,
    ];
    return { values: [kNext, vNext], others: new Map<Node, readonly Value[]>([[q, [y]]]) };
  },
};

type Rope = OpNode & { readonly attrs: RopeAttrs };

/** The rope of the queries that attend to what this kvWrite stored, when it rotates exactly as the keys do. */
function matchingQuery(write: OpNode, k: Rope, context: MatchContext): Rope | undefined {
  const readers = [...new Set(context.users.get(write))].filter((n) => n !== null && isOp(n, attentionOp));
  const query = readers[0]?.inputs[0]?.node;
  if (readers.length !== 1 || query === undefined || !isOp(query, ropeOp)) return undefined;
  const same = (a: number, b: number, other: OpNode): boolean =>
    sameValue(query.inputs[a] ?? null, other.inputs[b] ?? null);
  const positions = same(1, 1, k) && same(1, 4, write);
  const rotation = same(2, 2, k) && attributeKey(query.attrs) === attributeKey(k.attrs);
  if (!positions || !rotation || context.users.get(query)?.length !== 1) return undefined;
  // Queries computed from the cache's new version cannot be rotated before it is written.
  return dependsOn(query, write, context) ? undefined : query;
}
