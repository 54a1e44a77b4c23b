@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> slice_results: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> bucket_sums: array<u32>;
@group(0) @binding(3) var<storage, read> settings: array<i32>;
@group(0) @binding(4) var<storage, read_write> ids: array<u32>;
@group(0) @binding(5) var<storage, read_write> id_logprobs: array<u32>;
@group(0) @binding(6) var<storage, read_write> top_ids: array<i32>;
@group(0) @binding(7) var<storage, read_write> top_logprobs: array<f32>;
@group(0) @binding(8) var<uniform> scalars: array<vec4<u32>, 16>;
const V = 128256u;
const slices = 63u;
const slice_width = 2048u;
const buckets = 1024u;
const threads = 256u;
const min_p_sums = 4u * buckets;
const row_sums = 4u * buckets + 4u;
/** Where the tokens bucket by bucket start. */
const order = 64u * row_sums;
const infinity_key = 0xff800000u;
const minus_infinity_key = 0x007fffffu;
fn group_index(id: vec3<u32>, count: vec3<u32>) -> u32 { return id.y * count.x + id.x; }
fn multiply_high(a: u32, b: u32) -> u32 {
  let low = (a & 0xffffu) * (b & 0xffffu);
  let middle = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
  let other = (a & 0xffffu) * (b >> 16u) + (middle & 0xffffu);
  return (a >> 16u) * (b >> 16u) + (middle >> 16u) + (other >> 16u);
}
fn add64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
  let low = a.x + b.x;
  return vec2(low, a.y + b.y + select(0u, 1u, low < a.x));
}
fn subtract64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> { return vec2(a.x - b.x, a.y - b.y - select(0u, 1u, a.x < b.x)); }
fn at_least64(a: vec2<u32>, b: vec2<u32>) -> bool { return a.y > b.y || (a.y == b.y && a.x >= b.x); }
fn scale64(a: vec2<u32>, f: u32) -> vec2<u32> {
  return add64(vec2(multiply_high(a.x, f), 0u), vec2(a.y * f, multiply_high(a.y, f)));
}
fn ordered_key(x: f32) -> u32 {
  let bits = bitcast<u32>(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) { return 0xffffffffu; }
  if ((bits & 0x7fffffffu) == 0u) { return 0x80000000u; }
  return select(bits | 0x80000000u, ~bits, (bits >> 31u) == 1u);
}
fn key_value(key: u32) -> f32 { return bitcast<f32>(select(~key, key ^ 0x80000000u, key >= 0x80000000u)); }
fn row_temperature(row: u32) -> f32 { return bitcast<f32>(settings[row * 12u + 0u]); }
fn row_top_k(row: u32) -> i32 { return settings[row * 12u + 1u]; }
fn row_top_p(row: u32) -> f32 { return bitcast<f32>(settings[row * 12u + 2u]); }
fn row_min_p(row: u32) -> f32 { return bitcast<f32>(settings[row * 12u + 3u]); }
fn row_seed(row: u32) -> u32 { return bitcast<u32>(settings[row * 12u + 4u]); }
fn row_step(row: u32) -> u32 { return bitcast<u32>(settings[row * 12u + 5u]); }
fn row_top(row: u32) -> i32 { return settings[row * 12u + 11u]; }
var<workgroup> best_keys: array<u32, threads>;
var<workgroup> best_tokens: array<u32, threads>;
fn best_of(key: u32, token: u32, t: u32) -> vec2<u32> {
  best_keys[t] = key;
  best_tokens[t] = token;
  for (var half = threads / 2u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (t < half) {
      let other = best_keys[t + half];
      if (other > best_keys[t] || (other == best_keys[t] && best_tokens[t + half] < best_tokens[t])) {
        best_keys[t] = other;
        best_tokens[t] = best_tokens[t + half];
      }
    }
  }
  let result = vec2(workgroupUniformLoad(&best_keys[0]), workgroupUniformLoad(&best_tokens[0]));
  workgroupBarrier();
  return result;
}
var<workgroup> workgroup_max_cells: array<f32, 256>;
fn workgroup_max(value: f32, t: u32) -> f32 {
  workgroup_max_cells[t] = value;
  for (var half = 128u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (t < half) { let a = workgroup_max_cells[t]; let b = workgroup_max_cells[t + half]; workgroup_max_cells[t] = max(a, b); }
  }
  let result = workgroupUniformLoad(&workgroup_max_cells[0]);
  workgroupBarrier();
  return result;
}
var<workgroup> workgroup_sum_cells: array<f32, 256>;
fn workgroup_sum(value: f32, t: u32) -> f32 {
  workgroup_sum_cells[t] = value;
  for (var half = 128u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (t < half) { let a = workgroup_sum_cells[t]; let b = workgroup_sum_cells[t + half]; workgroup_sum_cells[t] = a + b; }
  }
  let result = workgroupUniformLoad(&workgroup_sum_cells[0]);
  workgroupBarrier();
  return result;
}
struct Extremes { key: u32, token: u32, largest: f32, smallest: f32 }
fn row_extremes(row: u32, t: u32) -> Extremes {
  var key = 0u;
  var token = 0xffffffffu;
  var depth = -3.4028234e38f;
  for (var s = t; s < slices; s += threads) {
    let found = slice_results[row * slices + s];
    if (found.x > key || (found.x == key && found.y < token)) { key = found.x; token = found.y; }
    depth = max(depth, -bitcast<f32>(found.z));
  }
  let best = best_of(key, token, t);
  return Extremes(best.x, best.y, key_value(best.x), -workgroup_max(depth, t));
}
/** Whether the row has a token that can be drawn. */
fn can_draw(e: Extremes) -> bool { return e.key < infinity_key && e.key > minus_infinity_key; }
struct Scale { largest: f32, inverse_temperature: f32, per_bucket: f32 }
fn scale_of(e: Extremes, temperature: f32) -> Scale {
  let t = max(select(temperature, 1.0, temperature <= 0.0), 1e-6f);
  let range = min(e.largest - e.smallest, 28.0 * t);
  return Scale(e.largest, 1.0 / t, select(1e30f, min(f32(buckets - 1u) / range, 1e30f), range > 0.0));
}
fn bucket_of(x: f32, s: Scale) -> u32 { return u32(clamp((s.largest - x) * s.per_bucket, 0.0, f32(buckets - 1u))); }
fn weight_of(x: f32, s: Scale) -> vec2<u32> {
  let a = (x - s.largest) * s.inverse_temperature;
  if (!(a > -28.0)) { return vec2(0u); }
  let n = round(a * 1.44269504f);
  let r = (a - n * 0.693359375f) + n * 2.12194440e-4f;
  let p = ((((1.9875691500e-4f * r + 1.3981999507e-3f) * r + 8.3334519073e-3f) * r + 4.1665795894e-2f) * r + 1.6666665459e-1f) * r + 5.0000001201e-1f;
  return fixed40(min((p * r * r + r + 1.0) * bitcast<f32>(u32(i32(n) + 127) << 23u), 1.0));
}
/** A number from 0 to 1 in units of 2^-40. */
fn fixed40(x: f32) -> vec2<u32> {
  let high = floor(x * 256.0);
  return vec2(u32((x * 256.0 - high) * 4294967296.0), u32(high));
}
fn philox(seed: u32, step: u32) -> u32 {
  var c = vec4(step, 0u, 0u, 0u);
  var k = vec2(seed, 0u);
  for (var round = 0; round < 10; round++) {
    c = vec4(multiply_high(0xcd9e8d57u, c.z) ^ c.y ^ k.x, 0xcd9e8d57u * c.z, multiply_high(0xd2511f53u, c.x) ^ c.w ^ k.y, 0xd2511f53u * c.x);
    k += vec2(0x9e3779b9u, 0xbb67ae85u);
  }
  return c.x;
}
struct Goal { tokens: u32, weight: vec2<u32> }
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
fn total_of(own: vec3<u32>, t: u32) -> vec3<u32> {
  run_sums[t] = own;
  for (var half = threads / 2u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (t < half) { run_sums[t] = add_sums(run_sums[t], run_sums[t + half]); }
  }
  let result = workgroupUniformLoad(&run_sums[0]);
  workgroupBarrier();
  return result;
}
struct Found { token: u32, sums: vec3<u32>, bucket_end: u32 }
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
struct Drawn { token: u32, alternatives: u32, alternatives_end: u32 }
fn search(row: u32, best: u32, s: Scale, t: u32) -> Drawn {
  let top = min(u32(max(row_top(row), 0)), 20u);
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
fn alternatives(row: u32, top: u32, end: u32, log_sum: f32, s: Scale, t: u32) {
  for (var j = top + t; j < 20u; j += threads) {
    top_ids[row * 20u + j] = 0;
    top_logprobs[row * 20u + j] = 0.0;
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
      top_ids[row * 20u + j] = i32(last.y);
      top_logprobs[row * 20u + j] = key_value(last.x) - s.largest - log_sum;
    }
  }
}

@compute @workgroup_size(threads)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let row = group_index(id, count);
  if (row >= u32((bitcast<i32>(scalars[0][0])))) { return; }
  let extremes = row_extremes(row, t);
  if (!can_draw(extremes)) {
    if (t == 0u) {
      ids[row] = 0u;
      id_logprobs[row] = select(bitcast<u32>(key_value(extremes.key)), 0x7fc00000u, extremes.key == 0xffffffffu);
    }
    for (var j = t; j < 20u; j += threads) {
      top_ids[row * 20u + j] = 0;
      top_logprobs[row * 20u + j] = 0.0;
    }
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
