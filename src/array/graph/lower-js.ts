// For devices with plain-TypeScript kernels every op's reference is its lowering.

import { bytesPerElement } from '../../base/dtype.ts';
import { isDynamic } from '../../base/shape.ts';
import type { JsKernel, KernelRef } from '../../device/device.ts';
import type { Param } from '../../kernel/signature.ts';
import type { LoweredValue, Operands } from '../op.ts';
import { numel, typedView } from '../ops/operands.ts';
import type { Tensor, ValueType } from '../types.ts';
import { bindScalars, scalarRefs } from './attributes.ts';
import type { OpNode } from './node.ts';

interface JsDispatch {
  readonly kernel: KernelRef;
  readonly buffers: readonly LoweredValue[];
  readonly params: readonly Param[];
}

/** A kernel that rebuilds tensors from bytes and runs the op's reference; params are the scalars it depends on. */
export function lowerReference(
  node: OpNode,
  inputs: Operands<LoweredValue>,
  outputs: readonly LoweredValue[],
): JsDispatch {
  const present = inputs.flatMap((v) => (v === null ? [] : [v]));
  const buffers = [...present, ...outputs];
  const dims = buffers.flatMap((v) => v.type.shape.filter(isDynamic).map((d) => d.name));
  const names = [...new Set([...dims, ...scalarRefs(node.attrs).map((r) => r.scalar)])];
  const run: JsKernel = (args, params) => {
    const scalars = Object.fromEntries(names.map((name, i) => [name, params[i] as number]));
    let next = 0;
    const tensor = (v: LoweredValue): Tensor => makeTensor(v.type, args[next++] as Uint8Array, scalars);
    const ins = inputs.map((v) => (v === null ? null : tensor(v)));
    const outs = outputs.map(tensor);
    node.op.reference(ins, outs, names.length === 0 ? node.attrs : bindScalars(node.attrs, scalars));
  };
  return {
    kernel: { kind: 'js', name: node.op.name, run },
    buffers,
    params: names.map((scalar) => ({ scalar, mul: 1, add: 0 })),
  };
}

/** Bytes at capacity as a tensor of the present sizes. */
function makeTensor(type: ValueType, bytes: Uint8Array, scalars: Readonly<Record<string, number>>): Tensor {
  const { dtype, layout } = type;
  const shape = type.shape.map((d) => (isDynamic(d) ? (scalars[d.name] as number) : d));
  if (layout !== undefined) return { shape, dtype, data: bytes, layout };
  return { shape, dtype, data: typedView(dtype, bytes.subarray(0, numel(shape) * bytesPerElement(dtype))) };
}
