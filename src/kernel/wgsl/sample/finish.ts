// The last pass of sampling: a workgroup per row cuts the distribution and draws. Every cut is a place in the descending order
// of tokens, found by bucket, then by digits of the logit within the bucket, then by token among equal logits.

import type { BufferPlace } from '../../signature.ts';
import { type GpuBinding, type GpuPass, grid } from '../contract.ts';
import { workgroupMax, workgroupSum } from '../workgroup.ts';
import {
  bestOf,
  bucketsBinding,
  logitsOf,
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
 * bucket. The search goes by bucket, then by an ascending value within it: first the complement of the logit's key, then,
 * among equal logits, the token's number; each time by the next 8 bits in which the values that are left differ.
 */
const find = `struct Found { token: u32, sums: vec3<u32>, bucket_end: u32 }
const by_bucket = 0u;
const by_logit = 1u;
const by_token = 2u;
var<workgroup> digit_sums: array<atomic<u32>, 3u * threads>;
var<workgroup> bounds: array<vec2<u32>, threads>;
fn bucket_sum(row: u32, b: u32) -> vec3<u32> {
  let sums = row * row_sums + b;
  return vec3(bucket_sums[sums], bucket_sums[sums + buckets], bucket_sums[sums + 2u * buckets]);
}
fn four_buckets(row: u32, t: u32) -> vec3<u32> {
  var own = vec3(0u);
  for (var b = 4u * t; b < 4u * t + 4u; b++) { own = add_sums(own, bucket_sum(row, b)); }
  return own;
}
/** The smallest and the largest value of all threads. */
fn bounds_of(lowest: u32, highest: u32, t: u32) -> vec2<u32> {
  bounds[t] = vec2(lowest, highest);
  for (var half = threads / 2u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (t < half) { bounds[t] = vec2(min(bounds[t].x, bounds[t + half].x), max(bounds[t].y, bounds[t + half].y)); }
  }
  let result = workgroupUniformLoad(&bounds[0]);
  workgroupBarrier();
  return result;
}
fn find(row: u32, goal: Goal, s: Scale, t: u32) -> Found {
  var before = vec3(0u);
  var first = 0u;
  var end = 0u;
  var low = 0u;
  var logit_value = 0u;
  for (var phase = by_bucket; phase <= by_token; phase++) {
    logit_value = low;
    var bits = 8u;
    if (phase != by_bucket) {
      var lowest = 0xffffffffu;
      var highest = 0u;
      for (var i = first + t; i < end; i += threads) {
        let token = bucket_sums[order + row * V + i];
        let logit = ~ordered_key(logits[row * V + token]);
        if (phase == by_token && logit != logit_value) { continue; }
        let value = select(logit, token, phase == by_token);
        lowest = min(lowest, value);
        highest = max(highest, value);
      }
      let range = bounds_of(lowest, highest, t);
      low = range.x;
      bits = 32u - countLeadingZeros(range.y - range.x);
    }
    while (bits > 0u) {
      let shift = max(bits, 8u) - 8u;
      for (var i = 0u; i < 3u; i++) { atomicStore(&digit_sums[i * threads + t], 0u); }
      workgroupBarrier();
      for (var i = first + t; i < end; i += threads) {
        let token = bucket_sums[order + row * V + i];
        let x = logits[row * V + token];
        let logit = ~ordered_key(x);
        let value = select(logit, token, phase == by_token);
        if ((phase == by_token && logit != logit_value) || value < low) { continue; }
        let digit = (value - low) >> shift;
        if (digit >= threads) { continue; }
        let w = weight_of(x, s);
        atomicAdd(&digit_sums[digit], 1u);
        let sum = atomicAdd(&digit_sums[threads + digit], w.x);
        atomicAdd(&digit_sums[2u * threads + digit], w.y + select(0u, 1u, sum + w.x < sum));
      }
      workgroupBarrier();
      var own = vec3(atomicLoad(&digit_sums[t]), atomicLoad(&digit_sums[threads + t]), atomicLoad(&digit_sums[2u * threads + t]));
      if (phase == by_bucket) { own = four_buckets(row, t); }
      let place = locate(own, before, goal, t);
      before = place.before;
      bits = shift;
      if (phase == by_bucket) {
        var bucket = 4u * place.run;
        for (; bucket < 4u * place.run + 3u; bucket++) {
          let next = add_sums(before, bucket_sum(row, bucket));
          if (reached(next, goal)) { break; }
          before = next;
        }
        first = before.x;
        end = first + bucket_sum(row, bucket).x;
      } else {
        low += place.run << shift;
      }
    }
  }
  return Found(low, add_sums(before, vec3(1u, weight_of(logits[row * V + low], s))), end);
}
`;

/**
 * `search(row, scale, thread)`: the token drawn from a row, and the end of the buckets with its alternatives. The cuts follow each
 * other in one loop, so that the search is in the code once.
 */
const search = (n: number): string => `struct Drawn { token: u32, alternatives: u32, alternatives_end: u32 }
fn search(row: u32, best: u32, s: Scale, t: u32) -> Drawn {
  let top = min(u32(max(row_top(row), 0)), ${n}u);
  let draws = row_temperature(row) > 0.0;
  var drawn = Drawn(best, top, 0u);
  var kept = total_of(four_buckets(row, t), t);
  for (var step = 0u; step < 4u; step++) {
    var goal = Goal(0u, vec2(0u));
    if (step == 0u && draws && row_top_k(row) > 0 && row_top_k(row) < i32(V)) {
      goal.tokens = u32(row_top_k(row));
    }
    if (step == 1u && draws && row_top_p(row) < 1.0) {
      goal.weight = scale64(kept.yz, u32(max(row_top_p(row), 0.0) * 4294967296.0));
      if (goal.weight.y == 0u) { goal.weight.x = max(goal.weight.x, 1u); }
    }
    if (step == 2u && draws) {
      let likely = vec3(bucket_sums[row * row_sums + min_p_sums], bucket_sums[row * row_sums + min_p_sums + 1u], bucket_sums[row * row_sums + min_p_sums + 2u]);
      if (row_min_p(row) > 0.0 && likely.x < kept.x) { kept = likely; }
      goal.weight = add64(scale64(kept.yz, philox(row_seed(row), row_step(row))), vec2(1u, 0u));
    }
    if (step == 3u) { goal.tokens = top; }
    if (goal.tokens == 0u && (goal.weight.x | goal.weight.y) == 0u) { continue; }
    let found = find(row, goal, s, t);
    kept = found.sums;
    if (step == 2u) { drawn.token = found.token; }
    if (step == 3u) { drawn.alternatives_end = found.bucket_end; }
  }
  return drawn;
}
`;

/** The best tokens of a row with their logprobs, one after the other; zeros behind them. */
const alternatives = (
  n: number,
): string => `fn alternatives(row: u32, top: u32, end: u32, log_sum: f32, s: Scale, t: u32) {
  for (var j = top + t; j < ${n}u; j += threads) {
    top_ids[row * ${n}u + j] = 0;
    top_logprobs[row * ${n}u + j] = 0.0;
  }
  var last = vec2(0xffffffffu, 0u);
  for (var j = 0u; j < top; j++) {
    var key = 0u;
    var token = 0xffffffffu;
    for (var i = t; i < end; i += threads) {
      let other = bucket_sums[order + row * V + i];
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
const refuse = (n: number): string => `if (t == 0u) {
      ids[row] = 0u;
      id_logprobs[row] = select(bitcast<u32>(key_value(extremes.key)), 0x7fc00000u, extremes.key == 0xffffffffu);
    }
    for (var j = t; j < ${n}u; j += threads) {
      top_ids[row * ${n}u + j] = 0;
      top_logprobs[row * ${n}u + j] = 0.0;
    }`;

export function finishPass(shape: SampleShape): GpuPass {
  const out = (buffer: BufferPlace, name: string, type: string): GpuBinding => ({
    buffer,
    name,
    type: `array<${type}>`,
    access: 'read_write',
  });
  const code = `${prelude(shape)}${bestOf}${workgroupMax(threads)}${workgroupSum(threads)}${rowExtremes}${weights}${philox}${locate}${totalOf}${find}${search(shape.n)}${alternatives(shape.n)}
@compute @workgroup_size(threads)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let row = group_index(id, count);
  if (row >= ${shape.rows}) { return; }
  let extremes = row_extremes(row, t);
  if (!can_draw(extremes)) {
    ${refuse(shape.n)}
    return;
  }
  var part_sum = 0.0;
  for (var s = t; s < slices; s += threads) {
    let found = slice_results[row * slices + s];
    part_sum += exp(key_value(found.x) - extremes.largest) * bitcast<f32>(found.w);
  }
  let log_sum = log(workgroup_sum(part_sum, t));
  let scale = scale_of(extremes, row_temperature(row));
  var drawn = Drawn(extremes.token, 0u, 0u);
  if (row_temperature(row) > 0.0 || row_top(row) > 0) { drawn = search(row, extremes.token, scale, t); }
  let token = drawn.token;
  alternatives(row, drawn.alternatives, drawn.alternatives_end, log_sum, scale, t);
  if (t == 0u) {
    ids[row] = token;
    id_logprobs[row] = bitcast<u32>(logits[row * V + token] - extremes.largest - log_sum);
  }
}
`;
  return {
    name: 'sample finish',
    bindings: [
      logitsOf(shape),
      slicesBinding('read'),
      bucketsBinding('u32', 'read'),
      ...shape.settings.bindings,
      out(shape.buffers.out, 'ids', 'u32'),
      out(shape.buffers.outLogprob, 'id_logprobs', 'u32'),
      out(shape.buffers.topIds, 'top_ids', 'i32'),
      out(shape.buffers.topLogprobs, 'top_logprobs', 'f32'),
    ],
    code,
    groups: (params) => grid(shape.rowsOf(params)),
  };
}
