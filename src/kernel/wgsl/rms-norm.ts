// rms_norm: one workgroup per row, which keeps the row in registers unless it is very wide.

import { groupIndex } from './common.ts';
import { type GpuKernel, grid } from './contract.ts';
import { rowCells } from './row-cells.ts';
import { workgroupSum } from './workgroup.ts';

const threads = 256;

export const rmsNormKernel: GpuKernel<'rms_norm'> = {
  name: 'rms_norm',
  plan(request) {
    const D = request.constant(request.p.D);
    const hasWeight = request.has(request.b.w);
    const vector = D % 4 === 0;
    const [type, step] = vector ? ['vec4<f32>', 4] : ['f32', 1];
    const width = D / step;
    const square = (v: string): string => `squares += ${vector ? `dot(${v}, ${v})` : `${v} * ${v}`};`;
    const store = (v: string, i: string): string =>
      `y[base + ${i}] = ${v} * scale${hasWeight ? ` * (w[${i}] + ${request.float(request.p.offset)})` : ''};`;
    const cells = rowCells(width, threads, `${type}()`);
    const loop = (body: string): string =>
      `  for (var i = t; i < ${width}u; i += ${threads}u) { let v = x[base + i]; ${body} }\n`;
    const code = `${groupIndex}${workgroupSum(threads)}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let row = group_index(id, count);
  if (row >= u32(${request.int(request.p.rows)})) { return; }
  let base = row * ${width}u;
  var squares = 0.0;
${cells ? cells.load + cells.each(square) : loop(square('v'))}  let scale = inverseSqrt(workgroup_sum(squares, t) / ${D}.0 + ${request.float(request.p.eps)});
${cells ? cells.each(store) : loop(store('v', 'i'))}}
`;
    const array = `array<${type}>`;
    return {
      variants: [
        {
          passes: [
            {
              name: 'rms_norm',
              bindings: [
                { buffer: request.b.x, name: 'x', type: array, access: 'read' },
                ...(hasWeight
                  ? [{ buffer: request.b.w, name: 'w', type: array, access: 'read' } as const]
                  : []),
                { buffer: request.b.y, name: 'y', type: array, access: 'read_write' },
              ],
              code,
              groups: request.sized([request.p.rows], (rows = 0) => grid(rows)),
            },
          ],
        },
      ],
    };
  },
};
