// What a strided copy moves: the params of `copy` read back, with neighbours that move together joined.

import { invariant } from '../../base/errors.ts';
import type { Param } from '../signature.ts';
import type { GpuBinding, KernelRequest } from './contract.ts';
import { divided, isMultiple, product, sameParam } from './params.ts';
import { wideBinding } from './storage.ts';

export interface CopyAxis {
  readonly size: Param;
  /** The size in a run, from the params of the dispatch. */
  readonly sizeOf: (params: readonly number[]) => number;
  /** Strides in elements. */
  readonly from: Param;
  readonly to: Param;
}

export interface CopyPlan {
  /** Bytes of an element. */
  readonly bytes: number;
  /** Outermost first; none of size 1. */
  readonly axes: readonly CopyAxis[];
  readonly fromOffset: Param;
  readonly toOffset: Param;
}

/** What a `copy` dispatch moves, in as few axes and as large elements as it can be told. */
export const copyPlan = (request: KernelRequest): CopyPlan => widen(collapse(readPlan(request)));

function readPlan(request: KernelRequest): CopyPlan {
  const rank = request.constant(0);
  const param = (i: number): Param => {
    const p = request.params[i];
    invariant(p !== undefined, `copy: param ${i} is missing`);
    return p;
  };
  const axes = Array.from({ length: rank }, (_, d) => ({
    size: param(2 + d),
    sizeOf: (params: readonly number[]) => params[2 + d] ?? 0,
    from: param(2 + rank + d),
    to: param(2 + 2 * rank + d),
  }));
  const offsets = 2 + 3 * rank;
  return { bytes: request.constant(1), axes, fromOffset: param(offsets), toOffset: param(offsets + 1) };
}

/** Without axes of size 1, and with neighbours joined that are one run on both sides. */
function collapse(plan: CopyPlan): CopyPlan {
  const axes: CopyAxis[] = [];
  for (const axis of plan.axes) {
    if (axis.size === 1) continue;
    const before = axes.at(-1);
    const size = before && product(before.size, axis.size);
    const run =
      before !== undefined &&
      size !== undefined &&
      sameParam(before.from, product(axis.from, axis.size)) &&
      sameParam(before.to, product(axis.to, axis.size));
    if (run) {
      const sizeOf = (params: readonly number[]): number => before.sizeOf(params) * axis.sizeOf(params);
      axes[axes.length - 1] = { size, sizeOf, from: axis.from, to: axis.to };
    } else axes.push(axis);
  }
  return { ...plan, axes };
}

/** With elements as long as the innermost run, the strides and the offsets allow: at most 16 bytes. */
function widen(plan: CopyPlan): CopyPlan {
  const inner = plan.axes.at(-1);
  if (inner === undefined || inner.from !== 1 || inner.to !== 1) return plan;
  const outer = plan.axes.slice(0, -1);
  for (let k = 16 / plan.bytes; k > 1; k /= 2) {
    const all = [inner.size, plan.fromOffset, plan.toOffset, ...outer.flatMap((a) => [a.from, a.to])];
    if (!all.every((p) => isMultiple(p, k))) continue;
    return {
      bytes: plan.bytes * k,
      axes: [
        ...outer.map((a) => ({ ...a, from: divided(a.from, k), to: divided(a.to, k) })),
        { size: divided(inner.size, k), sizeOf: (params) => inner.sizeOf(params) / k, from: 1, to: 1 },
      ],
      fromOffset: divided(plan.fromOffset, k),
      toOffset: divided(plan.toOffset, k),
    };
  }
  return plan;
}

/** x and y as arrays of elements of `width` bytes. */
export const copyBindings = (request: KernelRequest, width: number): readonly GpuBinding[] => [
  wideBinding(request, 0, 'x', width, 'read'),
  wideBinding(request, 1, 'y', width, 'read_write'),
];

/** Params of the plan as expressions: sizes, strides of x, strides of y, then the offsets. */
export const planParams = ({ axes, fromOffset, toOffset }: CopyPlan): readonly Param[] => [
  ...axes.map((a) => a.size),
  ...axes.map((a) => a.from),
  ...axes.map((a) => a.to),
  fromOffset,
  toOffset,
];
