// vmap: a function of one example as a function of a batch. The function is traced once on an example's shapes; then every op
// of the trace runs on all examples: by its batch rule, by the rules of its composite, or example by example.

import { IngotError } from '../../base/errors.ts';
import { formatShape, type Shape } from '../../base/shape.ts';
import { NDArray } from '../array.ts';
import { attributeKey } from '../graph/attributes.ts';
import { inputNode, type Node, nextNodeId, type OpNode, resolve, type Value } from '../graph/node.ts';
import { tidy } from '../lifetime.ts';
import type { BatchCall, OpDef } from '../op.ts';
import { broadcastingBatch, toFront } from '../ops/batch.ts';
import { operand } from '../ops/operands.ts';
import { concat } from '../ops/shape/concat.ts';
import { mapTree, type Tree, treeArrays } from './tree.ts';

/** Axis of the batch in every array of an argument; null for an argument that all examples share. */
export type Axis = number | null;

// biome-ignore lint/suspicious/noExplicitAny: any function of trees can be mapped, and its own types are kept
type AnyFunction = (...args: any[]) => any;

/**
 * `fn` over the axis `inAxes` of its arguments (one for all, or one for each; default 0), which are trees of arrays; results get
 * the batch at `outAxes` (default 0). Throws shape_mismatch when the arguments have batches of different sizes.
 */
export function vmap<F extends AnyFunction>(
  fn: F,
  inAxes: Axis | readonly Axis[] = 0,
  outAxes: number | readonly number[] = 0,
): F {
  const mapped = (...args: unknown[]): unknown =>
    tidy(() => {
      const axes = args.map((_, i) =>
        typeof inAxes === 'object' && inAxes !== null ? (inAxes[i] ?? null) : inAxes,
      );
      const arrays = args.flatMap((arg, i) => treeArrays(arg).map((x) => ({ x, axis: axes[i] ?? null })));
      const fronted = arrays.map(({ x, axis }) => (axis === null ? x : toFront(x, axis, 'vmap')));
      const flags = arrays.map(({ axis }) => axis !== null);
      let result: Tree;
      const outputs = mapBatch(
        (list) => {
          let next = 0;
          result = fn(...args.map((arg) => mapTree(arg, () => list[next++])));
          return treeArrays(result);
        },
        fronted,
        flags,
      );
      let next = 0;
      const place = (tree: Tree, axis: number): Tree =>
        mapTree(tree, () => fromFront(operand(outputs, next++), axis));
      if (typeof outAxes === 'number') return place(result, outAxes);
      if (!Array.isArray(result)) {
        throw new IngotError(
          'invalid_argument',
          'vmap: a list of outAxes needs a function that returns a list',
        );
      }
      return result.map((tree, i) => place(tree, outAxes[i] ?? 0));
    });
  return mapped as F;
}

function fromFront(x: NDArray, axis: number): NDArray {
  const rest = x.shape.map((_, i) => i).slice(1);
  const at = axis < 0 ? axis + x.shape.length : axis;
  return x.transpose([...rest.slice(0, at), 0, ...rest.slice(at)]);
}

/** `fn` of example arrays for batches along axis 0 of those flagged; every result has the batch along axis 0. */
export function mapBatch(
  fn: (examples: readonly NDArray[]) => readonly NDArray[],
  arrays: readonly NDArray[],
  batched: readonly boolean[],
): readonly NDArray[] {
  const size = batchSize(arrays, batched);
  const firstNew = nextNodeId();
  const examples = arrays.map((x, i) =>
    batched[i]
      ? new NDArray({
          node: inputNode('an example of vmap', { shape: x.shape.slice(1), dtype: x.dtype }),
          index: 0,
        })
      : x,
  );
  const outputs = fn(examples);
  const done = new Map<Node, readonly NDArray[]>();
  examples.forEach((e, i) => {
    if (batched[i]) done.set(e.value.node, [operand(arrays, i)]);
  });
  for (const node of tracedOps(outputs, firstNew)) {
    const results = batchNode(node, done, size);
    if (results !== null) done.set(node, results);
  }
  return outputs.map((o) => {
    const at = resolve(o.value);
    return done.get(at.node)?.[at.index] ?? o.broadcastTo([size, ...o.shape]);
  });
}

