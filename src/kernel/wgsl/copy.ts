// copy: from one strided view to another. Neighbours that move together become elements of up to 16 bytes; then a thread
// moves an element. Elements shorter than a word: a thread makes a word of the target. The time is that of the bytes twice.

import { invariant } from '../../base/errors.ts';
import { groupIndex } from './common.ts';
import {
  type GpuBinding,
  type GpuKernel,
  type GpuParam,
  type GpuPass,
  grid,
  type KernelRequest,
} from './contract.ts';
import { copyTransposed, transposedAxes } from './copy-transposed.ts';
import { divided, isMultiple, product, sameParam } from './params.ts';
import { wideBinding } from './storage.ts';

const threads = 256;

export interface CopyAxis {
  readonly size: GpuParam;
  /** The size in a run, from the params of the dispatch. */
  readonly sizeOf: (params: readonly number[]) => number;
  /** Strides in elements. */
  readonly from: GpuParam;
  readonly to: GpuParam;
}

export interface CopyPlan {
  /** Bytes of an element. */
  readonly bytes: number;
  /** Outermost first; none of size 1. */
  readonly axes: readonly CopyAxis[];
  readonly fromOffset: GpuParam;
  readonly toOffset: GpuParam;
}

/** Buffers x, y; params rank, bytes, sizes, strides of x, strides of y, offset in x, offset in y. */
export const copyKernel: GpuKernel = {
  name: 'copy',
  plan(request) {
    const plan = widen(collapse(readPlan(request)));
    const transposed = transposedAxes(plan);
    const pass =
      plan.bytes < 4
        ? copyWords(request, plan)
        : transposed !== undefined
          ? copyTransposed(request, plan, transposed)
          : copyElements(request, plan);
    return { variants: [{ passes: [pass] }] };
  },
};

function readPlan(request: KernelRequest): CopyPlan {
  const rank = request.constant(0);
  const param = (i: number): GpuParam => {
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
export const planParams = ({ axes, fromOffset, toOffset }: CopyPlan): readonly GpuParam[] => [
  ...axes.map((a) => a.size),
  ...axes.map((a) => a.from),
  ...axes.map((a) => a.to),
  fromOffset,
  toOffset,
];

function copyElements(request: KernelRequest, plan: CopyPlan): GpuPass {
  const { axes, bytes } = plan;
  const p = request.withParams(planParams(plan));
  const rank = axes.length;
  const size = (d: number): string => `u32(${p.int(d)})`;
  const lines: string[] = [];
  for (let d = rank - 1; d >= 0; d--) {
    lines.push(`let i${d} = ${d === 0 ? 'rest' : `rest % ${size(d)}`};`);
    lines.push(`src += i${d} * u32(${p.int(rank + d)}); dst += i${d} * u32(${p.int(2 * rank + d)});`);
    if (d > 0) lines.push(`rest /= ${size(d)};`);
  }
  const count = axes.length === 0 ? '1u' : axes.map((_, d) => size(d)).join(' * ');
  return {
    name: 'copy',
    bindings: copyBindings(request, bytes),
    code: `${groupIndex}@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let count = ${count};
  var rest = group_index(id, groups) * ${threads}u + t;
  if (rest >= count) { return; }
  var src = u32(${p.int(3 * rank)});
  var dst = u32(${p.int(3 * rank + 1)});
  ${lines.join('\n  ')}
  y[dst] = x[src];
}
`,
    groups: (params) => grid(Math.ceil(axes.reduce((n, a) => n * a.sizeOf(params), 1) / threads)),
  };
}

/** Elements of 1 or 2 bytes: which of a word's are targets, and where they come from, is worked out backwards. */
function copyWords(request: KernelRequest, plan: CopyPlan): GpuPass {
  const { bytes } = plan;
  const axes = outermostFirst(plan.axes);
  const p = request.withParams(planParams({ ...plan, axes }));
  const rank = axes.length;
  const per = 4 / bytes;
  const at = axes.map((_, d) => {
    const stride = `u32(${p.int(2 * rank + d)})`;
    return `let i${d} = rest / ${stride};
  if (i${d} >= u32(${p.int(d)})) { return nowhere; }
  rest -= i${d} * ${stride};
  src += i${d} * u32(${p.int(rank + d)});`;
  });
  const span = axes.map((_, d) => `(u32(${p.int(d)}) - 1u) * u32(${p.int(2 * rank + d)})`);
  return {
    name: 'copy words',
    bindings: copyBindings(request, 4),
    code: `${groupIndex}const nowhere = 0xffffffffu;
// where the element comes from that lands \`rest\` after the first
fn source(place: u32) -> u32 {
  var rest = place;
  var src = u32(${p.int(3 * rank)});
  ${at.join('\n  ')}
  return select(src, nowhere, rest > 0u);
}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let first = u32(${p.int(3 * rank + 1)});
  let end = first + ${['1u', ...span].join(' + ')};
  let word = first / ${per}u + group_index(id, groups) * ${threads}u + t;
  if (word * ${per}u >= end) { return; }
  var value = y[word];
  for (var k = 0u; k < ${per}u; k++) {
    let dst = word * ${per}u + k;
    if (dst < first || dst >= end) { continue; }
    let src = source(dst - first);
    if (src == nowhere) { continue; }
    let bits = extractBits(x[src / ${per}u], (src % ${per}u) * ${8 * bytes}u, ${8 * bytes}u);
    value = insertBits(value, bits, k * ${8 * bytes}u, ${8 * bytes}u);
  }
  y[word] = value;
}
`,
    groups: (params) => {
      if (axes.some((a) => a.sizeOf(params) === 0)) return [0, 1, 1];
      const [rank = 0, whole = 1] = params;
      let span = 1;
      for (let d = 0; d < rank; d++) span += ((params[2 + d] ?? 1) - 1) * (params[2 + 2 * rank + d] ?? 0);
      return grid(Math.ceil((span * whole) / 4 / threads) + 1);
    },
  };
}

/** Axes by their stride in the target, where that is known; lowerings give them so. */
function outermostFirst(axes: readonly CopyAxis[]): readonly CopyAxis[] {
  const strides = axes.map((a) => a.to);
  if (!strides.every((s) => typeof s === 'number')) return axes;
  return axes.toSorted((a, b) => Number(b.to) - Number(a.to));
}
