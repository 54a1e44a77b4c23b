// Replaces ops the device cannot run: by their composite, by casts around them for half floats, or by a constant.

import { bytesPerElement, type DType } from '../../base/dtype.ts';
import { IngotError } from '../../base/errors.ts';
import { maxElements } from '../../base/shape.ts';
import type { Device } from '../../device/device.ts';
import { registerKind } from '../../kernel/expr.ts';
import type { NDArray } from '../array.ts';
import { castOp } from '../ops/elementwise/cast.ts';
import { operand, typedView } from '../ops/operands.ts';
import type { PatternSet } from '../patterns.ts';
import type { ValueType } from '../types.ts';
import { attributeKey } from './attributes.ts';
import type { OnMatch } from './fusion/pattern.ts';
import { hasKernels } from './lower.ts';
import {
  bufferNode,
  type Graph,
  type Node,
  nextNodeId,
  type OpNode,
  opNode,
  type Value,
  valueType,
} from './node.ts';
import { formatType } from './print.ts';
import { rewriteGraph, sameValue, topologicalOrder, valuesOf } from './trace.ts';

export interface PassContext {
  readonly device: Device;
  /** The fusions that may be used; default all. */
  readonly patterns?: PatternSet;
  /** Told which fusions applied. */
  readonly onMatch?: OnMatch;
  /** Makes a handle of a value, for composites; array.ts cannot be imported from here. */
  wrap(v: Value): NDArray;
}

/** A graph in which every op has a lowering for the device's kind of kernel. */
export function expand(graph: Graph, context: PassContext): Graph {
  return rewriteGraph(graph, (node, inputs) => replaceNode(node, inputs, context, 0));
}

/** Depth of composites inside composites; more means that one leads back to itself. */
const maxDepth = 16;

function replaceNode(
  node: OpNode,
  inputs: readonly (Value | null)[],
  context: PassContext,
  depth: number,
): readonly Value[] | undefined {
  const current: OpNode = { ...node, refs: 0, inputs };
  switch (lowerability(current, context.device)) {
    case 'lowered':
      return undefined;
    case 'cast':
      return castAround(current);
    case 'missing':
      return compose(current, context, depth);
  }
}

/** Whether the device runs the op as it is, as f32, or not at all. */
function lowerability(node: OpNode, device: Device): 'lowered' | 'cast' | 'missing' {
  const { op, attrs, outputs } = node;
  if (device.kernels === 'js') return op.composed ? 'missing' : 'lowered';
  const inputs = node.inputs.map((v) => (v === null ? null : valueType(v)));
  if (op.view !== undefined && op.view(inputs, attrs) !== null) return 'lowered';
  if (op.elementwise !== undefined) {
    const kinds = inputs.map((t) => registerKind(operand([t], 0).dtype));
    const result = registerKind(operand(outputs, 0).dtype);
    const known = op.elementwise.opcode(kinds, result, attrs) !== undefined;
    return known && hasKernels(node, device) ? 'lowered' : 'missing';
  }
  if (op.kernel === undefined || op.kernel.supports?.(inputs, outputs, attrs) === false) return 'missing';
  const { halfFloats = false } = op.kernel;
  const asIs = typeof halfFloats === 'boolean' ? halfFloats : halfFloats(inputs);
  const halves = [...inputs, ...outputs].some((t) => t !== null && isHalf(t));
  if ((asIs || !halves) && hasKernels(node, device)) return 'lowered';
  return halves && hasKernels(inSingle(node), device) ? 'cast' : 'missing';
}

const isHalf = (t: ValueType): boolean =>
  (t.dtype === 'f16' || t.dtype === 'bf16') && t.layout === undefined && t.state !== true;

const castValue = (v: Value, dtype: DType): Value => ({ node: opNode(castOp, [v], { dtype }), index: 0 });

/** The op on f32 operands. */
function inSingle(node: OpNode): OpNode {
  const inputs = node.inputs.map((v) => (v !== null && isHalf(valueType(v)) ? castValue(v, 'f32') : v));
  return opNode(node.op, inputs, node.attrs);
}

/** The op on f32 operands, its f32 results back in the dtypes they had. */
const castAround = (node: OpNode): readonly Value[] =>
  valuesOf(inSingle(node)).map((v, i) => {
    const { dtype } = operand(node.outputs, i);
    return valueType(v).dtype === dtype ? v : castValue(v, dtype);
  });

/** The composite, expanded in turn. */
function compose(node: OpNode, context: PassContext, depth: number): readonly Value[] {
  if (node.op.composite === undefined) return constant(node, context.device);
  if (depth >= maxDepth) {
    throw new IngotError(
      'internal',
      `composite of ${node.op.name} does not end (operands ${operandTypes(node)})`,
    );
  }
  const firstNew = nextNodeId();
  const handles = node.inputs.map((v) => (v === null ? null : context.wrap(v)));
  const results = node.op.composite(handles, node.attrs).map((a) => a.value);
  if (results.some((v) => isSameOp(v.node, node))) throw noKernel(node, context.device);
  const done = new Map<Node, readonly Value[]>();
  const lookup = (v: Value): Value => done.get(v.node)?.[v.index] ?? v;
  for (const inner of topologicalOrder(results)) {
    if (inner.kind !== 'op' || inner.id < firstNew) continue;
    const inputs = inner.inputs.map((v) => (v === null ? null : lookup(v)));
    const replaced = replaceNode(inner, inputs, context, depth + 1);
    done.set(inner, replaced ?? valuesOf({ ...inner, refs: 0, inputs }));
  }
  return results.map(lookup);
}

/** What takes a fused form apart leaves the plain form of the op: without a kernel there is nothing to take apart. */
const isSameOp = (result: Node, node: OpNode): boolean =>
  result.kind === 'op' &&
  result.op === node.op &&
  result.inputs.length === node.inputs.length &&
  result.inputs.every((v, i) => sameValue(v, node.inputs[i] ?? null)) &&
  attributeKey(result.attrs) === attributeKey(node.attrs);

const noKernel = (node: OpNode, device: Device): IngotError =>
  new IngotError(
    'unsupported',
    `${node.op.name} on ${operandTypes(node)} has no kernel on device ${device.name}; cast the operands or use device js`,
  );

/** An op without operands is computed now and becomes a constant. */
function constant(node: OpNode, device: Device): readonly Value[] {
  if (node.inputs.length > 0) throw noKernel(node, device);
  const bytes = node.outputs.map((t) => new Uint8Array(maxElements(t.shape) * bytesPerElement(t.dtype)));
  const tensors = node.outputs.map((t, i) => ({
    shape: t.shape.map((d) => maxElements([d])),
    dtype: t.dtype,
    data: typedView(t.dtype, operand(bytes, i)),
  }));
  node.op.reference([], tensors, node.attrs);
  return node.outputs.map((type, i) => {
    const data = operand(bytes, i);
    const buffer = device.allocate(data.byteLength, node.op.name);
    device.write(buffer, 0, data);
    const leaf = bufferNode({ role: 'constant', device, buffer, label: node.op.name, owned: true, type });
    return { node: leaf, index: 0 };
  });
}

const operandTypes = (node: OpNode): string =>
  node.inputs.map((v) => (v === null ? '-' : formatType(valueType(v)))).join(', ');
