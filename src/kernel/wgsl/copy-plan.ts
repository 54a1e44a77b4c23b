// What a strided copy moves: the params of `copy` read back, with neighbours that move together joined.

import type { Param, ParamPlace } from '../signature.ts';
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
export const copyPlan = (request: KernelRequest<'copy'>): CopyPlan => widen(collapse(readPlan(request)));

function readPlan(request: KernelRequest<'copy'>): CopyPlan {
  const { p } = request;
  const strides = (places: readonly ParamPlace[], d: number): Param => request.params[places[d] ?? -1] ?? 0;
  const axes = p.sizes.map((size, d) => ({
    size: request.param(size),
    sizeOf: request.inRun(size),
    from: strides(p.fromStrides, d),
    to: strides(p.toStrides, d),
  }));
  return {
    bytes: request.constant(p.bytes),
    axes,
    fromOffset: request.param(p.fromOffset),
    toOffset: request.param(p.toOffset),
  };
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
export const copyBindings = (request: KernelRequest<'copy'>, width: number): readonly GpuBinding[] => [
  wideBinding(request, request.b.x, 'x', width, 'read'),
  wideBinding(request, request.b.y, 'y', width, 'read_write'),
];

/** The plan as u32 expressions, axis by axis. */
export const planExpressions = (request: KernelRequest<'copy'>, plan: CopyPlan) => {
  const u32 = (p: Param): string => `u32(${request.intOf(p)})`;
  return {
    axes: plan.axes.map((a) => ({ size: u32(a.size), from: u32(a.from), to: u32(a.to) })),
    fromOffset: u32(plan.fromOffset),
    toOffset: u32(plan.toOffset),
  };
};
