// softmax and its logarithm: one workgroup per row, which reads the row three times.

import { groupIndex } from './common.ts';
import { type GpuKernel, grid } from './contract.ts';
import { workgroupMax, workgroupSum } from './workgroup.ts';

const threads = 256;

/** Buffers x, y; params rows, D, log. */
export const softmaxKernel: GpuKernel = {
  name: 'softmax',
  plan(request) {
    const each = `for (var i = t; i < width; i += ${threads}u)`;
    const value =
      request.constant(2) === 1 ? 'x[base + i] - largest - log(sum)' : 'exp(x[base + i] - largest) / sum';
    const code = `${groupIndex}${workgroupSum(threads)}${workgroupMax(threads)}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let row = group_index(id, count);
  if (row >= u32(${request.int(0)})) { return; }
  let width = u32(${request.int(1)});
  let base = row * width;
  var own = -3.4028234e38;
  ${each} { own = max(own, x[base + i]); }
  let largest = workgroup_max(own, t);
  var part = 0.0;
  ${each} { part += exp(x[base + i] - largest); }
  let sum = workgroup_sum(part, t);
  ${each} { y[base + i] = ${value}; }
}
`;
    const type = 'array<f32>';
    return {
      variants: [
        {
          passes: [
            {
              name: 'softmax',
              bindings: [
                { buffer: 0, name: 'x', type, access: 'read' },
                { buffer: 1, name: 'y', type, access: 'read_write' },
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
