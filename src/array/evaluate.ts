// Runs lazy arrays outside of compile: one program for everything asked for, then the arrays hold their results.

import { bytesPerElement, type TypedArray } from '../base/dtype.ts';
import { IngotError } from '../base/errors.ts';
import { maxElements } from '../base/shape.ts';
import type { Device } from '../device/device.ts';
import type { NDArray } from './array.ts';
import { currentDevice } from './context.ts';
import { runEagerly } from './eager.ts';
import {
  type BufferNode,
  bufferNode,
  type Node,
  type OpNode,
  resolve,
  twoDevices,
  type Value,
  valueType,
} from './graph/node.ts';
import { isView } from './graph/schedule.ts';
import { staleState, topologicalOrder, valuesOf } from './graph/trace.ts';
import { release, retain, settle } from './lifetime.ts';
import { typedView } from './ops/operands.ts';
import { isCrowded, reclaim } from './reclaim.ts';

export type Wrap = (v: Value) => NDArray;

/** Computes these values if they have not been. */
export async function evaluateValues(values: readonly Value[], wrap: Wrap): Promise<void> {
  if (isCrowded()) await reclaim();
  const pending = [...new Set(values.map((v) => resolve(v).node).filter((n) => n.kind !== 'buffer'))];
  if (pending.length === 0) return;
  const order = topologicalOrder(pending.flatMap(valuesOf));
  const device = deviceOf(order);
  checkLeaves(order, device);
  const nodes = resultsOf(order, new Set(pending));
  const leaves = order.filter((n) => n.kind === 'buffer');
  for (const leaf of leaves) retain(leaf); // a handle may be disposed while the run is under way
  try {
    const buffers = await runEagerly(nodes, order, device, wrap);
    let at = 0;
    for (const node of nodes) {
      const realized = node.outputs.map((_, index) => realizedNode(node, index, device, buffers[at++]));
      if (node.realized === undefined)
        settle(
          node,
          realized.map((r) => ({ node: r })),
        );
      else for (const r of realized) if (r.owned) r.buffer.dispose(); // another evaluation was faster
    }
  } finally {
    for (const leaf of leaves) release(leaf);
  }
}

/** Throws when a graph needs what only a plan has, or memory that is no longer what it was. */
function checkLeaves(order: readonly Node[], device: Device): void {
  for (const node of order) {
    if (node.kind === 'input') {
      throw new IngotError(
        'invalid_argument',
        `the array depends on the plan input ${node.name}: return it from the compiled function and read the plan's output`,
      );
    }
    if (node.kind !== 'buffer') continue;
    if (node.device !== device) {
      throw new IngotError(
        'invalid_argument',
        `${node.role} ${node.label} is on ${twoDevices(node.device, device)}`,
      );
    }
    if (node.stale) throw staleState(node.label);
  }
}

/** Ops that were computed without being kept because they cost little: the second time they are kept. */
const computed = new WeakSet<OpNode>();

/**
 * The ops whose results are kept: those asked for; updates of States, which run once; and what somebody still holds and would
 * compute again. A chain of elementwise ops whose handles were merely not disposed stays one pass over memory, until it
 * is needed a second time.
 */
function resultsOf(order: readonly Node[], wanted: ReadonlySet<Node>): readonly OpNode[] {
  const ops = order.filter((n) => n.kind === 'op');
  const uses = new Map<Node, number>();
  for (const node of ops) {
    for (const v of node.inputs) if (v !== null) uses.set(v.node, (uses.get(v.node) ?? 0) + 1);
  }
  return ops.filter((node) => {
    if (wanted.has(node) || node.op.inPlace !== undefined) return true;
    const others = node.refs - (uses.get(node) ?? 0);
    if (others <= 0 || node.inputs.length === 0 || isView(node)) return false;
    if (others > 1 || node.op.elementwise === undefined || computed.has(node)) return true;
    computed.add(node);
    return false;
  });
}

/** The leaf that stands for an output from now on. */
function realizedNode(
  node: OpNode,
  index: number,
  device: Device,
  buffer: BufferNode['buffer'] | undefined,
): BufferNode {
  const type = valueType({ node, index });
  if (buffer === undefined) throw new IngotError('internal', `no result for ${node.op.name}`);
  const source = node.op.inPlace?.[index];
  if (source === undefined) {
    return bufferNode({ role: 'constant', device, buffer, label: node.op.name, owned: true, type });
  }
  const from = node.inputs[source];
  const before = from == null ? null : resolve(from).node;
  if (before?.kind !== 'buffer') throw new IngotError('internal', `${node.op.name}: its state has no buffer`);
  before.stale = true;
  const origin = before.origin ?? before;
  return bufferNode({ role: 'state', device, buffer, label: before.label, owned: false, type, origin });
}

/** The device all buffers of a graph are on. */
function deviceOf(order: readonly Node[]): Device {
  for (const node of order) if (node.kind === 'buffer') return node.device;
  return currentDevice();
}

/** Reads a value, computing it first if needed. */
export async function readValue(v: Value, wrap: Wrap): Promise<TypedArray> {
  await evaluateValues([v], wrap);
  const { node, index } = resolve(v);
  if (node.kind !== 'buffer') throw new IngotError('internal', 'an evaluated array has no buffer');
  const { shape, dtype, layout } = valueType({ node, index });
  if (layout !== undefined)
    throw new IngotError('invalid_argument', 'packed weights have no elements to read');
  const bytes = await node.device.read(node.buffer, 0, maxElements(shape) * bytesPerElement(dtype));
  return typedView(dtype, aligned(bytes));
}

/** Typed views need an aligned start. */
export const aligned = (bytes: Uint8Array): Uint8Array =>
  bytes.byteOffset % 8 === 0 ? bytes : bytes.slice();
