// The passes of sampling that many workgroups share: extremes and sums of slices of the vocabulary, weights by bucket, and
// tokens bucket by bucket.

import { type GpuPass, grid } from '../contract.ts';
import { workgroupMax, workgroupSum } from '../workgroup.ts';
import {
  bestOf,
  bucketsBinding,
  logitsOf,
  prelude,
  rowExtremes,
  type SampleShape,
  slice,
  slicesBinding,
  threads,
  weights,
} from './shape.ts';

/** A workgroup per slice of a row; `row` and `part` are its place. */
const main = (shape: SampleShape, body: string): string => `@compute @workgroup_size(threads)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let item = group_index(id, count);
  let row = item / slices;
  let part = item % slices;
  if (row >= ${shape.rows}) { return; }
  let first = part * slice_width;
  let last = min(V, first + slice_width);
${body}}
`;

const groupsOf =
  (shape: SampleShape): GpuPass['groups'] =>
  ([B = 0]) =>
    grid(B * shape.slices);

/** Best token, smallest finite logit and sum of exponentials of each slice. Clears the buckets of the passes to come. */
export function scanPass(shape: SampleShape): GpuPass {
  const body = `  for (var b = part * threads + t; b < row_sums; b += slices * threads) { bucket_sums[row * row_sums + b] = 0u; }
  var key = 0u;
  var token = 0xffffffffu;
  var depth = -3.4028234e38f;
  for (var i = first + t; i < last; i += threads) {
    let x = logits[row * V + i];
    let own = ordered_key(x);
    if (own > key) { key = own; token = i; }
    if (own > minus_infinity_key) { depth = max(depth, -x); }
  }
  let best = best_of(key, token, t);
  let smallest = -workgroup_max(depth, t);
  let largest = key_value(best.x);
  var part_sum = 0.0;
  if (best.x > minus_infinity_key) {
    for (var i = first + t; i < last; i += threads) { part_sum += exp(logits[row * V + i] - largest); }
  }
  let sum = workgroup_sum(part_sum, t);
  if (t == 0u) { slice_results[item] = vec4(best.x, best.y, bitcast<u32>(smallest), bitcast<u32>(sum)); }
`;
  return {
    name: 'sample scan',
    bindings: [
      logitsOf(shape),
      slicesBinding('read_write'),
      bucketsBinding('u32', 'read_write'),
      ...shape.settings.bindings,
    ],
    code: `${prelude(shape)}${bestOf}${workgroupMax(threads)}${workgroupSum(threads)}${main(shape, body)}`,
    groups: groupsOf(shape),
  };
}

/** The start of the passes over buckets: rows that take the best token and no alternatives need none. */
const searched = `  if (row_temperature(row) <= 0.0 && row_top(row) <= 0) { return; }
  let extremes = row_extremes(row, t);
  if (!can_draw(extremes)) { return; }
  let scale = scale_of(extremes, row_temperature(row));
`;

/** Tokens and weights of each bucket. */
export function bucketPass(shape: SampleShape): GpuPass {
  const body = `${searched}  for (var b = t; b < 3u * buckets; b += threads) { atomicStore(&own_sums[b], 0u); }
  let sums = row * row_sums;
  let least = fixed40(row_min_p(row));
  workgroupBarrier();
  for (var i = first + t; i < last; i += threads) {
    let x = logits[row * V + i];
    let b = bucket_of(x, scale);
    let w = weight_of(x, scale);
    atomicAdd(&own_sums[b], 1u);
    let before = atomicAdd(&own_sums[buckets + b], w.x);
    let carry = select(0u, 1u, before + w.x < before);
    if (w.y + carry > 0u) { atomicAdd(&own_sums[2u * buckets + b], w.y + carry); }
    if (row_min_p(row) > 0.0 && at_least64(w, least)) {
      atomicAdd(&bucket_sums[sums + min_p_sums], 1u);
      let likely = atomicAdd(&bucket_sums[sums + min_p_sums + 1u], w.x);
      atomicAdd(&bucket_sums[sums + min_p_sums + 2u], w.y + select(0u, 1u, likely + w.x < likely));
    }
  }
  workgroupBarrier();
  for (var b = t; b < buckets; b += threads) {
    let tokens = atomicLoad(&own_sums[b]);
    if (tokens == 0u) { continue; }
    atomicAdd(&bucket_sums[sums + b], tokens);
    let low = atomicLoad(&own_sums[buckets + b]);
    let before = atomicAdd(&bucket_sums[sums + buckets + b], low);
    let high = atomicLoad(&own_sums[2u * buckets + b]) + select(0u, 1u, before + low < before);
    if (high > 0u) { atomicAdd(&bucket_sums[sums + 2u * buckets + b], high); }
  }
`;
  return {
    name: 'sample buckets',
    bindings: [
      logitsOf(shape),
      slicesBinding('read'),
      bucketsBinding('atomic<u32>', 'read_write'),
      ...shape.settings.bindings,
    ],
    code: `${prelude(shape)}${bestOf}${workgroupMax(threads)}${rowExtremes}${weights}
/** Tokens, low and high words of weights of the slice. */
var<workgroup> own_sums: array<atomic<u32>, ${'3u * buckets'}>;
${main(shape, body)}`,
    groups: groupsOf(shape),
  };
}

/** Tokens bucket by bucket, in any order within one. */
export function orderPass(shape: SampleShape): GpuPass {
  const each = slice / threads;
  const body = `${searched}  for (var b = t; b < buckets; b += threads) { atomicStore(&places[b], 0u); }
  workgroupBarrier();
  var bucket: array<u32, ${each}>;
  var place: array<u32, ${each}>;
  for (var j = 0u; j < ${each}u; j++) {
    let i = first + t + j * threads;
    if (i >= last) { continue; }
    bucket[j] = bucket_of(logits[row * V + i], scale);
    place[j] = atomicAdd(&places[bucket[j]], 1u);
  }
  let sums = row * row_sums;
  var own = 0u;
  for (var b = 4u * t; b < 4u * t + 4u; b++) { own += atomicLoad(&bucket_sums[sums + b]); }
  starts[t] = own;
  for (var step = 1u; step < threads; step <<= 1u) {
    workgroupBarrier();
    let before = select(0u, starts[max(t, step) - step], t >= step);
    workgroupBarrier();
    starts[t] += before;
  }
  workgroupBarrier();
  var start = starts[t] - own;
  for (var b = 4u * t; b < 4u * t + 4u; b++) {
    let tokens = atomicLoad(&places[b]);
    if (tokens > 0u) { atomicStore(&places[b], start + atomicAdd(&bucket_sums[sums + 3u * buckets + b], tokens)); }
    start += atomicLoad(&bucket_sums[sums + b]);
  }
  workgroupBarrier();
  for (var j = 0u; j < ${each}u; j++) {
    let i = first + t + j * threads;
    if (i < last) { atomicStore(&bucket_sums[order + row * V + atomicLoad(&places[bucket[j]]) + place[j]], i); }
  }
`;
  return {
    name: 'sample order',
    bindings: [
      logitsOf(shape),
      slicesBinding('read'),
      bucketsBinding('atomic<u32>', 'read_write'),
      ...shape.settings.bindings,
    ],
    code: `${prelude(shape)}${bestOf}${workgroupMax(threads)}${rowExtremes}${weights}
/** Of each bucket: tokens of the slice, then where they start. */
var<workgroup> places: array<atomic<u32>, buckets>;
var<workgroup> starts: array<u32, threads>;
${main(shape, body)}`,
    groups: groupsOf(shape),
  };
}
