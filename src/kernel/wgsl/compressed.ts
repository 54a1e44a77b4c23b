// The memory of DeepSeek V4: block_write makes entries of the rows of a block, compressed_attention attends to the last rows and to
// entries in one softmax, sinkhorn makes the matrices of hyper-connections.

import type { BufferPlace, ParamPlace } from '../signature.ts';
import { f16Rounding, groupIndex } from './common.ts';
import { type GpuBinding, type GpuKernel, grid, type KernelRequest, read } from './contract.ts';
import { pageSize } from './kv-slots.ts';
import { calledFunctions, mathFunctions, valueTypes } from './math.ts';
import { planOf } from './merge-integers.ts';
import { attendSlot } from './online-softmax.ts';

const threads = 64;

/** A cache whose slots are of positions, or of blocks of `ratio` of them. */
interface SlotRule {
  /** Of the function, and of the table's binding. */
  readonly name: string;
  readonly table: BufferPlace;
  readonly cap: number;
  readonly ring: number;
  readonly ratio: number;
}

type Kernel = 'block_write' | 'compressed_attention' | 'index_topk' | 'chosen_attention';

/** `NAME_slot(row, number)`: where a position or block of a row's sequence is, -1 where it is not. Needs `sequences` where paged. */
export function slotFunction(
  request: KernelRequest<Kernel>,
  { name, table, cap, ring, ratio }: SlotRule,
): { readonly bindings: readonly GpuBinding[]; readonly code: string } {
  const maxPages = request.constant(request.p.maxPages);
  const head = `fn ${name}_slot(row: u32, number: i32) -> i32 {\n  if (number < 0) { return -1; }\n`;
  if (!request.has(table)) {
    const slot = ring > 0 ? `number % ${ring}` : 'number';
    return { bindings: [], code: `${head}  return select(${slot}, -1, ${slot} >= ${cap});\n}\n` };
  }
  const perPage = Math.max(1, Math.floor(pageSize / ratio));
  return {
    bindings: [read(table, `${name}_pages`, 'array<i32>')],
    code: `${head}  let last = (number + 1) * ${ratio} - 1;
  if (last >= ${maxPages * pageSize}) { return -1; }
  let page = ${name}_pages[sequences[row] * ${maxPages} + last / ${pageSize}];
  return select(page * ${perPage} + last % ${pageSize} / ${ratio}, -1, page < 0 || page >= ${Math.floor(cap / perPage)});
}
`,
  };
}

export const cacheType = (f16: boolean): string => (f16 ? 'array<u32>' : 'array<f32>');
/** `ARRAY_at(i)`: element i of a cache. */
export const cell = (f16: boolean, array: string): string =>
  `fn ${array}_at(i: u32) -> f32 { return ${f16 ? `unpack2x16float(${array}[i >> 1u])[i & 1u]` : `${array}[i]`}; }\n`;

const isHalf = (request: KernelRequest<Kernel>, place: ParamPlace): boolean =>
  request.named('dtype', place) === 'f16';

/**
 * A workgroup has the entry of one row, a thread some of its columns. Buffers entries [cap, W], pending [pendingCap, 2, C], positions,
 * bias [ratio, C], norm [W], frequencies [R / 2], sequences?, pendingPages?, entryPages?.
 */
