// The last pass of sampling: a workgroup per row cuts the distribution and draws. Every cut is a place in the descending order
// of tokens, found by bucket, then by digits of the logit within the bucket, then by token among equal logits.

import { type GpuBinding, type GpuPass, grid } from '../contract.ts';
import { fail, statusBinding } from '../status.ts';
import { workgroupMax, workgroupSum } from '../workgroup.ts';
import {
  bestOf,
  bucketsBinding,
  logits,
  orderBinding,
  prelude,
  rowExtremes,
  type SampleShape,
  slicesBinding,
  threads,
  weights,
} from './shape.ts';

/** First word of Philox4x32-10 for key (seed, 0) and counter (step, 0, 0, 0). https://doi.org/10.1145/2063384.2063405 */
const philox = `fn philox(seed: u32, step: u32) -> u32 {
  var c = vec4(step, 0u, 0u, 0u);
  var k = vec2(seed, 0u);
  for (var round = 0; round < 10; round++) {
    c = vec4(multiply_high(0xcd9e8d57u, c.z) ^ c.y ^ k.x, 0xcd9e8d57u * c.z, multiply_high(0xd2511f53u, c.x) ^ c.w ^ k.y, 0xd2511f53u * c.x);
    k += vec2(0x9e3779b9u, 0xbb67ae85u);
  }
  return c.x;
}
`;

/**
 * `locate(own, before, goal, thread)`: threads hold consecutive runs of tokens; the first run at whose end the goal is reached, and
 * what lies before it. Sums are (tokens, low, high word of the weight); a goal is a number of tokens, or a weight if that is 0.
 */
const locate = `struct Goal { tokens: u32, weight: vec2<u32> }
struct Place { run: u32, before: vec3<u32> }
var<workgroup> run_sums: array<vec3<u32>, threads>;
var<workgroup> located_run: u32;
var<workgroup> located_before: vec3<u32>;
fn add_sums(a: vec3<u32>, b: vec3<u32>) -> vec3<u32> { return vec3(a.x + b.x, add64(a.yz, b.yz)); }
fn reached(sum: vec3<u32>, goal: Goal) -> bool {
  if (goal.tokens > 0u) { return sum.x >= goal.tokens; }
  return at_least64(sum.yz, goal.weight);
}
fn locate(own: vec3<u32>, before: vec3<u32>, goal: Goal, t: u32) -> Place {
  run_sums[t] = own;
  for (var step = 1u; step < threads; step <<= 1u) {
    workgroupBarrier();
    let left = select(vec3(0u), run_sums[max(t, step) - step], t >= step);
    workgroupBarrier();
    run_sums[t] = add_sums(left, run_sums[t]);
  }
  workgroupBarrier();
  let start = add_sums(before, select(vec3(0u), run_sums[max(t, 1u) - 1u], t > 0u));
  if (own.x > 0u && !reached(start, goal) && reached(add_sums(before, run_sums[t]), goal)) {
    located_run = t;
    located_before = start;
  }
  workgroupBarrier();
  return Place(workgroupUniformLoad(&located_run), workgroupUniformLoad(&located_before));
}
`;

/** `total_of(own, thread)`: the sums of all threads. */
const totalOf = `fn total_of(own: vec3<u32>, t: u32) -> vec3<u32> {
  run_sums[t] = own;
  for (var half = threads / 2u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (t < half) { run_sums[t] = add_sums(run_sums[t], run_sums[t + half]); }
  }
  let result = workgroupUniformLoad(&run_sums[0]);
  workgroupBarrier();
  return result;
}
`;

/**
 * `find(row, goal, scale, thread)`: the token at which the descending order reaches a goal, the sums up to it, and the end of its
 * bucket. Within a bucket the search goes by an ascending value: first the complement of the logit's key, then, among equal
 * logits, the token's number; each time by the next 8 bits in which the values that are left differ.
 */
