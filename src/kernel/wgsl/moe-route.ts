// moe_route: the best experts of a row and their weights, in one pass without a loop of reductions: an expert's place is the
// number of experts before it in the order, which every thread counts for its own.

import { groupIndex } from './common.ts';
import { type GpuKernel, grid } from './contract.ts';
import { orderedKey } from './ordered.ts';
import { workgroupSum } from './workgroup.ts';

/** Buffers logits, ids, weights; params rows, E, k, normTopk, mode, scale. */
export const moeRouteKernel: GpuKernel = {
  name: 'moe_route',
  plan(request) {
    const [E, k] = [request.constant(1), request.constant(2)];
    const overChosen = request.constant(3) === 1 || request.constant(4) === 1;
    const threads = E <= 64 ? 64 : E <= 128 ? 128 : 256;
    const code = `${groupIndex}${orderedKey}${workgroupSum(threads)}
/** Logits by size, NaN on top, and the best k of them. */
var<workgroup> keys: array<u32, ${E}>;
var<workgroup> chosen: array<f32, ${k}>;
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let row = group_index(id, count);
  if (row >= u32(${request.int(0)})) { return; }
  for (var e = t; e < ${E}u; e += ${threads}u) { keys[e] = ordered_key(logits[row * ${E}u + e]); }
  workgroupBarrier();
  for (var e = t; e < ${E}u; e += ${threads}u) {
    let key = keys[e];
    var place = 0u;
    for (var other = 0u; other < ${E}u; other++) {
      place += select(0u, 1u, keys[other] > key || (keys[other] == key && other < e));
    }
    if (place < ${k}u) {
      ids[row * ${k}u + place] = i32(e);
      chosen[place] = logits[row * ${E}u + e];
    }
  }
  workgroupBarrier();
  let best = chosen[0];
  var part = 0.0;
${
  overChosen
    ? `  for (var i = t; i < ${k}u; i += ${threads}u) { part += exp(chosen[i] - best); }`
    : `  for (var e = t; e < ${E}u; e += ${threads}u) { part += exp(logits[row * ${E}u + e] - best); }`
}
  let total = workgroup_sum(part, t);
  for (var i = t; i < ${k}u; i += ${threads}u) {
    weights[row * ${k}u + i] = exp(chosen[i] - best) / total * ${request.float(5)};
  }
}
`;
    return {
      variants: [
        {
          passes: [
            {
              name: 'moe_route',
              bindings: [
                { buffer: 0, name: 'logits', type: 'array<f32>', access: 'read' },
                { buffer: 1, name: 'ids', type: 'array<i32>', access: 'read_write' },
                { buffer: 2, name: 'weights', type: 'array<f32>', access: 'read_write' },
              ],
              code,
              groups: ([rows = 0]) => grid(rows),
            },
          ],
        },
      ],
    };
  },
};
