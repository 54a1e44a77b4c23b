// layer_norm: one workgroup per row; the variance is of differences from the mean, as in the reference.

import type { BufferPlace } from '../signature.ts';
import { groupIndex } from './common.ts';
import { type GpuBinding, type GpuKernel, grid } from './contract.ts';
import { workgroupSum } from './workgroup.ts';

const threads = 256;

export const layerNormKernel: GpuKernel<'layer_norm'> = {
  name: 'layer_norm',
  plan(request) {
    const [hasWeight, hasBias] = [request.has(request.b.w), request.has(request.b.b)];
    const each = `for (var i = t; i < width; i += ${threads}u)`;
    const residual = request.has(request.b.residual);
    // Behind the first loop a thread finds the sum of its own places there.
    const source = residual ? 'sum' : 'x';
    const first = residual
      ? 'let v = x[base + i] + residual[base + i]; sum[base + i] = v; total += v;'
      : 'total += x[base + i];';
    const code = `${groupIndex}${workgroupSum(threads)}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let row = group_index(id, count);
  if (row >= u32(${request.int(request.p.rows)})) { return; }
  let width = u32(${request.int(request.p.D)});
  let base = row * width;
  var total = 0.0;
  ${each} { ${first} }
  let mean = workgroup_sum(total, t) / f32(width);
  var squares = 0.0;
  ${each} { let v = ${source}[base + i] - mean; squares += v * v; }
  let scale = inverseSqrt(workgroup_sum(squares, t) / f32(width) + ${request.float(request.p.eps)});
  ${each} { y[base + i] = (${source}[base + i] - mean) * scale${hasWeight ? ' * w[i]' : ''}${hasBias ? ' + b[i]' : ''}; }
}
`;
    const read = (buffer: BufferPlace, name: string): GpuBinding => ({
      buffer,
      name,
      type: 'array<f32>',
      access: 'read',
    });
    const bindings: readonly GpuBinding[] = [
      read(request.b.x, 'x'),
      ...(hasWeight ? [read(request.b.w, 'w')] : []),
      ...(hasBias ? [read(request.b.b, 'b')] : []),
      { buffer: request.b.y, name: 'y', type: 'array<f32>', access: 'read_write' },
      ...(residual
        ? ([
            read(request.b.residual, 'residual'),
            { buffer: request.b.sum, name: 'sum', type: 'array<f32>', access: 'read_write' },
          ] as const)
        : []),
    ];
    return {
      variants: [
        {
          passes: [
            {
              name: 'layer_norm',
              bindings,
              code,
              groups: request.sized([request.p.rows], (rows = 0) => grid(rows)),
            },
          ],
        },
      ],
    };
  },
};
