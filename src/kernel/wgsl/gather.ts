// gather: rows of x [outer, D, inner] by index, into y [outer, n, inner]. A thread moves up to 16 bytes of a row, or makes a
// word where rows are not whole words. The time is that of the bytes of y twice.

import { groupIndex } from './common.ts';
import { type GpuKernel, grid, type KernelRequest } from './contract.ts';
import { divided, isMultiple } from './params.ts';
import { fail, statusBinding } from './status.ts';
import { wideBinding } from './storage.ts';

const threads = 256;

export const gatherKernel: GpuKernel<'gather'> = {
  name: 'gather',
  plan(request) {
    const bytes = request.constant(request.p.bytes);
    const { p, b } = request;
    const inner = request.param(p.inner);
    const width = [16, 8, 4].find((w) => w >= bytes && isMultiple(inner, w / bytes)) ?? bytes;
    const rowUnits = request.intOf(divided(inner, width / bytes));
    const inUnits = `${groupIndex}${sourceFunction(request, rowUnits)}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let total = u32(${request.int(p.outer)}) * u32(${request.int(p.n)}) * u32(${rowUnits});
  let item = group_index(id, groups) * ${threads}u + t;
  ${width < 4 ? moveWord(width) : 'if (item < total) { y[item] = x[source(item)]; }'}
}
`;
    return {
      variants: [
        {
          passes: [
            {
              name: 'gather',
              bindings: [
                wideBinding(request, b.x, 'x', Math.max(width, 4), 'read'),
                { buffer: request.b.indices, name: 'indices', type: 'array<i32>', access: 'read' },
                wideBinding(request, b.y, 'y', Math.max(width, 4), 'read_write'),
                statusBinding,
              ],
              code: inUnits,
              groups: (params) => {
                const elements = [p.outer, p.inner, p.n].reduce((m, at) => m * request.inRun(at)(params), 1);
                return grid(Math.ceil((elements * bytes) / Math.max(width, 4) / threads));
              },
            },
          ],
        },
      ],
    };
  },
};

const sourceFunction = (
  request: KernelRequest<'gather'>,
  rowUnits: string,
): string => `// where element \`item\` of y comes from
fn source(item: u32) -> u32 {
  let inner = u32(${rowUnits});
  let row = item / inner;
  let n = u32(${request.int(request.p.n)});
  let D = ${request.int(request.p.D)};
  let given = indices[row % n];
  let index = given + select(0, D, given < 0);
  if (index < 0 || index >= D) {
    ${fail('gather_index', 'given')}
    return 0u;
  }
  return ((row / n) * u32(D) + u32(index)) * inner + item % inner;
}`;

/** Elements of 1 or 2 bytes: a word of y. */
function moveWord(bytes: number): string {
  const per = 4 / bytes;
  const bits = `${8 * bytes}u`;
  return `if (item * ${per}u >= total) { return; }
  var word = 0u;
  if (item * ${per}u + ${per}u > total) { word = y[item]; }
  for (var k = 0u; k < ${per}u && item * ${per}u + k < total; k++) {
    let src = source(item * ${per}u + k);
    let value = extractBits(x[src / ${per}u], (src % ${per}u) * ${bits}, ${bits});
    word = insertBits(word, value, k * ${bits}, ${bits});
  }
  y[item] = word;`;
}
