enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
@group(0) @binding(0) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> k_cache: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> v_cache: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> positions: array<i32>;
@group(0) @binding(4) var<storage, read_write> status: array<atomic<u32>>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(6) var<uniform> scalars: array<vec4<u32>, 16>;
fn group_index(id: vec3<u32>, count: vec3<u32>) -> u32 { return id.y * count.x + id.x; }
const heads = 32u;
const kv_heads = 8u;
const group = 4u;
const cap = 8192u;
const units = 8u;
const threads = 128u;
const keys = 32u;
const tile_rows = 64u;
const tile_tokens = 16u;
const half_stride = 9u;
const weight_stride = 5u;
const score_stride = 9u;
const lowest = -3.0e38f;
/** Weights are at most e^slack, which a half can hold. */
const slack = 8.0f;
fn row_taken(row: u32) -> bool { return true; }
fn kv_slot(row: u32, position: i32) -> i32 {
  let slot = position;
  return select(slot, -1, position < 0 || slot >= 8192);
}
fn first_key(position: i32) -> i32 { return 0; }
fn last_key(row: u32) -> i32 { return clamp(positions[row], 0, 8191); }
fn check_position(row: u32) {
  if (positions[row] != last_key(row)) { if (atomicCompareExchangeWeak(&status[0], 0u, 7u).exchanged) { atomicStore(&status[1], u32(positions[row])); } }
}
fn score(dot: f32) -> f32 {
  let s = dot * 0.125f;
  return s;
}
fn key_slot(row: u32, key: i32) -> u32 {
  let slot = kv_slot(row, key);
  if (slot < 0) { if (atomicCompareExchangeWeak(&status[0], 0u, 7u).exchanged) { atomicStore(&status[1], u32(key)); } }
  return u32(max(slot, 0));
}

/** Queries, later keys and then values; weights, high halves and then low ones; scores, later results. */
var<workgroup> halves: array<vec4<u32>, 576>;
var<workgroup> weights: array<vec4<u32>, 640>;
var<workgroup> scores: array<vec4<u32>, 576>;
var<workgroup> factors: array<f32, tile_rows>;
var<workgroup> rescales: atomic<u32>;
fn is_kept(key: i32, from_key: i32, to_key: i32) -> bool { return key >= from_key && key <= to_key; }
/** The first word of a key. */
fn kv_word(row: u32, key: i32, from_key: i32, to_key: i32, kv_head: u32) -> u32 {
  return (kv_head * cap + key_slot(row, clamp(key, from_key, to_key))) * units;
}
fn high_halves(a: vec4<f32>, b: vec4<f32>) -> vec4<u32> {
  return vec4(pack2x16float(a.xy), pack2x16float(a.zw), pack2x16float(b.xy), pack2x16float(b.zw));
}
fn low_halves(a: vec4<f32>, b: vec4<f32>) -> vec4<u32> {
  let high = high_halves(a, b);
  return high_halves(
    a - vec4(unpack2x16float(high.x), unpack2x16float(high.y)),
    b - vec4(unpack2x16float(high.z), unpack2x16float(high.w)));
}
/** Scores of the four keys from `key` on; `lowest` where the row does not see them. */
fn masked(raw: vec4<u32>, key: i32, first: i32, last: i32, taken: bool) -> vec4<f32> {
  let dots = bitcast<vec4<f32>>(raw);
  let at = vec4(key) + vec4(0, 1, 2, 3);
  let seen = (at >= vec4(first)) & (at <= vec4(last)) & vec4(taken);
  return select(vec4(lowest), vec4(score(dots.x), score(dots.y), score(dots.z), score(dots.w)), seen);
}
fn weights_of(s: vec4<f32>, row_max: f32) -> vec4<f32> { return select(exp(s - row_max), vec4(0.0), s == vec4(lowest)); }
alias Left = subgroup_matrix_left<f16, 16, 16>;
alias Right = subgroup_matrix_right<f16, 16, 16>;
alias Sums = subgroup_matrix_result<f32, 16, 16>;

