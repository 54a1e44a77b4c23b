// index_topk and chosen_attention: an indexer ranks the positions before a row, and the row attends to the best of them.

import type { BufferPlace } from '../signature.ts';
import { groupIndex } from './common.ts';
import { cacheType, cell, slotFunction } from './compressed.ts';
import { type GpuBinding, type GpuKernel, grid, type KernelRequest, read } from './contract.ts';
import { pageSize } from './kv-slots.ts';
import { attendSlot } from './online-softmax.ts';

const threads = 64;
/** Workgroups of index_topk: each has room for the scores of one row at a time. */
const rankers = 16;

/** `cache_slot(row, position)`: where a sequence's position or block is, -1 where it is not; and `cache_at(i)`, an element of the cache. */
function sharedRows(
  request: KernelRequest<'index_topk' | 'chosen_attention'>,
  cache: BufferPlace,
  ratio: number,
): { readonly bindings: readonly GpuBinding[]; readonly code: string } {
  const { p, b } = request;
  const f16 = request.named('dtype', p.kvDtype) === 'f16';
  const slots = slotFunction(request, {
    name: 'cache',
    table: b.pageTable,
    cap: request.constant(p.cap),
    ring: 0,
    ratio,
  });
  return {
    bindings: [
      read(cache, 'cache', cacheType(f16)),
      ...(request.has(b.sequences) ? [read(b.sequences, 'sequences', 'array<i32>')] : []),
      ...slots.bindings,
    ],
    code: slots.code + cell(f16, 'cache'),
  };
}

/** The key of a score's order, ascending: of two floats the larger has the larger key. */
const keyOf = `fn key_of(score: f32) -> u32 {
  let bits = bitcast<u32>(score);
  return select(bits | 0x80000000u, ~bits, (bits & 0x80000000u) != 0u);
}
`;

/**
 * Buffers query [rows, H, D], weights [rows, H], keys [cap, D], positions, sequences?, pageTable?, ids [rows, k]; params rows, H,
 * D, cap, kvDtype, k, S, maxPages. The k-th best key is found bit by bit; then the first thread lists what is above it, and
 * of what equals it the earliest.
 */
export const indexTopkKernel: GpuKernel<'index_topk'> = {
  name: 'index_topk',
  plan(request) {
    const { p, b } = request;
    const [H, D, k] = [request.constant(p.H), request.constant(p.D), request.constant(p.k)];
    const [cap, maxPages] = [request.constant(p.cap), request.constant(p.maxPages)];
    const most = request.has(b.sequences) ? maxPages * pageSize : cap;
    const ratio = request.constant(p.ratio);
    const shared = sharedRows(request, b.keys, ratio);
    const code = `${groupIndex}${keyOf}${shared.code}
var<workgroup> above: atomic<u32>;
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let group = group_index(id, groups);
  let base = group * ${most}u;
  let rows = u32(${request.int(p.rows)});
  for (var row = group; row < rows; row += ${rankers}u) {
    let count = u32(min(max(positions[row] + 1, 0)${ratio === 1 ? '' : ` / ${ratio}`}, ${most}));
    for (var j = t; j < count; j += ${threads}u) {
      let slot = u32(max(cache_slot(row, i32(j)), 0));
      var sum = 0.0;
      for (var h = 0u; h < ${H}u; h++) {
        var product = 0.0;
        for (var d = 0u; d < ${D}u; d++) { product += query[(row * ${H}u + h) * ${D}u + d] * cache_at(slot * ${D}u + d); }
        sum += weights[row * ${H}u + h] * max(0.0, product);
      }
      keys[base + j] = key_of(sum);
    }
    storageBarrier();
    workgroupBarrier();
    var least = 0u;
    for (var bit = 0u; bit < 32u; bit++) {
      let tried = least | (0x80000000u >> bit);
      if (t == 0u) { atomicStore(&above, 0u); }
      workgroupBarrier();
      var own = 0u;
      for (var j = t; j < count; j += ${threads}u) { own += select(0u, 1u, keys[base + j] >= tried); }
      atomicAdd(&above, own);
      workgroupBarrier();
      if (atomicLoad(&above) >= ${k}u) { least = tried; }
      workgroupBarrier();
    }
    if (t == 0u) {
      var larger = 0u;
      for (var j = 0u; j < count; j++) { larger += select(0u, 1u, keys[base + j] > least); }
      var equal = ${k}u - min(larger, ${k}u);
      var place = 0u;
      for (var j = 0u; j < count; j++) {
        let key = keys[base + j];
        let taken = count <= ${k}u || key > least || (key == least && equal > 0u);
        if (!taken || place >= ${k}u) { continue; }
        if (key == least && equal > 0u) { equal--; }
        ids[row * ${k}u + place] = i32(j);
        place++;
      }
      for (; place < ${k}u; place++) { ids[row * ${k}u + place] = -1; }
    }
    workgroupBarrier();
  }
}
`;
    const bindings: readonly GpuBinding[] = [
      read(b.query, 'query', 'array<f32>'),
      read(b.weights, 'weights', 'array<f32>'),
      read(b.positions, 'positions', 'array<i32>'),
      ...shared.bindings,
      { buffer: { scratch: 0 }, name: 'keys', type: 'array<u32>', access: 'read_write' },
      { buffer: b.ids, name: 'ids', type: 'array<i32>', access: 'read_write' },
    ];
    return {
      variants: [{ passes: [{ name: 'index_topk', bindings, code, groups: [rankers, 1, 1] }] }],
      scratch: [rankers * most * 4],
    };
  },
};

/**
 * Buffers q [rows, H, W], cache [cap, W], ids [rows, k], sequences?, pageTable?, y [rows, H, W]; params rows, H, W, cap, kvDtype, k,
 * scale, S, maxPages. A workgroup has one head of a row, a thread some of its columns; the softmax is kept up to date.
 */
export const chosenAttentionKernel: GpuKernel<'chosen_attention'> = {
  name: 'chosen_attention',
  plan(request) {
    const { p, b } = request;
    const [H, W, k] = [request.constant(p.H), request.constant(p.W), request.constant(p.k)];
    const columns = Math.ceil(W / threads);
    const shared = sharedRows(request, b.cache, 1);
    const code = `${groupIndex}${shared.code}
var<workgroup> partial: array<f32, ${threads}>;
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let item = group_index(id, groups);
  let row = min(item / ${H}u, u32(${request.int(p.rows)}) - 1u);
  var sums: array<f32, ${columns}>;
  for (var c = 0u; c < ${columns}u; c++) { sums[c] = 0.0; }
  var most = -1e30;
  var total = 0.0;
  for (var i = 0u; i < ${k}u; i++) {
    let slot = cache_slot(row, ids[row * ${k}u + i]);
${attendSlot({ element: 'cache_at', width: W, threads, scale: request.float(p.scale) })}  }
  for (var c = 0u; c < ${columns}u; c++) {
    let d = t + c * ${threads}u;
    if (d < ${W}u && item < u32(${request.int(p.rows)}) * ${H}u) { y[item * ${W}u + d] = sums[c] / total; }
  }
}
`;
    const bindings: readonly GpuBinding[] = [
      read(b.q, 'q', 'array<f32>'),
      read(b.ids, 'ids', 'array<i32>'),
      ...shared.bindings,
      { buffer: b.y, name: 'y', type: 'array<f32>', access: 'read_write' },
    ];
    const pass = {
      name: 'chosen_attention',
      bindings,
      code,
      groups: request.sized([p.rows], (rows = 0) => grid(rows * H)),
    };
    return { variants: [{ passes: [pass] }] };
  },
};
