// copy where the axis that is dense in the source is another than the one that is dense in the target: squares go through
// workgroup memory, so that both sides are read and written in runs.

import { groupIndex } from './common.ts';
import { type GpuPass, grid, type KernelRequest } from './contract.ts';
import { type CopyPlan, copyBindings, planExpressions } from './copy-plan.ts';
import { wideType } from './storage.ts';

const side = 32;
const rows = 8;

/** Numbers of the axes that are dense in the source and in the target, and differ; both long enough to be worth it. */
export interface TransposedAxes {
  readonly source: number;
  readonly target: number;
}

export function transposedAxes({ axes, bytes }: CopyPlan): TransposedAxes | undefined {
  const source = axes.findIndex((a) => a.from === 1);
  const target = axes.findIndex((a) => a.to === 1);
  if (bytes !== 4 || source < 0 || target < 0 || source === target) return undefined;
  const long = (axis: number): boolean => {
    const size = axes[axis]?.size;
    return typeof size !== 'number' || size >= side / 2;
  };
  return long(source) && long(target) ? { source, target } : undefined;
}

/** A workgroup moves a square of the two axes, at one place of the others. */
export function copyTransposed(
  request: KernelRequest<'copy'>,
  plan: CopyPlan,
  { source, target }: TransposedAxes,
): GpuPass {
  const { axes, bytes } = plan;
  const e = planExpressions(request, plan);
  const size = (d: number): string => e.axes[d]?.size ?? '1u';
  const from = (d: number): string => e.axes[d]?.from ?? '0u';
  const to = (d: number): string => e.axes[d]?.to ?? '0u';
  const others = axes.map((_, d) => d).filter((d) => d !== source && d !== target);
  const places = others.toReversed().map(
    (d) => `let i${d} = rest % ${size(d)}; rest /= ${size(d)};
  src += i${d} * ${from(d)}; dst += i${d} * ${to(d)};`,
  );
  return {
    name: 'copy transposed',
    bindings: copyBindings(request, bytes),
    code: `${groupIndex}var<workgroup> square: array<array<${wideType(bytes)}, ${side + 1}>, ${side}>;
@compute @workgroup_size(${side}, ${rows})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_id) t: vec3<u32>) {
  let across = (${size(source)} + ${side - 1}u) / ${side}u; // squares along the axis that is dense in the source
  let down = (${size(target)} + ${side - 1}u) / ${side}u;
  var rest = group_index(id, groups);
  let s = (rest % across) * ${side}u;
  rest /= across;
  let d = (rest % down) * ${side}u;
  rest /= down;
  let inside = rest < ${others.length === 0 ? '1u' : others.map(size).join(' * ')};
  var src = ${e.fromOffset};
  var dst = ${e.toOffset};
  ${places.join('\n  ')}
  for (var k = t.y; k < ${side}u; k += ${rows}u) {
    if (inside && s + t.x < ${size(source)} && d + k < ${size(target)}) {
      square[k][t.x] = x[src + (s + t.x) + (d + k) * ${from(target)}];
    }
  }
  workgroupBarrier();
  for (var k = t.y; k < ${side}u; k += ${rows}u) {
    if (inside && s + k < ${size(source)} && d + t.x < ${size(target)}) {
      y[dst + (s + k) * ${to(source)} + (d + t.x)] = square[t.x][k];
    }
  }
}
`,
    groups: (params) =>
      grid(
        axes.reduce((n, a, d) => {
          const size = a.sizeOf(params);
          return n * (d === source || d === target ? Math.ceil(size / side) : size);
        }, 1),
      ),
  };
}
