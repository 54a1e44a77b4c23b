// rms_norm: one workgroup per row, or per sum of two rows, which keeps it in registers unless it is very wide.

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
    const after = request.has(request.b.after);
    const store = (v: string, i: string): string =>
      `y[base + ${i}] = ${v} * scale${hasWeight ? ` * (w[${i}] + ${request.float(request.p.offset)})` : ''}${after ? ` + after[base + ${i}]` : ''};`;
    const residual = request.has(request.b.residual);
    const value = (i: string): string =>
      residual ? `x[base + ${i}] + residual[base + ${i}]` : `x[base + ${i}]`;
    const keep = (v: string, i: string): string => (residual ? ` sum[base + ${i}] = ${v};` : '');
    const cells = rowCells(width, threads, `${type}()`, (v, i) => `${v} = ${value(i)};${keep(v, i)}`);
    const loop = (body: string): string =>
      `  for (var i = t; i < ${width}u; i += ${threads}u) { let v = ${value('i')}; ${body} }\n`;
    const code = `${groupIndex}${workgroupSum(threads)}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let row = group_index(id, count);
  if (row >= u32(${request.int(request.p.rows)})) { return; }
  let base = row * ${width}u;
  var squares = 0.0;
${cells ? cells.load + cells.each(square) : loop(`${square('v')}${keep('v', 'i')}`)}  let scale = inverseSqrt(workgroup_sum(squares, t) / ${D}.0 + ${request.float(request.p.eps)});
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
                ...(after
                  ? [{ buffer: request.b.after, name: 'after', type: array, access: 'read' } as const]
                  : []),
                ...(residual
                  ? ([
                      { buffer: request.b.residual, name: 'residual', type: array, access: 'read' },
                      { buffer: request.b.sum, name: 'sum', type: array, access: 'read_write' },
                    ] as const)
                  : []),
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
