// count: occurrences of tokens, one row of counts per sequence.

import type { BufferPlace } from '../../signature.ts';
import { groupIndex } from '../common.ts';
import { type GpuBinding, type GpuKernel, type GpuPass, grid, type KernelRequest } from '../contract.ts';
import { fail, statusBinding } from '../status.ts';

const threads = 256;

const signature = `@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let i = group_index(id, count) * ${threads}u + t;
`;
const read = (buffer: BufferPlace, name: string): GpuBinding => ({
  buffer,
  name,
  type: 'array<i32>',
  access: 'read',
});

function freshPass(request: KernelRequest<'count'>): GpuPass {
  const V = `u32(${request.int(request.p.V)})`;
  return {
    name: 'count fresh',
    bindings: [
      read(request.b.fresh, 'fresh'),
      { buffer: request.b.counts, name: 'counts', type: 'array<i32>', access: 'read_write' },
    ],
    code: `${groupIndex}${signature}  if (i >= u32(${request.int(request.p.S)}) * ${V} || fresh[i / ${V}] == 0) { return; }
  counts[i] = 0;
}
`,
    groups: request.sized([request.p.V, request.p.S], (V = 0, S = 0) => grid(Math.ceil((V * S) / threads))),
  };
}

export const countKernel: GpuKernel<'count'> = {
  name: 'count',
  plan(request) {
    const hasSlots = request.has(request.b.slots);
    const add: GpuPass = {
      name: 'count',
      bindings: [
        read(request.b.ids, 'ids'),
        { buffer: request.b.counts, name: 'counts', type: 'array<atomic<i32>>', access: 'read_write' },
        ...(hasSlots ? [read(request.b.slots, 'slots')] : []),
        statusBinding,
      ],
      code: `${groupIndex}${signature}  if (i >= u32(${request.int(request.p.rows)})) { return; }
  let slot = ${hasSlots ? 'slots[i]' : '0'};
  if (slot < 0) { return; }
  let token = ids[i];
  if (token < 0 || token >= ${request.int(request.p.V)}) { ${fail('count_id', 'token')} return; }
  atomicAdd(&counts[u32(slot) * u32(${request.int(request.p.V)}) + u32(token)], 1);
}
`,
      groups: request.sized([request.p.rows], (rows = 0) => grid(Math.ceil(rows / threads))),
    };
    return { variants: [{ passes: [...(request.has(request.b.fresh) ? [freshPass(request)] : []), add] }] };
  },
};
