// The strided `copy` kernel of the CPU device, for ops that move elements without computing.

import { bytesPerElement } from '../../../base/dtype.ts';
import { type Count, elementCount, type Shape } from '../../../base/shape.ts';
import type { LowerContext, LoweredValue } from '../../op.ts';
import { countParam } from '../operands.ts';

export interface CopySpec {
  /** Bytes of one element. */
  readonly bytes: number;
  readonly sizes: Shape;
  /** Strides in elements, per axis of `sizes`. */
  readonly from: readonly Count[];
  readonly to: readonly Count[];
  /** Offsets in elements; default 0. */
  readonly fromOffset?: Count;
  readonly toOffset?: Count;
}

/** Emits one `copy` dispatch. */
export function emitCopy<A>(
  context: LowerContext<A>,
  x: LoweredValue,
  y: LoweredValue,
  spec: CopySpec,
): void {
  const zero: Count = { mul: 0 };
  context.emit(
    'copy',
    { x, y },
    {
      bytes: spec.bytes,
      sizes: spec.sizes.map((d) => countParam(elementCount([d]))),
      fromStrides: spec.from.map(countParam),
      toStrides: spec.to.map(countParam),
      fromOffset: countParam(spec.fromOffset ?? zero),
      toOffset: countParam(spec.toOffset ?? zero),
    },
  );
}

/** A count times a number. */
export const scaleCount = (c: Count, k: number): Count =>
  c.dyn === undefined || k === 0 ? { mul: c.mul * k } : { mul: c.mul * k, dyn: c.dyn };

/** Emits a copy of all elements in their order. */
export function emitWholeCopy<A>(context: LowerContext<A>, x: LoweredValue, y: LoweredValue): void {
  context.emit(
    'copy',
    { x, y },
    {
      bytes: bytesPerElement(x.type.dtype),
      sizes: [countParam(elementCount(x.type.shape))],
      fromStrides: [1],
      toStrides: [1],
      fromOffset: 0,
      toOffset: 0,
    },
  );
}