const find = `struct Found { token: u32, sums: vec3<u32>, bucket_end: u32 }
var<workgroup> digit_sums: array<atomic<u32>, 3u * threads>;
fn bucket_sum(row: u32, b: u32) -> vec3<u32> {
  let sums = row * 4u * buckets + b;
  return vec3(bucket_sums[sums], bucket_sums[sums + buckets], bucket_sums[sums + 2u * buckets]);
}
fn four_buckets(row: u32, t: u32) -> vec3<u32> {
  var own = vec3(0u);
  for (var b = 4u * t; b < 4u * t + 4u; b++) { own = add_sums(own, bucket_sum(row, b)); }
  return own;
}
fn find(row: u32, goal: Goal, s: Scale, t: u32) -> Found {
  var place = locate(four_buckets(row, t), vec3(0u), goal, t);
  var before = place.before;
  var bucket = 4u * place.run;
  for (; bucket < 4u * place.run + 3u; bucket++) {
    let next = add_sums(before, bucket_sum(row, bucket));
    if (reached(next, goal)) { break; }
    before = next;
  }
  let first = before.x;
  let end = first + bucket_sum(row, bucket).x;
  var logit_value = 0u;
  var low = 0u;
  for (var phase = 0u; phase < 2u; phase++) {
    logit_value = low;
    var lowest = 0xffffffffu;
    var highest = 0u;
    for (var i = first + t; i < end; i += threads) {
      let token = order[row * V + i];
      let by_logit = ~ordered_key(logits[row * V + token]);
      if (phase == 1u && by_logit != logit_value) { continue; }
      let value = select(by_logit, token, phase == 1u);
      lowest = min(lowest, value);
      highest = max(highest, value);
    }
    low = ~best_of(~lowest, 0u, t).x;
    var bits = 32u - countLeadingZeros(best_of(highest, 0u, t).x - low);
    while (bits > 0u) {
      let shift = max(bits, 8u) - 8u;
      for (var i = 0u; i < 3u; i++) { atomicStore(&digit_sums[i * threads + t], 0u); }
      workgroupBarrier();
      for (var i = first + t; i < end; i += threads) {
        let token = order[row * V + i];
        let x = logits[row * V + token];
        let by_logit = ~ordered_key(x);
        let value = select(by_logit, token, phase == 1u);
        if ((phase == 1u && by_logit != logit_value) || value < low) { continue; }
        let digit = (value - low) >> shift;
        if (digit >= threads) { continue; }
        let w = weight_of(x, s);
        atomicAdd(&digit_sums[digit], 1u);
        let sum = atomicAdd(&digit_sums[threads + digit], w.x);
        atomicAdd(&digit_sums[2u * threads + digit], w.y + select(0u, 1u, sum + w.x < sum));
      }
      workgroupBarrier();
      let own = vec3(atomicLoad(&digit_sums[t]), atomicLoad(&digit_sums[threads + t]), atomicLoad(&digit_sums[2u * threads + t]));
      place = locate(own, before, goal, t);
      before = place.before;
      low += place.run << shift;
      bits = shift;
    }
  }
  return Found(low, add_sums(before, vec3(1u, weight_of(logits[row * V + low], s))), end);
}
`;

/** `min_p_sums(row, scale, thread)`: the tokens whose weight is at least min-p, and their weight. */
const minP = `fn min_p_sums(row: u32, s: Scale, t: u32) -> vec3<u32> {
  let least = fixed40(row_min_p(row));
  let limit = bucket_of(s.largest + log(row_min_p(row)) / s.inverse_temperature, s);
  // The logarithm is not exact: tokens of the buckets on both sides are looked at one by one.
  let from_bucket = max(limit, 1u) - 1u;
  var own = vec3(0u);
  for (var b = 4u * t; b < min(4u * t + 4u, from_bucket); b++) { own = add_sums(own, bucket_sum(row, b)); }
  let above = total_of(own, t);
  var end = above.x;
  for (var b = from_bucket; b < min(limit + 2u, buckets); b++) { end += bucket_sum(row, b).x; }
  own = vec3(0u);
  for (var i = above.x + t; i < end; i += threads) {
    let w = weight_of(logits[row * V + order[row * V + i]], s);
    if (at_least64(w, least)) { own = add_sums(own, vec3(1u, w)); }
  }
  return add_sums(above, total_of(own, t));
}
`;

/** The token drawn from a row. */
const draw = `fn draw(row: u32, s: Scale, t: u32) -> u32 {
  var kept = total_of(four_buckets(row, t), t);
  let top_k = row_top_k(row);
  if (top_k > 0 && u32(top_k) < V) { kept = find(row, Goal(u32(top_k), vec2(0u)), s, t).sums; }
  let top_p = row_top_p(row);
  if (top_p < 1.0) {
    let goal = scale64(kept.yz, u32(max(top_p, 0.0) * 4294967296.0));
    kept = find(row, Goal(0u, max(goal, vec2(select(1u, 0u, goal.y > 0u), 0u))), s, t).sums;
  }
  if (row_min_p(row) > 0.0) {
    let likely = min_p_sums(row, s, t);
    if (likely.x < kept.x) { kept = likely; }
  }
  let goal = add64(scale64(kept.yz, philox(row_seed(row), row_step(row))), vec2(1u, 0u));
  return find(row, Goal(0u, goal), s, t).token;
}
`;