@compute @workgroup_size(threads)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(subgroup_id) subgroup_number: u32, @builtin(subgroup_invocation_id) subgroup_lane: u32) {
  let subgroup = subgroup_number;
  let lane = subgroup_lane;
  let t = subgroup * 32u + lane;
  let rows = u32((bitcast<i32>(scalars[0][0])));
  let tiles = (rows + tile_tokens - 1u) / tile_tokens;
  let item = group_index(id, count);
  if (item >= tiles * kv_heads) { return; }
  let kv_head = item % kv_heads;
  // The last tokens have the most keys: they come first.
  let first_token = (tiles - 1u - item / kv_heads) * tile_tokens;
  let end_token = min(rows, first_token + tile_tokens);
  let own_rows = subgroup * 16u;
  let own_row = own_rows + lane / 2u;
  let side = lane % 2u;
  let token = first_token + own_row / group;
  let head = kv_head * group + own_row % group;
  let exists = own_row < tile_tokens * group && token < end_token;
  let own_last = last_key(min(token, rows - 1u));
  let own_first = first_key(own_last);
  if (exists) { check_position(token); }
  for (var i = t; i < tile_rows * units; i += threads) {
    let token = first_token + i / units / group;
    var a = vec4(0.0);
    var b = vec4(0.0);
    if (i / units < tile_tokens * group && token < end_token) {
      let at = ((token * heads + kv_head * group + i / units % group) * units + i % units) * 2u;
      a = q[at];
      b = q[at + 1u];
    }
    halves[i / units * half_stride + i % units] = high_halves(a, b);
  }
  workgroupBarrier();
  let q_high_0 = subgroupMatrixLoad<Left, row_major>(&halves, own_rows * half_stride + 0u, 9u);
  let q_high_1 = subgroupMatrixLoad<Left, row_major>(&halves, own_rows * half_stride + 2u, 9u);
  let q_high_2 = subgroupMatrixLoad<Left, row_major>(&halves, own_rows * half_stride + 4u, 9u);
  let q_high_3 = subgroupMatrixLoad<Left, row_major>(&halves, own_rows * half_stride + 6u, 9u);
  workgroupBarrier();
  for (var i = t; i < tile_rows * units; i += threads) {
    let token = first_token + i / units / group;
    var a = vec4(0.0);
    var b = vec4(0.0);
    if (i / units < tile_tokens * group && token < end_token) {
      let at = ((token * heads + kv_head * group + i / units % group) * units + i % units) * 2u;
      a = q[at];
      b = q[at + 1u];
    }
    halves[i / units * half_stride + i % units] = low_halves(a, b);
  }
  workgroupBarrier();
  let q_low_0 = subgroupMatrixLoad<Left, row_major>(&halves, own_rows * half_stride + 0u, 9u);
  let q_low_1 = subgroupMatrixLoad<Left, row_major>(&halves, own_rows * half_stride + 2u, 9u);
  let q_low_2 = subgroupMatrixLoad<Left, row_major>(&halves, own_rows * half_stride + 4u, 9u);
  let q_low_3 = subgroupMatrixLoad<Left, row_major>(&halves, own_rows * half_stride + 6u, 9u);
  workgroupBarrier();
  var row_max = lowest;
  var row_sum = 0.0;
  var o_0 = Sums();
  var o_1 = Sums();
  var o_2 = Sums();
  var o_3 = Sums();
  var begin = first_token;
  while (begin < end_token) {
    let end = end_token;
    let in_segment = exists && token >= begin && token < end;
    var from_key = first_key(last_key(begin));
    var to_key = last_key(begin);
    for (var r = begin + 1u; r < end; r++) {
      from_key = min(from_key, first_key(last_key(r)));
      to_key = max(to_key, last_key(r));
    }
    let first_tile = from_key / i32(keys) * i32(keys);
    var next_k_0 = vec4(0u);
    var next_v_0 = vec4(0u);
    var next_k_1 = vec4(0u);
    var next_v_1 = vec4(0u);
    {
let at_0 = kv_word(begin, first_tile + i32((t + 0u) / units), from_key, to_key, kv_head) + (t + 0u) % units;
      next_k_0 = k_cache[at_0];
      next_v_0 = v_cache[at_0];
let at_1 = kv_word(begin, first_tile + i32((t + 128u) / units), from_key, to_key, kv_head) + (t + 128u) % units;
      next_k_1 = k_cache[at_1];
      next_v_1 = v_cache[at_1];
    }
    for (var key = first_tile; key <= to_key; key += i32(keys)) {
      workgroupBarrier();
      if (t == 0u) { atomicStore(&rescales, 0u); }
let kept_0 = is_kept(key + i32((t + 0u) / units), from_key, to_key);
      halves[(t + 0u) / units * half_stride + (t + 0u) % units] = select(vec4(0u), next_k_0, kept_0);
      halves[(keys + (t + 0u) / units) * half_stride + (t + 0u) % units] = select(vec4(0u), next_v_0, kept_0);
let kept_1 = is_kept(key + i32((t + 128u) / units), from_key, to_key);
      halves[(t + 128u) / units * half_stride + (t + 128u) % units] = select(vec4(0u), next_k_1, kept_1);
      halves[(keys + (t + 128u) / units) * half_stride + (t + 128u) % units] = select(vec4(0u), next_v_1, kept_1);
      workgroupBarrier();
      if (key + i32(keys) <= to_key) {
let at_0 = kv_word(begin, key + i32(keys) + i32((t + 0u) / units), from_key, to_key, kv_head) + (t + 0u) % units;
      next_k_0 = k_cache[at_0];
      next_v_0 = v_cache[at_0];
let at_1 = kv_word(begin, key + i32(keys) + i32((t + 128u) / units), from_key, to_key, kv_head) + (t + 128u) % units;
      next_k_1 = k_cache[at_1];
      next_v_1 = v_cache[at_1];
      }
      var s_0 = Sums();
      let k_0_0 = subgroupMatrixLoad<Right, col_major>(&halves, 0u * half_stride + 0u, 9u);
      s_0 = subgroupMatrixMultiplyAccumulate(q_high_0, k_0_0, s_0);
      s_0 = subgroupMatrixMultiplyAccumulate(q_low_0, k_0_0, s_0);
      let k_0_1 = subgroupMatrixLoad<Right, col_major>(&halves, 0u * half_stride + 2u, 9u);
      s_0 = subgroupMatrixMultiplyAccumulate(q_high_1, k_0_1, s_0);
      s_0 = subgroupMatrixMultiplyAccumulate(q_low_1, k_0_1, s_0);
      let k_0_2 = subgroupMatrixLoad<Right, col_major>(&halves, 0u * half_stride + 4u, 9u);
      s_0 = subgroupMatrixMultiplyAccumulate(q_high_2, k_0_2, s_0);
      s_0 = subgroupMatrixMultiplyAccumulate(q_low_2, k_0_2, s_0);
      let k_0_3 = subgroupMatrixLoad<Right, col_major>(&halves, 0u * half_stride + 6u, 9u);
      s_0 = subgroupMatrixMultiplyAccumulate(q_high_3, k_0_3, s_0);
      s_0 = subgroupMatrixMultiplyAccumulate(q_low_3, k_0_3, s_0);
      subgroupMatrixStore<row_major>(&scores, own_rows * score_stride + 0u, s_0, 9u);
      var s_1 = Sums();
      let k_1_0 = subgroupMatrixLoad<Right, col_major>(&halves, 16u * half_stride + 0u, 9u);
      s_1 = subgroupMatrixMultiplyAccumulate(q_high_0, k_1_0, s_1);
      s_1 = subgroupMatrixMultiplyAccumulate(q_low_0, k_1_0, s_1);
      let k_1_1 = subgroupMatrixLoad<Right, col_major>(&halves, 16u * half_stride + 2u, 9u);
      s_1 = subgroupMatrixMultiplyAccumulate(q_high_1, k_1_1, s_1);
      s_1 = subgroupMatrixMultiplyAccumulate(q_low_1, k_1_1, s_1);
      let k_1_2 = subgroupMatrixLoad<Right, col_major>(&halves, 16u * half_stride + 4u, 9u);
      s_1 = subgroupMatrixMultiplyAccumulate(q_high_2, k_1_2, s_1);
      s_1 = subgroupMatrixMultiplyAccumulate(q_low_2, k_1_2, s_1);
      let k_1_3 = subgroupMatrixLoad<Right, col_major>(&halves, 16u * half_stride + 6u, 9u);
      s_1 = subgroupMatrixMultiplyAccumulate(q_high_3, k_1_3, s_1);
      s_1 = subgroupMatrixMultiplyAccumulate(q_low_3, k_1_3, s_1);
      subgroupMatrixStore<row_major>(&scores, own_rows * score_stride + 4u, s_1, 9u);
      workgroupBarrier();
      let own_key = key + i32(side) * 16;
      let place = own_row * score_stride + side * 4u;
      let values_0 = masked(scores[place + 0u], own_key + 0, own_first, own_last, in_segment);
      let values_1 = masked(scores[place + 1u], own_key + 4, own_first, own_last, in_segment);
      let values_2 = masked(scores[place + 2u], own_key + 8, own_first, own_last, in_segment);
      let values_3 = masked(scores[place + 3u], own_key + 12, own_first, own_last, in_segment);
      let tops = max(max(max(values_0, values_1), values_2), values_3);
      var top = max(max(tops.x, tops.y), max(tops.z, tops.w));
      top = max(top, subgroupShuffleXor(top, 1u));
      if (top > row_max + slack) {
        let factor = exp(row_max - top);
        if (row_sum > 0.0) { atomicStore(&rescales, 1u); }
        factors[own_row] = factor;
        row_sum *= factor;
        row_max = top;
      } else {
        factors[own_row] = 1.0;
      }
      var sum = vec4(0.0);
      let target_word = own_row * weight_stride + side * 2u;
      let a_0 = weights_of(values_0, row_max);
      let b_0 = weights_of(values_1, row_max);
      sum += a_0 + b_0;
      weights[target_word + 0u] = high_halves(a_0, b_0);
      weights[tile_rows * weight_stride + target_word + 0u] = low_halves(a_0, b_0);
      let a_1 = weights_of(values_2, row_max);
      let b_1 = weights_of(values_3, row_max);
      sum += a_1 + b_1;
      weights[target_word + 1u] = high_halves(a_1, b_1);
      weights[tile_rows * weight_stride + target_word + 1u] = low_halves(a_1, b_1);
      let own_sum = sum.x + sum.y + sum.z + sum.w;
      row_sum += own_sum + subgroupShuffleXor(own_sum, 1u);
      workgroupBarrier();
      if (workgroupUniformLoad(&rescales) != 0u) {
        subgroupMatrixStore<row_major>(&scores, own_rows * score_stride, o_0, 9u);
        workgroupBarrier();
        for (var i = 0u; i < 2u; i++) {
          let at = own_row * score_stride + side * 2u + i;
          scores[at] = bitcast<vec4<u32>>(bitcast<vec4<f32>>(scores[at]) * factors[own_row]);
        }
        workgroupBarrier();
        o_0 = subgroupMatrixLoad<Sums, row_major>(&scores, own_rows * score_stride, 9u);
        workgroupBarrier();
        subgroupMatrixStore<row_major>(&scores, own_rows * score_stride, o_1, 9u);
        workgroupBarrier();
        for (var i = 0u; i < 2u; i++) {
          let at = own_row * score_stride + side * 2u + i;
          scores[at] = bitcast<vec4<u32>>(bitcast<vec4<f32>>(scores[at]) * factors[own_row]);
        }
        workgroupBarrier();
        o_1 = subgroupMatrixLoad<Sums, row_major>(&scores, own_rows * score_stride, 9u);
        workgroupBarrier();
        subgroupMatrixStore<row_major>(&scores, own_rows * score_stride, o_2, 9u);
        workgroupBarrier();
        for (var i = 0u; i < 2u; i++) {
          let at = own_row * score_stride + side * 2u + i;
          scores[at] = bitcast<vec4<u32>>(bitcast<vec4<f32>>(scores[at]) * factors[own_row]);
        }
        workgroupBarrier();
        o_2 = subgroupMatrixLoad<Sums, row_major>(&scores, own_rows * score_stride, 9u);
        workgroupBarrier();
        subgroupMatrixStore<row_major>(&scores, own_rows * score_stride, o_3, 9u);
        workgroupBarrier();
        for (var i = 0u; i < 2u; i++) {
          let at = own_row * score_stride + side * 2u + i;
          scores[at] = bitcast<vec4<u32>>(bitcast<vec4<f32>>(scores[at]) * factors[own_row]);
        }
        workgroupBarrier();
        o_3 = subgroupMatrixLoad<Sums, row_major>(&scores, own_rows * score_stride, 9u);
        workgroupBarrier();
      }
      let p_high_0 = subgroupMatrixLoad<Left, row_major>(&weights, own_rows * weight_stride + 0u, 5u);
      let p_low_0 = subgroupMatrixLoad<Left, row_major>(&weights, (tile_rows + own_rows) * weight_stride + 0u, 5u);
      let v_0_0 = subgroupMatrixLoad<Right, row_major>(&halves, (keys + 0u) * half_stride + 0u, 9u);
      o_0 = subgroupMatrixMultiplyAccumulate(p_high_0, v_0_0, o_0);
      o_0 = subgroupMatrixMultiplyAccumulate(p_low_0, v_0_0, o_0);
      let v_0_1 = subgroupMatrixLoad<Right, row_major>(&halves, (keys + 0u) * half_stride + 2u, 9u);
      o_1 = subgroupMatrixMultiplyAccumulate(p_high_0, v_0_1, o_1);
      o_1 = subgroupMatrixMultiplyAccumulate(p_low_0, v_0_1, o_1);
      let v_0_2 = subgroupMatrixLoad<Right, row_major>(&halves, (keys + 0u) * half_stride + 4u, 9u);
      o_2 = subgroupMatrixMultiplyAccumulate(p_high_0, v_0_2, o_2);
      o_2 = subgroupMatrixMultiplyAccumulate(p_low_0, v_0_2, o_2);
      let v_0_3 = subgroupMatrixLoad<Right, row_major>(&halves, (keys + 0u) * half_stride + 6u, 9u);
      o_3 = subgroupMatrixMultiplyAccumulate(p_high_0, v_0_3, o_3);
      o_3 = subgroupMatrixMultiplyAccumulate(p_low_0, v_0_3, o_3);
      let p_high_1 = subgroupMatrixLoad<Left, row_major>(&weights, own_rows * weight_stride + 2u, 5u);
      let p_low_1 = subgroupMatrixLoad<Left, row_major>(&weights, (tile_rows + own_rows) * weight_stride + 2u, 5u);
      let v_1_0 = subgroupMatrixLoad<Right, row_major>(&halves, (keys + 16u) * half_stride + 0u, 9u);
      o_0 = subgroupMatrixMultiplyAccumulate(p_high_1, v_1_0, o_0);
      o_0 = subgroupMatrixMultiplyAccumulate(p_low_1, v_1_0, o_0);
      let v_1_1 = subgroupMatrixLoad<Right, row_major>(&halves, (keys + 16u) * half_stride + 2u, 9u);
      o_1 = subgroupMatrixMultiplyAccumulate(p_high_1, v_1_1, o_1);
      o_1 = subgroupMatrixMultiplyAccumulate(p_low_1, v_1_1, o_1);
      let v_1_2 = subgroupMatrixLoad<Right, row_major>(&halves, (keys + 16u) * half_stride + 4u, 9u);
      o_2 = subgroupMatrixMultiplyAccumulate(p_high_1, v_1_2, o_2);
      o_2 = subgroupMatrixMultiplyAccumulate(p_low_1, v_1_2, o_2);
      let v_1_3 = subgroupMatrixLoad<Right, row_major>(&halves, (keys + 16u) * half_stride + 6u, 9u);
      o_3 = subgroupMatrixMultiplyAccumulate(p_high_1, v_1_3, o_3);
      o_3 = subgroupMatrixMultiplyAccumulate(p_low_1, v_1_3, o_3);
    }
    begin = end;
  }
  workgroupBarrier();
  let inverse = 1.0 / row_sum;
  let written = exists && row_taken(min(token, rows - 1u));
  subgroupMatrixStore<row_major>(&scores, own_rows * score_stride, o_0, 9u);
  workgroupBarrier();
  if (written) {
    for (var i = 0u; i < 2u; i++) {
      let value = bitcast<vec4<f32>>(scores[own_row * score_stride + side * 2u + i]);
      y[(token * heads + head) * units * 2u + 0u + side * 2u + i] = value * inverse;
    }
  }
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&scores, own_rows * score_stride, o_1, 9u);
  workgroupBarrier();
  if (written) {
    for (var i = 0u; i < 2u; i++) {
      let value = bitcast<vec4<f32>>(scores[own_row * score_stride + side * 2u + i]);
      y[(token * heads + head) * units * 2u + 4u + side * 2u + i] = value * inverse;
    }
  }
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&scores, own_rows * score_stride, o_2, 9u);
  workgroupBarrier();
  if (written) {
    for (var i = 0u; i < 2u; i++) {
      let value = bitcast<vec4<f32>>(scores[own_row * score_stride + side * 2u + i]);
      y[(token * heads + head) * units * 2u + 8u + side * 2u + i] = value * inverse;
    }
  }
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&scores, own_rows * score_stride, o_3, 9u);
  workgroupBarrier();
  if (written) {
    for (var i = 0u; i < 2u; i++) {
      let value = bitcast<vec4<f32>>(scores[own_row * score_stride + side * 2u + i]);
      y[(token * heads + head) * units * 2u + 12u + side * 2u + i] = value * inverse;
    }
  }
  workgroupBarrier();
}
