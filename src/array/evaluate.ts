// Runs lazy arrays outside of compile: one program for everything asked for, then the arrays hold their results.

import { bytesPerElement, type TypedArray } from '../base/dtype.ts';
import { IngotError } from '../base/errors.ts';
import { maxElements } from '../base/shape.ts';
import type { Device } from '../device/device.ts';
import type { NDArray } from './array.ts';
import { currentDevice } from './context.ts';
import {
  type BufferNode,
  bufferNode,
  type Node,
  type OpNode,
  resolve,
  type Value,
  valueType,
} from './graph/node.ts';
import { assemble, optimise } from './graph/pipeline.ts';
import { topologicalOrder, valuesOf } from './graph/trace.ts';
import { release, retain, settle, tidy } from './lifetime.ts';
import { typedView } from './ops/operands.ts';

type Wrap = (v: Value) => NDArray;

/** Computes these values if they have not been. */
export async function evaluateValues(values: readonly Value[], wrap: Wrap): Promise<void> {
  const pending = [...new Set(values.map((v) => resolve(v).node).filter((n) => n.kind !== 'buffer'))];
  if (pending.length === 0) return;
  const order = topologicalOrder(pending.flatMap(valuesOf));
  const input = order.find((n) => n.kind === 'input');
  if (input !== undefined) {
    throw new IngotError(
      'invalid_argument',
      `the array depends on the plan input ${input.kind === 'input' ? input.name : ''}: return it from the compiled function and read the plan's output`,
    );
  }
  // Updates of states run once: every one that is reached becomes a result, in order.
  const wanted = new Set<Node>(pending);
  const nodes = order
    .filter((n) => n.kind === 'op')
    .filter((n) => wanted.has(n) || n.op.inPlace !== undefined);
  await runNodes(nodes, deviceOf(order), wrap);
}

async function runNodes(nodes: readonly OpNode[], device: Device, wrap: Wrap): Promise<void> {
  const outputs = nodes.flatMap((node) => valuesOf(node));
  const leaves: Node[] = [];
  const { places, compiled } = tidy(() => {
    const graph = optimise(outputs, [], { device, wrap });
    const assembled = assemble(graph, { device, wrap }, new Map());
    for (const leaf of topologicalOrder(graph.outputs)) {
      if (leaf.kind !== 'buffer') continue;
      retain(leaf);
      leaves.push(leaf);
    }
    return { places: assembled.outputs, compiled: device.compile(assembled.program) };
  });
  try {
    await compiled.run({});
    let at = 0;
    for (const node of nodes) {
      const realized = node.outputs.map((_, index) =>
        realizedNode(node, index, device, places[at++]?.buffer),
      );
      if (node.realized === undefined)
        settle(
          node,
          realized.map((r) => ({ node: r })),
        );
    }
  } finally {
    compiled.dispose();
    for (const leaf of leaves) release(leaf);
  }
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
