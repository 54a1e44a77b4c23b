// The graph: nodes with typed outputs. Leaves are buffers and plan inputs; everything else is an op.

import { IngotError } from '../../base/errors.ts';
import type { Device, DeviceBuffer } from '../../device/device.ts';
import type { OpDef, Operands } from '../op.ts';
import type { ValueType } from '../types.ts';

/** One output of a node. */
export interface Value {
  readonly node: Node;
  readonly index: number;
}

interface NodeBase {
  readonly id: number;
  readonly outputs: readonly ValueType[];
  /** Handles and pending users; the node's buffers are freed when it drops to zero. Kept by lifetime.ts. */
  refs: number;
}

/** Bytes on a device: a constant, a packed weight, or the present version of a State. */
export interface BufferNode extends NodeBase {
  readonly kind: 'buffer';
  readonly role: 'constant' | 'weight' | 'state';
  readonly device: Device;
  readonly buffer: DeviceBuffer;
  readonly label: string;
  /** The buffer goes with the last handle (constants); weights and states are disposed by their owner. */
  readonly owned: boolean;
  /** Set when an evaluated op has overwritten this version of a State. */
  stale: boolean;
  /** The first leaf of the State this is a version of; undefined when it is that one. */
  readonly origin?: BufferNode;
}

export interface InputNode extends NodeBase {
  readonly kind: 'input';
  readonly name: string;
}

export interface OpNode extends NodeBase {
  readonly kind: 'op';
  readonly op: OpDef;
  readonly attrs: object;
  /** Where its operands are; undefined for one that has none, or only inputs of plans. */
  readonly device: Device | undefined;
  /** Let go of when the op is realized: a loop that computes x from x would hold every x before. */
  inputs: Operands<Value>;
  /** Set by evaluate: where each output is now. */
  realized?: readonly Value[];
}

export type Node = BufferNode | InputNode | OpNode;

/** What a plan computes: outputs, and the last version of every state it updates. Nodes follow from them. */
export interface Graph {
  readonly outputs: readonly Value[];
  readonly effects: readonly Value[];
}

let nextId = 0;

/** Nodes made from now on have at least this id. */
export const nextNodeId = (): number => nextId;

export const valueType = (v: Value): ValueType => v.node.outputs[v.index] as ValueType;

export function bufferNode(
  fields: Pick<BufferNode, 'role' | 'device' | 'buffer' | 'label' | 'owned' | 'origin'> & { type: ValueType },
): BufferNode {
  const { type, ...rest } = fields;
  return { kind: 'buffer', id: nextId++, refs: 0, stale: false, outputs: [type], ...rest };
}

export const inputNode = (name: string, type: ValueType): InputNode => ({
  kind: 'input',
  id: nextId++,
  refs: 0,
  outputs: [type],
  name,
});

/** Says of which two devices, where both may have one name. */
export const twoDevices = (one: Device, other: Device): string =>
  one.name === other.name
    ? `another device ${one.name} than the rest: two were opened, use one`
    : `device ${one.name}, the rest on ${other.name}`;

/** The device of all operands. Throws invalid_argument when there are two. */
function deviceOf(op: OpDef, inputs: Operands<Value>): Device | undefined {
  let device: Device | undefined;
  for (const [i, v] of inputs.entries()) {
    if (v === null || v.node.kind === 'input' || v.node.device === undefined) continue;
    device ??= v.node.device;
    if (v.node.device === device) continue;
    throw new IngotError(
      'invalid_argument',
      `${op.name}: operand ${i} is on ${twoDevices(v.node.device, device)}`,
    );
  }
  return device;
}

/** A node applying `op`; its output types come from the op's rules. */
export function opNode<A extends object>(op: OpDef<A>, inputs: Operands<Value>, attrs: A): OpNode {
  const outputs = op.infer(
    inputs.map((v) => (v === null ? null : valueType(v))),
    attrs,
  );
  return { kind: 'op', id: nextId++, refs: 0, outputs, op, attrs, inputs, device: deviceOf(op, inputs) };
}

/** The value itself, or where evaluate put it. */
export function resolve(v: Value): Value {
  let at = v;
  while (at.node.kind === 'op' && at.node.realized !== undefined) at = at.node.realized[at.index] ?? at;
  return at;
}

/** True for a node that applies exactly this op; narrows its attrs. */
export const isOp = <A extends object>(node: Node, op: OpDef<A>): node is OpNode & { readonly attrs: A } =>
  node.kind === 'op' && node.op.name === op.name;
