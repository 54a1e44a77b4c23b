// copy: from one strided view to another. Neighbours that move together become elements of up to 16 bytes; then a thread
// moves an element. Elements shorter than a word: a thread makes a word of the target. The time is that of the bytes twice.

import { groupIndex } from './common.ts';
import { type GpuKernel, type GpuPass, grid, type KernelRequest } from './contract.ts';
import { type CopyAxis, type CopyPlan, copyBindings, copyPlan, planParams } from './copy-plan.ts';
import { copyTransposed, transposedAxes } from './copy-transposed.ts';

const threads = 256;

/** Buffers x, y; params rank, bytes, sizes, strides of x, strides of y, offset in x, offset in y. */
export const copyKernel: GpuKernel = {
  name: 'copy',
  plan(request) {
    const plan = copyPlan(request);
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