/** The best tokens of a row with their logprobs, one after the other; zeros behind them. */
const alternatives = (n: number): string => `fn alternatives(row: u32, log_sum: f32, s: Scale, t: u32) {
  let top = min(u32(max(row_top(row), 0)), ${n}u);
  for (var j = top + t; j < ${n}u; j += threads) {
    top_ids[row * ${n}u + j] = 0;
    top_logprobs[row * ${n}u + j] = 0.0;
  }
  if (top == 0u) { return; }
  let end = find(row, Goal(top, vec2(0u)), s, t).bucket_end;
  var last = vec2(0xffffffffu, 0u);
  for (var j = 0u; j < top; j++) {
    var key = 0u;
    var token = 0xffffffffu;
    for (var i = t; i < end; i += threads) {
      let other = order[row * V + i];
      let own = ordered_key(logits[row * V + other]);
      let behind = own < last.x || (own == last.x && other > last.y);
      if (behind && (own > key || (own == key && other < token))) { key = own; token = other; }
    }
    last = best_of(key, token, t);
    if (t == 0u) {
      top_ids[row * ${n}u + j] = i32(last.y);
      top_logprobs[row * ${n}u + j] = key_value(last.x) - s.largest - log_sum;
    }
  }
}
`;

/** What a row without a token gives: id 0, and the logit that is to blame as its logprob. */
const refuse = (shape: SampleShape): string =>
  shape.failsRun
    ? `if (t == 0u) { ${fail('sample_logits', 'extremes.token')} }`
    : `if (t == 0u) {
      ids[row] = 0u;
      id_logprobs[row] = select(bitcast<u32>(key_value(extremes.key)), 0x7fc00000u, extremes.key == 0xffffffffu);
    }
    for (var j = t; j < ${shape.n}u; j += threads) {
      top_ids[row * ${shape.n}u + j] = 0;
      top_logprobs[row * ${shape.n}u + j] = 0.0;
    }`;

export function finishPass(shape: SampleShape): GpuPass {
  const out = (buffer: number, name: string, type: string): GpuBinding => ({
    buffer,
    name,
    type: `array<${type}>`,
    access: 'read_write',
  });
  const [id, logprob, topIds, topLogprobs] = shape.outputs;
  const code = `${prelude(shape)}${bestOf}${workgroupMax(threads)}${workgroupSum(threads)}${rowExtremes}${weights}${philox}${locate}${totalOf}${find}${minP}${draw}${alternatives(shape.n)}
@compute @workgroup_size(threads)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let row = group_index(id, count);
  if (row >= ${shape.rows}) { return; }
  let extremes = row_extremes(row, t);
  if (!can_draw(extremes)) {
    ${refuse(shape)}
    return;
  }
  var part_sum = 0.0;
  for (var s = t; s < slices; s += threads) {
    let found = slice_results[row * slices + s];
    part_sum += exp(key_value(found.x) - extremes.largest) * bitcast<f32>(found.w);
  }
  let log_sum = log(workgroup_sum(part_sum, t));
  let scale = scale_of(extremes, row_temperature(row));
  var token = extremes.token;
  if (row_temperature(row) > 0.0) { token = draw(row, scale, t); }
  alternatives(row, log_sum, scale, t);
  if (t == 0u) {
    ids[row] = token;
    id_logprobs[row] = bitcast<u32>(logits[row * V + token] - extremes.largest - log_sum);
  }
}
`;
  return {
    name: 'sample finish',
    bindings: [
      logits,
      slicesBinding('read'),
      bucketsBinding('u32', 'read'),
      orderBinding('read'),
      ...shape.settings.bindings,
      out(id, 'ids', 'u32'),
      out(logprob, 'id_logprobs', 'u32'),
      out(topIds, 'top_ids', 'i32'),
      out(topLogprobs, 'top_logprobs', 'f32'),
      ...(shape.failsRun ? [statusBinding] : []),
    ],
    code,
    groups: (params) => grid(shape.rowsOf(params)),
  };
}
