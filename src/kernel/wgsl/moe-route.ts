// moe_route: the best experts of a row and their weights, in one pass without a loop of reductions: an expert's place is the
// number of experts before it in the order, which every thread counts for its own.

import type { RouteOrder } from '../signature.ts';
import { groupIndex } from './common.ts';
import { type GpuKernel, grid, type KernelRequest } from './contract.ts';
import { orderedKey } from './ordered.ts';
import { workgroupSum } from './workgroup.ts';

export interface MoeRouteShape {
  readonly experts: number;
  readonly topk: number;
  readonly order: RouteOrder;
  /** Numbers are added to scores for the choice. */
  readonly corrected: boolean;
  readonly normalised: boolean;
  /** f32 expression that is added to the sum of weights; undefined: nothing. */
  readonly epsilon: string | undefined;
  /** f32 expression by which weights are multiplied. */
  readonly scale: string;
}

export function moeRouteShape(request: KernelRequest<'moe_route'>): MoeRouteShape {
  const { p, b } = request;
  return {
    experts: request.constant(p.E),
    topk: request.constant(p.k),
    order: request.named('order', p.order),
    corrected: request.has(b.correction),
    normalised: request.constant(p.normTopk) === 1,
    epsilon: request.constant(p.epsilon) === 0 ? undefined : request.float(p.epsilon),
    scale: request.float(p.scale),
  };
}

/**
 * `route(t)`, called by all threads of a workgroup once `route_logits`, and `route_correction` where there is one, have numbers of all
 * experts and a barrier has passed: fills `route_experts` and `route_weights`, each of which is written by one thread and needs a
 * barrier before others read it.
 */
export function routeFunction(shape: MoeRouteShape, threads: number): string {
  const { experts: E, topk: k, order, corrected, normalised, epsilon } = shape;
  // The order of logits is that of their softmax, so the choice need not wait for it.
  const plain = order === 'softmax-topk' && !corrected && epsilon === undefined;
  const overChosen = order === 'topk-softmax' || normalised;
  const softmax = order === 'topk-softmax' || plain;
  return `${orderedKey}${workgroupSum(threads)}var<workgroup> route_logits: array<f32, ${E}>;
${corrected ? `var<workgroup> route_correction: array<f32, ${E}>;\n` : ''}/** By size, NaN on top. */
var<workgroup> route_keys: array<u32, ${E}>;
var<workgroup> route_experts: array<u32, ${k}>;
var<workgroup> route_weights: array<f32, ${k}>;
fn route(t: u32) {
${softmax ? '' : scores(order, E, threads)}  for (var e = t; e < ${E}u; e += ${threads}u) { route_keys[e] = ordered_key(route_logits[e]${corrected ? ' + route_correction[e]' : ''}); }
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
${softmax ? softmaxWeights(shape, overChosen, threads) : scoreWeights(shape, threads)}}
`;
}

/** Scores in place of logits: a softmax, or a function of each. */
function scores(order: MoeRouteShape['order'], E: number, threads: number): string {
  const each = (value: string): string =>
    `  for (var e = t; e < ${E}u; e += ${threads}u) { let x = route_logits[e]; route_logits[e] = ${value}; }\n`;
  if (order === 'sigmoid') return each('1.0 / (1.0 + exp(-x))');
  if (order === 'sqrt-softplus') {
    // log(1 + z), where 1 + z is rounded: log of the rounded one times z over what it is above 1.
    return `  for (var e = t; e < ${E}u; e += ${threads}u) {
    let x = route_logits[e];
    let z = exp(-abs(x));
    let rest = (1.0 + z) - 1.0;
    route_logits[e] = sqrt(max(x, 0.0) + select(log(1.0 + z) * (z / rest), z, z < 0.001));
  }
`;
  }
  return `  var most = route_logits[0];
  for (var e = 1u; e < ${E}u; e++) { most = max(most, route_logits[e]); }
  var some = 0.0;
  for (var e = t; e < ${E}u; e += ${threads}u) { some += exp(route_logits[e] - most); }
  let all = workgroup_sum(some, t);
  workgroupBarrier();
${each('exp(x - most) / all')}`;
}

/** Weights of a softmax over the chosen, or over all experts. */
function softmaxWeights(
  { experts: E, topk: k, corrected, normalised, epsilon, scale }: MoeRouteShape,
  overChosen: boolean,
  threads: number,
): string {
  const best = corrected
    ? `  for (var i = 1u; i < ${k}u; i++) { best = max(best, route_logits[route_experts[i]]); }\n`
    : '';
  return `  var best = route_logits[route_experts[0]];
${best}  var part = 0.0;
${
  overChosen
    ? `  for (var i = t; i < ${k}u; i += ${threads}u) { part += exp(route_logits[route_experts[i]] - best); }`
    : `  for (var e = t; e < ${E}u; e += ${threads}u) { part += exp(route_logits[e] - best); }`
}
  let total = workgroup_sum(part, t)${normalised && epsilon !== undefined ? ` * (1.0 + ${epsilon})` : ''};
  for (var i = t; i < ${k}u; i += ${threads}u) {
    route_weights[i] = exp(route_logits[route_experts[i]] - best) / total * ${scale};
  }
`;
}

/** Weights that are the scores of the chosen. */
function scoreWeights({ topk: k, normalised, epsilon, scale }: MoeRouteShape, threads: number): string {
  const total = normalised
    ? `  var part = 0.0;
  for (var i = t; i < ${k}u; i += ${threads}u) { part += route_logits[route_experts[i]]; }
  let total = workgroup_sum(part, t)${epsilon === undefined ? '' : ` + ${epsilon}`};
`
    : '';
  return `${total}  for (var i = t; i < ${k}u; i += ${threads}u) {
    route_weights[i] = route_logits[route_experts[i]]${normalised ? ' / total' : ''} * ${scale};
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
  for (var e = t; e < ${E}u; e += ${threads}u) {
    route_logits[e] = logits[row * ${E}u + e];
    ${shape.corrected ? 'route_correction[e] = correction[e];' : ''}
  }
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
                ...(shape.corrected
                  ? [
                      {
                        buffer: request.b.correction,
                        name: 'correction',
                        type: 'array<f32>',
                        access: 'read',
                      } as const,
                    ]
                  : []),
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
