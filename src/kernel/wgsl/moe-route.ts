// moe_route: the best experts of a row and their weights, in one pass without a loop of reductions: an expert's place is the
// number of experts before it in the order, which every thread counts for its own.

import { groupIndex } from './common.ts';
import { type GpuKernel, grid, type KernelRequest } from './contract.ts';
import { orderedKey } from './ordered.ts';
import { workgroupSum } from './workgroup.ts';

export interface MoeRouteShape {
  readonly experts: number;
  readonly topk: number;
  /** Weights are those of a softmax over the chosen experts, not over all. */
  readonly overChosen: boolean;
  /** f32 expression by which weights are multiplied. */
  readonly scale: string;
}

export function moeRouteShape(request: KernelRequest<'moe_route'>): MoeRouteShape {
  return {
    experts: request.constant(request.p.E),
    topk: request.constant(request.p.k),
    overChosen:
      request.constant(request.p.normTopk) === 1 ||
      request.named('order', request.p.order) === 'topk-softmax',
    scale: request.float(request.p.scale),
  };
}

/**
 * `route(t)`, called by all threads of a workgroup once `route_logits` has the logits of all experts and a barrier has passed: fills `route_experts` and
 * `route_weights`, each of which is written by one thread and needs a barrier before others read it.
 */
export function routeFunction(
  { experts: E, topk: k, overChosen, scale }: MoeRouteShape,
  threads: number,
): string {
  return `${orderedKey}${workgroupSum(threads)}var<workgroup> route_logits: array<f32, ${E}>;
/** Logits by size, NaN on top. */
var<workgroup> route_keys: array<u32, ${E}>;
var<workgroup> route_experts: array<u32, ${k}>;
var<workgroup> route_weights: array<f32, ${k}>;
fn route(t: u32) {
  for (var e = t; e < ${E}u; e += ${threads}u) { route_keys[e] = ordered_key(route_logits[e]); }
  workgroupBarrier();
  for (var e = t; e < ${E}u; e += ${threads}u) {
    let key = route_keys[e];
    var place = 0u;
    for (var other = 0u; other < ${E}u; other++) {
      place += select(0u, 1u, route_keys[other] > key || (route_keys[other] == key && other < e));
    }
    if (place < ${k}u) { route_experts[place] = e; }
  }
  workgroupBarrier();
  let best = route_logits[route_experts[0]];
  var part = 0.0;
${
  overChosen
    ? `  for (var i = t; i < ${k}u; i += ${threads}u) { part += exp(route_logits[route_experts[i]] - best); }`
    : `  for (var e = t; e < ${E}u; e += ${threads}u) { part += exp(route_logits[e] - best); }`
}
  let total = workgroup_sum(part, t);
  for (var i = t; i < ${k}u; i += ${threads}u) {
    route_weights[i] = exp(route_logits[route_experts[i]] - best) / total * ${scale};
  }
}
`;
}

export const moeRouteKernel: GpuKernel<'moe_route'> = {
  name: 'moe_route',
  plan(request) {
    const shape = moeRouteShape(request);
    const { experts: E, topk: k } = shape;
    const threads = E <= 64 ? 64 : E <= 128 ? 128 : 256;
    const code = `${groupIndex}${routeFunction(shape, threads)}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let row = group_index(id, count);
  if (row >= u32(${request.int(request.p.rows)})) { return; }
  for (var e = t; e < ${E}u; e += ${threads}u) { route_logits[e] = logits[row * ${E}u + e]; }
  workgroupBarrier();
  route(t);
  workgroupBarrier();
  for (var i = t; i < ${k}u; i += ${threads}u) {
    ids[row * ${k}u + i] = i32(route_experts[i]);
    weights[row * ${k}u + i] = route_weights[i];
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
                { buffer: request.b.logits, name: 'logits', type: 'array<f32>', access: 'read' },
                { buffer: request.b.ids, name: 'ids', type: 'array<i32>', access: 'read_write' },
                { buffer: request.b.weights, name: 'weights', type: 'array<f32>', access: 'read_write' },
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
