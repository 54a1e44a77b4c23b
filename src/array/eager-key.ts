// What two lazy graphs must share to run as one program: ops, attributes, types, which buffers are the same. Buffers and the
// numbers of arrays of shape [] are left out: a run gives them.

import { isFloat } from '../base/dtype.ts';
import type { DeviceBuffer } from '../device/device.ts';
import { formatLayout } from '../quant/layout.ts';
import { attributeKey } from './graph/attributes.ts';
import { isOp, type Node, type OpNode, resolve, type Value } from './graph/node.ts';
import { fullOp } from './ops/creation/full.ts';
import type { ValueType } from './types.ts';

export interface Layout {
  readonly key: string;
  /** Buffers of the leaves, each once, in the order of the key. */
  readonly leaves: readonly DeviceBuffer[];
  /** Scalar name by dtype and number. */
  readonly names: ReadonlyMap<string, string>;
  readonly scalars: Readonly<Record<string, number>>;
}

/** The layout of the graph that computes these values; `order` has its nodes, producers first. */
export function layoutKey(outputs: readonly Value[], order: readonly Node[]): Layout {
  const places = new Map<Node, number>();
  const leaves = new Map<DeviceBuffer, number>();
  const names = new Map<string, string>();
  const scalars: Record<string, number> = {};
  const parts: string[] = [];
  const refer = (v: Value | null): string => {
    if (v === null) return '-';
    const at = resolve(v);
    return at.index === 0 ? `${places.get(at.node)}` : `${places.get(at.node)}.${at.index}`;
  };
  for (const node of order) {
    places.set(node, places.size);
    if (node.kind === 'input') parts.push(`input ${node.name}`);
    else if (node.kind === 'buffer') {
      const leaf = leaves.get(node.buffer) ?? leaves.size;
      leaves.set(node.buffer, leaf);
      parts.push(`${node.role} ${leaf} ${node.outputs.map(typeKey).join()}`);
    } else {
      const attrs = numberKey(node, names, scalars) ?? attributeKey(node.attrs);
      parts.push(`${node.op.name}(${node.inputs.map(refer).join()})${attrs}`);
    }
  }
  parts.push(outputs.map(refer).join());
  return { key: parts.join(';'), leaves: [...leaves.keys()], names, scalars };
}

/** Attributes of a single number that becomes a scalar; undefined for every other op. */
function numberKey(
  node: OpNode,
  names: Map<string, string>,
  scalars: Record<string, number>,
): string | undefined {
  if (!isOp(node, fullOp) || node.attrs.shape.length > 0) return undefined;
  const { value, dtype } = node.attrs;
  const passes = isFloat(dtype) || dtype === 'i32' || dtype === 'u32';
  if (typeof value !== 'number' || Number.isNaN(value) || !passes) return undefined;
  const number = `${dtype} ${value}`;
  const name = names.get(number) ?? `number ${names.size}`;
  names.set(number, name);
  scalars[name] = value;
  return `${dtype} ${name}`;
}

const typeKeys = new WeakMap<ValueType, string>();

function typeKey(type: ValueType): string {
  const known = typeKeys.get(type);
  if (known !== undefined) return known;
  const { shape, dtype, layout, state } = type;
  const sizes = shape.map((d) => (typeof d === 'number' ? d : `${d.name}<${d.max}`)).join();
  const key = `${dtype}[${sizes}]${layout === undefined ? '' : formatLayout(layout)}${state ? '!' : ''}`;
  typeKeys.set(type, key);
  return key;
}
