// count: occurrences of tokens, one row of counts per sequence.

import { groupIndex } from '../common.ts';
import { type GpuBinding, type GpuKernel, type GpuPass, grid, type KernelRequest } from '../contract.ts';
import { fail, statusBinding } from '../status.ts';

const threads = 256;

const signature = `@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let i = group_index(id, count) * ${threads}u + t;
`;
const read = (buffer: number, name: string): GpuBinding => ({
  buffer,
  name,
  type: 'array<i32>',
  access: 'read',
});

function freshPass(request: KernelRequest): GpuPass {
  const V = `u32(${request.int(1)})`;
  return {
    name: 'count fresh',
    bindings: [read(3, 'fresh'), { buffer: 1, name: 'counts', type: 'array<i32>', access: 'read_write' }],
    code: `${groupIndex}${signature}  if (i >= u32(${request.int(2)}) * ${V} || fresh[i / ${V}] == 0) { return; }
  counts[i] = 0;
}
`,
    groups: ([, V = 0, S = 0]) => grid(Math.ceil((V * S) / threads)),
  };
}

/** Buffers ids, counts, slots?, fresh?; params rows, V, S. */
export const countKernel: GpuKernel = {
  name: 'count',
  plan(request) {
    const hasSlots = request.has(2);
    const add: GpuPass = {
      name: 'count',
      bindings: [
        read(0, 'ids'),
        { buffer: 1, name: 'counts', type: 'array<atomic<i32>>', access: 'read_write' },
        ...(hasSlots ? [read(2, 'slots')] : []),
        statusBinding,
      ],
      code: `${groupIndex}${signature}  if (i >= u32(${request.int(0)})) { return; }
  let slot = ${hasSlots ? 'slots[i]' : '0'};
  if (slot < 0) { return; }
  let token = ids[i];
  if (token < 0 || token >= ${request.int(1)}) { ${fail('count_id', 'token')} return; }
  atomicAdd(&counts[u32(slot) * u32(${request.int(1)}) + u32(token)], 1);
}
`,
      groups: ([rows = 0]) => grid(Math.ceil(rows / threads)),
    };
    return { variants: [{ passes: [...(request.has(3) ? [freshPass(request)] : []), add] }] };
  },
};