function batchSize(arrays: readonly NDArray[], batched: readonly boolean[]): number {
  const sizes = arrays.flatMap((x, i) => (batched[i] ? [{ i, d: x.shape[0] }] : []));
  const first = sizes[0];
  if (first === undefined) throw new IngotError('invalid_argument', 'vmap: no argument has a batch axis');
  for (const { i, d } of sizes) {
    if (typeof d === 'number' && d === first.d) continue;
    throw new IngotError(
      'shape_mismatch',
      `vmap: array ${i} of shape ${formatShape(arrays[i]?.shape ?? [])} has a batch of ${String(d)}, array ${first.i} of ${String(first.d)}`,
    );
  }
  return first.d as number;
}

/** Ops made since, producers first: ids grow as nodes are made. */
function tracedOps(outputs: readonly NDArray[], firstNew: number): readonly OpNode[] {
  const seen = new Set<Node>();
  const stack = outputs.map((o) => resolve(o.value).node);
  while (stack.length > 0) {
    const node = stack.pop() as Node;
    if (seen.has(node) || node.id < firstNew) continue;
    seen.add(node);
    if (node.kind === 'op') for (const v of node.inputs) if (v !== null) stack.push(resolve(v).node);
  }
  return [...seen].filter((n): n is OpNode => n.kind === 'op').sort((a, b) => a.id - b.id);
}

/** Results of an op for all examples; null when no operand differs between them. */
function batchNode(
  node: OpNode,
  done: ReadonlyMap<Node, readonly NDArray[]>,
  size: number,
): readonly NDArray[] | null {
  const found = node.inputs.map((v) => {
    const at: Value | null = v === null ? null : resolve(v);
    return at === null ? undefined : done.get(at.node)?.[at.index];
  });
  if (found.every((x) => x === undefined)) return null;
  const inputs = node.inputs.map((v, i) => (v === null ? null : (found[i] ?? new NDArray(v))));
  const batched = found.map((x) => x !== undefined);
  const again: BatchCall<object>['again'] = (operands, attrs) =>
    (operands.find((x) => x !== null) as NDArray).applyMany(node.op, operands, attrs ?? node.attrs);
  return batchOp(node, { inputs, batched, size, attrs: node.attrs, again, vmap: mapBatch });
}

function batchOp(node: OpNode, call: BatchCall<object>): readonly NDArray[] {
  const { op } = node;
  if (op.inPlace !== undefined) {
    throw new IngotError('unsupported', `${op.name} updates a State, which vmap cannot do for each example`);
  }
  if (op.batch !== undefined) return op.batch(call);
  if (op.elementwise !== undefined)
    return call.again(broadcastingBatch(call, operand(node.outputs, 0).shape.length));
  const key = `${op.name}${attributeKey(call.attrs)}`;
  // A composite may use its own op where there is nothing to take apart.
  if (op.composite === undefined || expanding.has(key)) return oneByOne(node, call);
  expanding.add(key);
  try {
    return throughComposite(op.composite, call);
  } finally {
    expanding.delete(key);
  }
}

/** Ops whose composites are being mapped. */
const expanding = new Set<string>();

function throughComposite(
  composite: NonNullable<OpDef['composite']>,
  { inputs, batched, attrs }: BatchCall<object>,
): readonly NDArray[] {
  const present = inputs.flatMap((x, i) => (x === null ? [] : [{ x, batched: batched[i] === true }]));
  return mapBatch(
    (list) => {
      let next = 0;
      return composite(
        inputs.map((x) => (x === null ? null : operand(list, next++))),
        attrs,
      );
    },
    present.map((p) => p.x),
    present.map((p) => p.batched),
  );
}

/** The definition: the op on each example. */
function oneByOne(
  { op, attrs, outputs }: OpNode,
  { inputs, batched, size }: BatchCall<object>,
): readonly NDArray[] {
  const results = Array.from({ length: size }, (_, b) => {
    const examples = inputs.map((x, i) => (x === null || !batched[i] ? x : exampleOf(x, b)));
    return (examples.find((x) => x !== null) as NDArray).applyMany(op, examples, attrs);
  });
  return outputs.map((t, j) => {
    const shape: Shape = [1, ...t.shape];
    const rows = results.map((r) => operand(r, j).reshape(shape));
    return rows.length === 0
      ? (inputs.find((x) => x !== null) as NDArray)
          .sum()
          .cast(t.dtype)
          .broadcastTo([0, ...t.shape])
      : concat(rows, 0);
  });
}

const exampleOf = (x: NDArray, b: number): NDArray => x.slice([b, b + 1]).reshape(x.shape.slice(1));
