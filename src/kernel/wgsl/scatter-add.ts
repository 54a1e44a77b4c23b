// scatter_add: rows of updates added into a table, in the order of their places, whatever runs first. The places that share
// a target are linked, first to last; then the first of each list walks it, a thread per column. Linking compares n²/2 places
// at most, out of workgroup memory; the rest is the time of the bytes of updates and table.

import { groupIndex } from './common.ts';
import { type GpuKernel, type GpuPass, grid, type KernelRequest } from './contract.ts';
import { fail, statusBinding } from './status.ts';

const threads = 256;

const entry = `@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let item = group_index(id, groups) * ${threads}u + t;
`;

export const scatterAddKernel: GpuKernel<'scatter_add'> = {
  name: 'scatter_add',
  plan(request) {
    return {
      variants: [{ passes: [startPass(request), linkPass(request), addPass(request)] }],
      scratch: [2 * Math.max(request.bytesOf(request.b.indices), 4)],
    };
  },
};

/** The row that a place adds to; negative indices count from the end. */
const rowFunction = (request: KernelRequest<'scatter_add'>): string => `fn row_of(place: u32) -> i32 {
  let index = indices[place];
  return index + select(0, ${request.int(request.p.D)}, index < 0);
}
`;

/** Zeros the table, and marks every place as the first of its list. */
const startPass = (request: KernelRequest<'scatter_add'>): GpuPass => ({
  name: 'scatter_add start',
  bindings: [
    { buffer: request.b.y, name: 'y', type: 'array<u32>', access: 'read_write' },
    { buffer: { scratch: 0 }, name: 'links', type: 'array<i32>', access: 'read_write' },
  ],
  code: `${groupIndex}${entry}  if (item < u32(${request.int(request.p.D)}) * u32(${request.int(request.p.inner)})) { y[item] = 0u; }
  if (item < u32(${request.int(request.p.n)})) { links[2u * item + 1u] = 1; }
}
`,
  groups: request.sized([request.p.inner, request.p.D, request.p.n], (inner = 0, D = 0, n = 0) =>
    grid(Math.ceil(Math.max(inner * D, n) / threads)),
  ),
});

/** links[2i] is the next place with the index of place i, or -1; links[2i + 1] is 1 when there is none before it. */
const linkPass = (request: KernelRequest<'scatter_add'>): GpuPass => ({
  name: 'scatter_add links',
  bindings: [
    { buffer: request.b.indices, name: 'indices', type: 'array<i32>', access: 'read' },
    { buffer: { scratch: 0 }, name: 'links', type: 'array<i32>', access: 'read_write' },
    statusBinding,
  ],
  code: `${groupIndex}${rowFunction(request)}fn row_or_none(place: u32, n: u32) -> i32 { return select(-1, row_of(min(place, n - 1u)), place < n); }
var<workgroup> rows: array<vec4<i32>, ${threads / 4}>;
${entry}  let n = u32(${request.int(request.p.n)});
  let index = row_or_none(item, n);
  let valid = item < n && index >= 0 && index < ${request.int(request.p.D)};
  if (item < n && !valid) {
    ${fail('scatter_index', 'indices[item]')}
    links[2u * item + 1u] = 0;
  }
  var next = n;
  for (var tile = group_index(id, groups) * ${threads}u; tile < n; tile += ${threads}u) {
    workgroupBarrier();
    if (t < ${threads / 4}u) {
      let at = tile + 4u * t;
      rows[t] = vec4<i32>(row_or_none(at, n), row_or_none(at + 1u, n), row_or_none(at + 2u, n), row_or_none(at + 3u, n));
    }
    workgroupBarrier();
    for (var j = 0u; valid && next == n && j < ${threads / 4}u; j++) {
      let places = vec4<u32>(tile + 4u * j) + vec4<u32>(0u, 1u, 2u, 3u);
      let hits = (rows[j] == vec4<i32>(index)) & (places > vec4<u32>(item));
      if (any(hits)) { next = select(select(select(places.w, places.z, hits.z), places.y, hits.y), places.x, hits.x); }
    }
  }
  if (!valid) { return; }
  links[2u * item] = select(-1, i32(next), next < n);
  if (next < n) { links[2u * next + 1u] = 0; }
}
`,
  groups: request.sized([request.p.n], (n = 0) => grid(Math.ceil(n / threads))),
});

const addPass = (request: KernelRequest<'scatter_add'>): GpuPass => {
  const type = request.named('dtype', request.p.dtype);
  return {
    name: 'scatter_add',
    bindings: [
      { buffer: request.b.updates, name: 'updates', type: `array<${type}>`, access: 'read' },
      { buffer: request.b.indices, name: 'indices', type: 'array<i32>', access: 'read' },
      { buffer: { scratch: 0 }, name: 'links', type: 'array<i32>', access: 'read' },
      { buffer: request.b.y, name: 'y', type: `array<${type}>`, access: 'read_write' },
    ],
    code: `${groupIndex}${rowFunction(request)}${entry}  let inner = u32(${request.int(request.p.inner)});
  if (item >= u32(${request.int(request.p.n)}) * inner) { return; }
  let column = item % inner;
  var place = i32(item / inner);
  if (links[2 * place + 1] == 0) { return; }
  let to = u32(row_of(u32(place))) * inner + column;
  var sum = ${type}(0);
  while (place >= 0) {
    sum += updates[u32(place) * inner + column];
    place = links[2 * place];
  }
  y[to] = sum;
}
`,
    groups: request.sized([request.p.n, request.p.inner], (n = 0, inner = 0) =>
      grid(Math.ceil((n * inner) / threads)),
    ),
  };
};
