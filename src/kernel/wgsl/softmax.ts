// softmax and its logarithm: one workgroup per row. It keeps a row of known size in registers, others are read three times.

import { groupIndex } from './common.ts';
import { type GpuKernel, grid } from './contract.ts';
import { type RowCells, rowCells } from './row-cells.ts';
import { workgroupMax, workgroupSum } from './workgroup.ts';

const threads = 256;
const lowest = '-3.4028234e38';

export const softmaxKernel: GpuKernel<'softmax'> = {
  name: 'softmax',
  plan(request) {
    const D = request.isConstant(request.p.D) ? request.constant(request.p.D) : undefined;
    const vector = D !== undefined && D % 4 === 0;
    const element = vector ? 'vec4<f32>' : 'f32';
    const cells =
      D === undefined ? undefined : rowCells(vector ? D / 4 : D, threads, `${element}(${lowest})`);
    const each: RowCells['each'] =
      cells?.each ??
      ((body) => `  for (var i = t; i < width; i += ${threads}u) { ${body('x[base + i]', 'i')} }\n`);
    const fold = (v: string, f: (a: string, b: string) => string): string =>
      cells !== undefined && vector ? f(f(`${v}.x`, `${v}.y`), f(`${v}.z`, `${v}.w`)) : v;
    const log = request.constant(request.p.log) === 1;
    const code = `${groupIndex}${workgroupSum(threads)}${workgroupMax(threads)}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let row = group_index(id, count);
  if (row >= u32(${request.int(request.p.rows)})) { return; }
  let width = ${cells !== undefined && vector ? `${(D ?? 0) / 4}u` : `u32(${request.int(request.p.D)})`};
  let base = row * width;
  var own = ${lowest};
${cells?.load ?? ''}${each((v) => `own = max(own, ${fold(v, (a, b) => `max(${a}, ${b})`)});`)}  let largest = workgroup_max(own, t);
  var part = 0.0;
${each((v) => `{ let e = exp(${v} - largest); part += ${fold('e', (a, b) => `(${a} + ${b})`)}; }`)}  let sum = workgroup_sum(part, t);
${each((v, i) => `y[base + ${i}] = ${log ? `${v} - largest - log(sum)` : `exp(${v} - largest) / sum`};`)}}
`;
    const type = `array<${cells !== undefined ? element : 'f32'}>`;
    return {
      variants: [
        {
          passes: [
            {
              name: 'softmax',
              bindings: [
                { buffer: request.b.x, name: 'x', type, access: 'read' },
                { buffer: request.b.y, name: 'y', type, access: 'read_write' },
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