export const blockWriteKernel: GpuKernel<'block_write'> = {
  name: 'block_write',
  plan(request) {
    const { p, b } = request;
    const [W, R, ratio] = [request.constant(p.W), request.constant(p.R), request.constant(p.ratio)];
    const overlap = request.constant(p.overlap) === 1;
    const C = overlap ? 2 * W : W;
    const f16 = isHalf(request, p.kvDtype);
    const pending = slotFunction(request, {
      name: 'pending',
      table: b.pendingPages,
      cap: request.constant(p.pendingCap),
      ring: request.constant(p.ring),
      ratio: 1,
    });
    const entry = slotFunction(request, {
      name: 'entry',
      table: b.entryPages,
      cap: request.constant(p.cap),
      ring: 0,
      ratio,
    });
    const code = `${groupIndex}${valueTypes(1)}${calledFunctions(mathFunctions(1), 'sin_f32 cos_f32')}${f16 ? f16Rounding : ''}${pending.code}${entry.code}${cell(f16, 'pending')}
var<workgroup> staged: array<f32, ${W}>;
var<workgroup> squares: array<f32, ${threads}>;
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let rows = u32(${request.int(p.rows)});
  let at = group_index(id, groups);
  let row = min(at, rows - 1u);
  let end = positions[row] + 1;
  let start = end - ${ratio};
  let place = entry_slot(row, start / ${ratio});
  let exists = at < rows && start >= 0 && end % ${ratio} == 0 && place >= 0;
  var own_squares = 0.0;
  for (var d = t; d < ${W}u; d += ${threads}u) {
    var most = -1e30;
    var total = 0.0;
    var sum = 0.0;
    for (var own = ${overlap ? 'select(1, 0, start > 0)' : '1'}; own < 2 && exists; own++) {
      let series = u32(own) * ${C - W}u;
      for (var j = 0; j < ${ratio}; j++) {
        let source = u32(max(pending_slot(row, start + (own - 1) * ${ratio} + j), 0)) * ${2 * C}u;
        let gate = pending_at(source + ${C}u + series + d) + bias[u32(j) * ${C}u + series + d];
        let next = max(most, gate);
        let old = exp(most - next);
        let weight = exp(gate - next);
        most = next;
        total = total * old + weight;
        sum = sum * old + weight * pending_at(source + series + d);
      }
    }
    let value = select(0.0, sum / total, total > 0.0);
    staged[d] = value;
    own_squares += value * value;
  }
  squares[t] = own_squares;
  for (var half = ${threads / 2}u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (t < half) { squares[t] += squares[t + half]; }
  }
  workgroupBarrier();
  let scale = inverseSqrt(squares[0] / ${W}.0 + ${request.float(p.eps)});
  // Neighbouring pairs: columns that rotate do so together.
  for (var pair = t; pair < ${Math.ceil(W / 2)}u; pair += ${threads}u) {
    let d = 2u * pair;
    let both = d + 1u < ${W}u;
    var x = staged[d] * scale * norm[d];
    var y = 0.0;
    if (both) { y = staged[d + 1u] * scale * norm[d + 1u]; }
${
  R > 0
    ? `    if (d >= ${W - R}u) {
      let angle = f32(start) * frequencies[(d - ${W - R}u) / 2u];
      let turn = vec2(sin_f32(angle), cos_f32(angle)) * ${request.float(p.factor)};
      let rotated = vec2(x * turn.y - y * turn.x, y * turn.y + x * turn.x);
      x = rotated.x;
      y = rotated.y;
    }`
    : ''
}
    if (exists) {
      let to = u32(place) * ${W}u + d;
      ${f16 ? 'entries[to >> 1u] = f16_pair(x, y);' : 'entries[to] = x;\n      if (both) { entries[to + 1u] = y; }'}
    }
  }
}
`;
    const bindings: readonly GpuBinding[] = [
      { buffer: b.entries, name: 'entries', type: cacheType(f16), access: 'read_write' },
      read(b.pending, 'pending', cacheType(f16)),
      read(b.positions, 'positions', 'array<i32>'),
      read(b.bias, 'bias', 'array<f32>'),
      read(b.norm, 'norm', 'array<f32>'),
      ...(R > 0 ? [read(b.frequencies, 'frequencies', 'array<f32>')] : []),
      ...(request.has(b.sequences) ? [read(b.sequences, 'sequences', 'array<i32>')] : []),
      ...pending.bindings,
      ...entry.bindings,
    ];
    const groups = request.sized([p.rows], (rows = 0) => grid(rows));
    return planOf(request, { name: 'block_write', bindings, code, groups });
  },
};

/**
 * A workgroup has one head of a row, a thread some of its columns; the softmax is kept up to date. Buffers q [rows, H, W], rowCache
 * [cap, W], entries [entryCap, W], ids? [rows, k], positions, sinks? [H], sequences?, rowPages?, entryPages?, y [rows, H, W].
 */
