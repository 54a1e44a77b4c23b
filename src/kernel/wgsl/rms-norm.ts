// rms_norm: one workgroup per row.

import { groupIndex } from './common.ts';
import { type GpuKernel, grid } from './contract.ts';
import { workgroupSum } from './workgroup.ts';

const threads = 256;

/** Buffers x, weight?, y; params rows, D, eps, offset. */
export const rmsNormKernel: GpuKernel = {
  name: 'rms_norm',
  plan(request) {
    const D = request.constant(1);
    const hasWeight = request.has(1);
    const vector = D % 4 === 0;
    const [type, step, dot] = vector ? ['vec4<f32>', 4, 'dot(v, v)'] : ['f32', 1, 'v * v'];
    const width = D / step;
    const scaled = hasWeight ? `v * scale * (w[i] + ${request.float(3)})` : 'v * scale';
    const code = `${groupIndex}${workgroupSum(threads)}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let row = group_index(id, count);
  if (row >= u32(${request.int(0)})) { return; }
  let base = row * ${width}u;
  var squares = 0.0;
  for (var i = t; i < ${width}u; i += ${threads}u) { let v = x[base + i]; squares += ${dot}; }
  let scale = inverseSqrt(workgroup_sum(squares, t) / ${D}.0 + ${request.float(2)});
  for (var i = t; i < ${width}u; i += ${threads}u) { let v = x[base + i]; y[base + i] = ${scaled}; }
}
`;
    const array = `array<${type}>`;
    return {
      variants: [
        {
          passes: [
            {
              name: 'rms_norm',
              bindings: [
                { buffer: 0, name: 'x', type: array, access: 'read' },
                ...(hasWeight ? [{ buffer: 1, name: 'w', type: array, access: 'read' } as const] : []),
                { buffer: 2, name: 'y', type: array, access: 'read_write' },
              ],
              code,
              groups: ([rows = 0]) => grid(rows),
            },
          ],
        },
      ],
    };
  },
};
