// embed: rows of a packed table, one thread for eight columns of a row.

import { groupIndex } from './common.ts';
import { type GpuKernel, type GpuPass, grid, type KernelRequest } from './contract.ts';
import { layoutOf, octetsOf, unpackFunctions, weightReader } from './linear/unpack.ts';
import { type PanelWindow, panelsOf, panelWindows } from './linear/windows.ts';
import { fail, statusBinding } from './status.ts';

const threads = 64;

export const embedKernel: GpuKernel<'embed'> = {
  name: 'embed',
  plan(request) {
    const [N, K] = [request.constant(request.p.N), request.constant(request.p.K)];
    const layout = layoutOf(request, request.p);
    const windows = panelWindows({ layout, K, count: panelsOf(N), unit: 1 }, request.caps);
    return { variants: [{ passes: windows.map((w, i) => embedPass(request, w, i === 0)) }] };
  },
};

/** The ids whose rows are in a window. The first pass looks for ids that are in none. */
function embedPass(
  request: KernelRequest<'embed'>,
  { first, panels, window, base }: PanelWindow,
  checks: boolean,
): GpuPass {
  const [N, K] = [request.constant(request.p.N), request.constant(request.p.K)];
  const layout = layoutOf(request, request.p);
  const octets = octetsOf(K);
  const stores = Array.from({ length: 8 }, (_, j) => {
    const store = `y[at + ${j}u] = w[${j}][lane] * scale;`;
    return K % 8 === 0 ? `  ${store}\n` : `  if (octet * 8u + ${j}u < ${K}u) { ${store} }\n`;
  });
  const code = `${groupIndex}${unpackFunctions}${weightReader('table', layout, K, base).code}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let index = group_index(id, count) * ${threads}u + t;
  let i = index / ${octets}u;
  let octet = index % ${octets}u;
  if (i >= u32(${request.int(request.p.rows)})) { return; }
  let token = ids[i];
  if (token < 0 || token >= ${N}) {
    ${checks ? fail('embed_id', 'token') : ''}
    return;
  }
  let row = u32(token);
  if (row < ${first * 16}u || row >= ${(first + panels) * 16}u) { return; }
  let w = table_values(row / 16u - ${first}u, (row >> 2u) & 3u, octet);
  let lane = row & 3u;
  let scale = ${request.float(request.p.scale)};
  let at = i * ${K}u + octet * 8u;
${stores.join('')}}
`;
  return {
    name: `embed ${layout.kind}`,
    bindings: [
      { buffer: request.b.ids, name: 'ids', type: 'array<i32>', access: 'read' },
      { buffer: request.b.w, name: 'table', type: 'array<vec4<u32>>', access: 'read', window },
      { buffer: request.b.y, name: 'y', type: 'array<f32>', access: 'read_write' },
      ...(checks ? [statusBinding] : []),
    ],
    code,
    groups: request.sized([request.p.rows], (rows = 0) => grid(Math.ceil((rows * octets) / threads))),
  };
}