export const compressedAttentionKernel: GpuKernel<'compressed_attention'> = {
  name: 'compressed_attention',
  plan(request) {
    const { p, b } = request;
    const [H, W, k] = [request.constant(p.H), request.constant(p.W), request.constant(p.k)];
    const [window, ratio] = [request.constant(p.window), request.constant(p.ratio)];
    const columns = Math.ceil(W / threads);
    const f16 = isHalf(request, p.kvDtype);
    const [chosen, sunk] = [request.has(b.ids), request.has(b.sinks)];
    const near = slotFunction(request, {
      name: 'row',
      table: b.rowPages,
      cap: request.constant(p.cap),
      ring: request.constant(p.ring),
      ratio: 1,
    });
    const far = slotFunction(request, {
      name: 'entry',
      table: b.entryPages,
      cap: request.constant(p.entryCap),
      ring: 0,
      ratio,
    });
    const scale = request.float(p.scale);
    const attend = (array: string): string =>
      attendSlot({ element: `${array}_at`, width: W, threads, scale });
    const code = `${groupIndex}${near.code}${far.code}${cell(f16, 'row_cache')}${cell(f16, 'entries')}
var<workgroup> partial: array<f32, ${threads}>;
var<workgroup> shared_end: i32;
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let item = min(group_index(id, groups), u32(${request.int(p.rows)}) * ${H}u - 1u);
  let row = item / ${H}u;
  // The loops have barriers in them: their bounds must be seen to be the same for all threads.
  if (t == 0u) { shared_end = positions[row] + 1; }
  let end = workgroupUniformLoad(&shared_end);
  var sums: array<f32, ${columns}>;
  for (var c = 0u; c < ${columns}u; c++) { sums[c] = 0.0; }
  var most = ${sunk ? `sinks[item % ${H}u]` : '-1e30'};
  var total = ${sunk ? '1.0' : '0.0'};
  for (var number = max(0, end - ${window}); number < end; number++) {
    let slot = row_slot(row, number);
${attend('row_cache')}  }
  for (var i = 0; i < ${chosen ? k : `end / ${ratio}`}; i++) {
    let slot = ${chosen ? `entry_slot(row, ids[row * ${k}u + u32(i)])` : 'entry_slot(row, i)'};
${attend('entries')}  }
  for (var c = 0u; c < ${columns}u; c++) {
    let d = t + c * ${threads}u;
    if (d < ${W}u) { y[item * ${W}u + d] = sums[c] / total; }
  }
}
`;
    const bindings: readonly GpuBinding[] = [
      read(b.q, 'q', 'array<f32>'),
      read(b.rowCache, 'row_cache', cacheType(f16)),
      read(b.entries, 'entries', cacheType(f16)),
      ...(chosen ? [read(b.ids, 'ids', 'array<i32>')] : []),
      read(b.positions, 'positions', 'array<i32>'),
      ...(sunk ? [read(b.sinks, 'sinks', 'array<f32>')] : []),
      ...(request.has(b.sequences) ? [read(b.sequences, 'sequences', 'array<i32>')] : []),
      ...near.bindings,
      ...far.bindings,
      { buffer: b.y, name: 'y', type: 'array<f32>', access: 'read_write' },
    ];
    const groups = request.sized([p.rows], (rows = 0) => grid(rows * H));
    return planOf(request, { name: 'compressed_attention', bindings, code, groups });
  },
};

/** A thread has a matrix. Buffers x and y [rows, size, size]. */
export const sinkhornKernel: GpuKernel<'sinkhorn'> = {
  name: 'sinkhorn',
  plan(request) {
    const { p, b } = request;
    const [h, turns] = [request.constant(p.size), 2 * request.constant(p.iterations) - 1];
    const eps = request.float(p.eps);
    const code = `${groupIndex}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let row = group_index(id, groups) * ${threads}u + t;
  if (row >= u32(${request.int(p.rows)})) { return; }
  var m: array<f32, ${h * h}>;
  for (var i = 0u; i < ${h}u; i++) {
    var most = -1e30;
    for (var j = 0u; j < ${h}u; j++) { most = max(most, x[row * ${h * h}u + i * ${h}u + j]); }
    var sum = 0.0;
    for (var j = 0u; j < ${h}u; j++) {
      let weight = exp(x[row * ${h * h}u + i * ${h}u + j] - most);
      m[i * ${h}u + j] = weight;
      sum += weight;
    }
    for (var j = 0u; j < ${h}u; j++) { m[i * ${h}u + j] = m[i * ${h}u + j] / sum + ${eps}; }
  }
  for (var turn = 0; turn < ${turns}; turn++) {
    // Columns, then rows: lines are \`step\` apart within and begin at multiples of \`line\`.
    let line = select(${h}u, 1u, turn % 2 == 0);
    let step = select(1u, ${h}u, turn % 2 == 0);
    for (var i = 0u; i < ${h}u; i++) {
      var sum = ${eps};
      for (var j = 0u; j < ${h}u; j++) { sum += m[i * line + j * step]; }
      for (var j = 0u; j < ${h}u; j++) { m[i * line + j * step] = m[i * line + j * step] / sum; }
    }
  }
  for (var i = 0u; i < ${h * h}u; i++) { y[row * ${h * h}u + i] = m[i]; }
}
`;
    const bindings: readonly GpuBinding[] = [
      read(b.x, 'x', 'array<f32>'),
      { buffer: b.y, name: 'y', type: 'array<f32>', access: 'read_write' },
    ];
    const groups = request.sized([p.rows], (rows = 0) => grid(Math.ceil(rows / threads)));
    return { variants: [{ passes: [{ name: 'sinkhorn', bindings, code, groups }] }] };
  },
};
