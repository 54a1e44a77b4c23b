// layer_norm: one workgroup per row; the variance is of differences from the mean, as in the reference.

import { groupIndex } from './common.ts';
import { type GpuBinding, type GpuKernel, grid } from './contract.ts';
import { workgroupSum } from './workgroup.ts';

const threads = 256;

/** Buffers x, weight?, bias?, y; params rows, D, eps. */
export const layerNormKernel: GpuKernel = {
  name: 'layer_norm',
  plan(request) {
    const [hasWeight, hasBias] = [request.has(1), request.has(2)];
    const each = `for (var i = t; i < width; i += ${threads}u)`;
    const code = `${groupIndex}${workgroupSum(threads)}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let row = group_index(id, count);
  if (row >= u32(${request.int(0)})) { return; }
  let width = u32(${request.int(1)});
  let base = row * width;
  var sum = 0.0;
  ${each} { sum += x[base + i]; }
  let mean = workgroup_sum(sum, t) / f32(width);
  var squares = 0.0;
  ${each} { let v = x[base + i] - mean; squares += v * v; }
  let scale = inverseSqrt(workgroup_sum(squares, t) / f32(width) + ${request.float(2)});
  ${each} { y[base + i] = (x[base + i] - mean) * scale${hasWeight ? ' * w[i]' : ''}${hasBias ? ' + b[i]' : ''}; }
}
`;
    const read = (buffer: number, name: string): GpuBinding => ({
      buffer,
      name,
      type: 'array<f32>',
      access: 'read',
    });
    const bindings: readonly GpuBinding[] = [
      read(0, 'x'),
      ...(hasWeight ? [read(1, 'w')] : []),
      ...(hasBias ? [read(2, 'b')] : []),
      { buffer: 3, name: 'y', type: 'array<f32>', access: 'read_write' },
    ];
    return {
      variants: [{ passes: [{ name: 'layer_norm', bindings, code, groups: ([rows = 0]) => grid(rows) }] }],
    };
  },
};
