// Passes that bind more buffers than an adapter allows: the arrays of integers they read, positions and tables of pages, are laid
// side by side in scratch memory by a pass before.

import { groupIndex } from './common.ts';
import { type GpuBinding, type GpuKernelPlan, type GpuPass, grid, type KernelRequest } from './contract.ts';

const threads = 64;
const type = 'array<i32>';

/** The plan of one pass. Its code reads arrays of integers by their names and an index in brackets only. */
export function planOf(request: Pick<KernelRequest, 'caps' | 'bytes'>, pass: GpuPass): GpuKernelPlan {
  if (pass.bindings.length <= request.caps.maxStorageBuffers) return { variants: [{ passes: [pass] }] };
  const merged = pass.bindings.filter((b) => b.type === type && b.access === 'read');
  const lengths = merged.map(({ buffer }) =>
    typeof buffer === 'number' ? (request.bytes[buffer] ?? 0) / 4 : 0,
  );
  const starts = lengths.map((_, i) => lengths.slice(0, i).reduce((a, b) => a + b, 0));
  const total = lengths.reduce((a, b) => a + b, 0);
  const integers: GpuBinding = { buffer: { scratch: 0 }, name: 'integers', type, access: 'read' };
  const copies = merged.map(({ name }, i) => {
    const [start = 0, length = 0] = [starts[i], lengths[i]];
    return `  if (i >= ${start}u && i < ${start + length}u) { integers[i] = ${name}[i - ${start}u]; }\n`;
  });
  const laying: GpuPass = {
    name: `${pass.name} integers`,
    bindings: [...merged, { ...integers, access: 'read_write' }],
    code: `${groupIndex}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let i = group_index(id, groups) * ${threads}u + t;
${copies.join('')}}
`,
    groups: grid(Math.ceil(total / threads)),
  };
  const code = merged.reduce(
    (text, { name }, i) => text.replaceAll(new RegExp(`\\b${name}\\[`, 'g'), `integers[${starts[i]} + `),
    pass.code,
  );
  const bindings = [...pass.bindings.filter((b) => !merged.includes(b)), integers];
  return { variants: [{ passes: [laying, { ...pass, bindings, code }] }], scratch: [4 * total] };
}
