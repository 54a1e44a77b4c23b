// copy: from one strided view to another. Neighbours that move together become elements of up to 16 bytes; then a thread
// moves an element. Elements shorter than a word: a thread makes a word of the target. The time is that of the bytes twice.

import { groupIndex } from './common.ts';
import { type GpuKernel, type GpuPass, grid, type KernelRequest } from './contract.ts';
import { type CopyAxis, type CopyPlan, copyBindings, copyPlan, planExpressions } from './copy-plan.ts';
import { copyTransposed, transposedAxes } from './copy-transposed.ts';

const threads = 256;

export const copyKernel: GpuKernel<'copy'> = {
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

function copyElements(request: KernelRequest<'copy'>, plan: CopyPlan): GpuPass {
  const { axes, bytes } = plan;
  const e = planExpressions(request, plan);
  const lines = [...e.axes.entries()]
    .reverse()
    .flatMap(([d, { size, from, to }]) => [
      `let i${d} = ${d === 0 ? 'rest' : `rest % ${size}`};`,
      `src += i${d} * ${from}; dst += i${d} * ${to};`,
      ...(d > 0 ? [`rest /= ${size};`] : []),
    ]);
  const count = axes.length === 0 ? '1u' : e.axes.map((a) => a.size).join(' * ');
  return {
    name: 'copy',
    bindings: copyBindings(request, bytes),
    code: `${groupIndex}@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let count = ${count};
  var rest = group_index(id, groups) * ${threads}u + t;
  if (rest >= count) { return; }
  var src = ${e.fromOffset};
  var dst = ${e.toOffset};
  ${lines.join('\n  ')}
  y[dst] = x[src];
}
`,
    groups: (params) => grid(Math.ceil(axes.reduce((n, a) => n * a.sizeOf(params), 1) / threads)),
  };
}

/** Elements of 1 or 2 bytes: which of a word's are targets, and where they come from, is worked out backwards. */
function copyWords(request: KernelRequest<'copy'>, plan: CopyPlan): GpuPass {
  const { bytes } = plan;
  const axes = outermostFirst(plan.axes);
  const e = planExpressions(request, { ...plan, axes });
  const per = 4 / bytes;
  const at = e.axes.map(
    ({ size, from, to }, d) => `let i${d} = rest / ${to};
  if (i${d} >= ${size}) { return nowhere; }
  rest -= i${d} * ${to};
  src += i${d} * ${from};`,
  );
  const span = e.axes.map(({ size, to }) => `(${size} - 1u) * ${to}`);
  return {
    name: 'copy words',
    bindings: copyBindings(request, 4),
    code: `${groupIndex}const nowhere = 0xffffffffu;
// where the element comes from that lands \`rest\` after the first
fn source(place: u32) -> u32 {
  var rest = place;
  var src = ${e.fromOffset};
  ${at.join('\n  ')}
  return select(src, nowhere, rest > 0u);
}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let first = ${e.toOffset};
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
      const { p } = request;
      const at = (place: number | undefined, absent: number): number => params[place ?? -1] ?? absent;
      const span = p.sizes.reduce((n, size, d) => n + (at(size, 1) - 1) * at(p.toStrides[d], 0), 1);
      return grid(Math.ceil((span * at(p.bytes, 1)) / 4 / threads) + 1);
    },
  };
}

/** Axes by their stride in the target, where that is known; lowerings give them so. */
function outermostFirst(axes: readonly CopyAxis[]): readonly CopyAxis[] {
  const strides = axes.map((a) => a.to);
  if (!strides.every((s) => typeof s === 'number')) return axes;
  return axes.toSorted((a, b) => Number(b.to) - Number(a.to));
}
