enable subgroups;
@group(0) @binding(0) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> k_cache: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> v_cache: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> positions: array<i32>;
@group(0) @binding(4) var<storage, read> sequences: array<i32>;
@group(0) @binding(5) var<storage, read> page_table: array<i32>;
@group(0) @binding(6) var<storage, read_write> status: array<atomic<u32>>;
@group(0) @binding(7) var<storage, read_write> partial: array<vec4<f32>>;
@group(0) @binding(8) var<uniform> scalars: array<vec4<u32>, 16>;
fn group_index(id: vec3<u32>, count: vec3<u32>) -> u32 { return id.y * count.x + id.x; }
const heads = 32u;
const group = 4u;
const cap = 8192u;
const threads = 128u;
const chunk = 64u;
const lanes = 8u;
const splits = 32u;
const segment = 32u;
const units = 8u;
const width = 16u;
const shares = 16u;
const lowest = -3.0e38f;
fn row_taken(row: u32) -> bool {
  let own = sequences[row];
  let before = row > 0u && sequences[max(row, 1u) - 1u] == own;
  let after = row + 1u < u32((bitcast<i32>(scalars[0][0]))) && sequences[min(row + 1u, u32((bitcast<i32>(scalars[0][0]))) - 1u)] == own;
  return !(before || after);
}
fn kv_slot(row: u32, position: i32) -> i32 {
  if (position < 0 || position >= 8192) { return -1; }
  let page = page_table[sequences[row] * 256 + position / 32];
  return select(page * 32 + position % 32, -1, page < 0 || page >= 256);
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
struct Chunks { first: i32, count: i32, per_split: i32 }
fn chunks_of(position: i32) -> Chunks {
  let first = first_key(position) / 64 * 64;
  let count = (position - first) / 64 + 1;
  return Chunks(first, count, (count + 31) / 32);
}

/** Query heads, the slots of a chunk, its scores and then weights [head][key]. */
var<workgroup> q_shared: array<vec4<f32>, 4u * width>;
var<workgroup> slots: array<u32, chunk>;
var<workgroup> scores: array<f32, 4u * chunk>;
var<workgroup> factors: array<f32, 4>;
var<workgroup> shared_values: array<vec4<f32>, shares * width>;
fn segment_max(value: f32, t: u32) -> f32 {
  var x = value;
  x = max(x, subgroupShuffleXor(x, 1u));
  x = max(x, subgroupShuffleXor(x, 2u));
  x = max(x, subgroupShuffleXor(x, 4u));
  x = max(x, subgroupShuffleXor(x, 8u));
  x = max(x, subgroupShuffleXor(x, 16u));
  return x;
}
fn segment_sum(value: f32, t: u32) -> f32 {
  var x = value;
  x = x + subgroupShuffleXor(x, 1u);
  x = x + subgroupShuffleXor(x, 2u);
  x = x + subgroupShuffleXor(x, 4u);
  x = x + subgroupShuffleXor(x, 8u);
  x = x + subgroupShuffleXor(x, 16u);
  return x;
}

@compute @workgroup_size(threads)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let item = group_index(id, count);
  let row = item / 256u;
  if (row >= u32((bitcast<i32>(scalars[0][0])))) { return; }
  if (!row_taken(row)) { return; }
  let split = item % splits;
  let first_head = item / splits % 8u * 4u;
  let kv_head = first_head / group;
  let position = last_key(row);
  let from_key = first_key(position);
  let chunks = chunks_of(position);
  let from_chunk = i32(split) * chunks.per_split;
  let to_chunk = min(chunks.count, from_chunk + chunks.per_split);
  if (from_chunk >= to_chunk) { return; }
  if (t == 0u) { check_position(row); }
  let part = u32(sequences[row]);
  for (var i = t; i < 4u * width; i += threads) {
    q_shared[i] = q[(row * heads + first_head) * width + i];
  }
  let own_head = t / segment;
  let own_lane = t % segment;
  let unit = t % units;
  let share = t / units;
  var running_max = lowest;
  var running_sum = 0.0;
  var acc_0_0 = vec4<f32>(0.0);
  var acc_0_1 = vec4<f32>(0.0);
  var acc_1_0 = vec4<f32>(0.0);
  var acc_1_1 = vec4<f32>(0.0);
  var acc_2_0 = vec4<f32>(0.0);
  var acc_2_1 = vec4<f32>(0.0);
  var acc_3_0 = vec4<f32>(0.0);
  var acc_3_1 = vec4<f32>(0.0);

  for (var c = from_chunk; c < to_chunk; c++) {
    let chunk_key = chunks.first + c * i32(chunk);
    let skip = u32(max(0, from_key - chunk_key));
    let live = u32(min(i32(chunk), position - chunk_key + 1));
    workgroupBarrier();
    for (var j = t; j < chunk; j += threads) {
      slots[j] = 0u;
      if (j >= skip && j < live) { slots[j] = key_slot(row, chunk_key + i32(j)); }
    }
    workgroupBarrier();
    let value_0 = v_cache[(kv_head * cap + slots[min(share, shares - 1u) + 0u * shares]) * units + unit];
    let value_1 = v_cache[(kv_head * cap + slots[min(share, shares - 1u) + 1u * shares]) * units + unit];
    let value_2 = v_cache[(kv_head * cap + slots[min(share, shares - 1u) + 2u * shares]) * units + unit];
    let value_3 = v_cache[(kv_head * cap + slots[min(share, shares - 1u) + 3u * shares]) * units + unit];
    for (var k = 0u; k < live; k += 64u) {
      let key_0 = k + 0u + t / lanes;
      let at_0 = kv_head * cap + slots[key_0];
      let k_0_0 = k_cache[(at_0) * units + 0u * lanes + t % lanes];
      let key_1 = k + 16u + t / lanes;
      let at_1 = kv_head * cap + slots[key_1];
      let k_1_0 = k_cache[(at_1) * units + 0u * lanes + t % lanes];
      let key_2 = k + 32u + t / lanes;
      let at_2 = kv_head * cap + slots[key_2];
      let k_2_0 = k_cache[(at_2) * units + 0u * lanes + t % lanes];
      let key_3 = k + 48u + t / lanes;
      let at_3 = kv_head * cap + slots[key_3];
      let k_3_0 = k_cache[(at_3) * units + 0u * lanes + t % lanes];
      var s_0_0 = dot(vec4(unpack2x16float(k_0_0.x), unpack2x16float(k_0_0.y)), q_shared[0u * width + (0u * lanes + t % lanes) * 2u + 0u])
        + dot(vec4(unpack2x16float(k_0_0.z), unpack2x16float(k_0_0.w)), q_shared[0u * width + (0u * lanes + t % lanes) * 2u + 1u]);
      s_0_0 += subgroupShuffleXor(s_0_0, 1u);
      s_0_0 += subgroupShuffleXor(s_0_0, 2u);
      s_0_0 += subgroupShuffleXor(s_0_0, 4u);
      var s_0_1 = dot(vec4(unpack2x16float(k_0_0.x), unpack2x16float(k_0_0.y)), q_shared[1u * width + (0u * lanes + t % lanes) * 2u + 0u])
        + dot(vec4(unpack2x16float(k_0_0.z), unpack2x16float(k_0_0.w)), q_shared[1u * width + (0u * lanes + t % lanes) * 2u + 1u]);
      s_0_1 += subgroupShuffleXor(s_0_1, 1u);
      s_0_1 += subgroupShuffleXor(s_0_1, 2u);
      s_0_1 += subgroupShuffleXor(s_0_1, 4u);
      var s_0_2 = dot(vec4(unpack2x16float(k_0_0.x), unpack2x16float(k_0_0.y)), q_shared[2u * width + (0u * lanes + t % lanes) * 2u + 0u])
        + dot(vec4(unpack2x16float(k_0_0.z), unpack2x16float(k_0_0.w)), q_shared[2u * width + (0u * lanes + t % lanes) * 2u + 1u]);
      s_0_2 += subgroupShuffleXor(s_0_2, 1u);
      s_0_2 += subgroupShuffleXor(s_0_2, 2u);
      s_0_2 += subgroupShuffleXor(s_0_2, 4u);
      var s_0_3 = dot(vec4(unpack2x16float(k_0_0.x), unpack2x16float(k_0_0.y)), q_shared[3u * width + (0u * lanes + t % lanes) * 2u + 0u])
        + dot(vec4(unpack2x16float(k_0_0.z), unpack2x16float(k_0_0.w)), q_shared[3u * width + (0u * lanes + t % lanes) * 2u + 1u]);
      s_0_3 += subgroupShuffleXor(s_0_3, 1u);
      s_0_3 += subgroupShuffleXor(s_0_3, 2u);
      s_0_3 += subgroupShuffleXor(s_0_3, 4u);
      var s_1_0 = dot(vec4(unpack2x16float(k_1_0.x), unpack2x16float(k_1_0.y)), q_shared[0u * width + (0u * lanes + t % lanes) * 2u + 0u])
        + dot(vec4(unpack2x16float(k_1_0.z), unpack2x16float(k_1_0.w)), q_shared[0u * width + (0u * lanes + t % lanes) * 2u + 1u]);
      s_1_0 += subgroupShuffleXor(s_1_0, 1u);
      s_1_0 += subgroupShuffleXor(s_1_0, 2u);
      s_1_0 += subgroupShuffleXor(s_1_0, 4u);
      var s_1_1 = dot(vec4(unpack2x16float(k_1_0.x), unpack2x16float(k_1_0.y)), q_shared[1u * width + (0u * lanes + t % lanes) * 2u + 0u])
        + dot(vec4(unpack2x16float(k_1_0.z), unpack2x16float(k_1_0.w)), q_shared[1u * width + (0u * lanes + t % lanes) * 2u + 1u]);
      s_1_1 += subgroupShuffleXor(s_1_1, 1u);
      s_1_1 += subgroupShuffleXor(s_1_1, 2u);
      s_1_1 += subgroupShuffleXor(s_1_1, 4u);
      var s_1_2 = dot(vec4(unpack2x16float(k_1_0.x), unpack2x16float(k_1_0.y)), q_shared[2u * width + (0u * lanes + t % lanes) * 2u + 0u])
        + dot(vec4(unpack2x16float(k_1_0.z), unpack2x16float(k_1_0.w)), q_shared[2u * width + (0u * lanes + t % lanes) * 2u + 1u]);
      s_1_2 += subgroupShuffleXor(s_1_2, 1u);
      s_1_2 += subgroupShuffleXor(s_1_2, 2u);
      s_1_2 += subgroupShuffleXor(s_1_2, 4u);
      var s_1_3 = dot(vec4(unpack2x16float(k_1_0.x), unpack2x16float(k_1_0.y)), q_shared[3u * width + (0u * lanes + t % lanes) * 2u + 0u])
        + dot(vec4(unpack2x16float(k_1_0.z), unpack2x16float(k_1_0.w)), q_shared[3u * width + (0u * lanes + t % lanes) * 2u + 1u]);
      s_1_3 += subgroupShuffleXor(s_1_3, 1u);
      s_1_3 += subgroupShuffleXor(s_1_3, 2u);
      s_1_3 += subgroupShuffleXor(s_1_3, 4u);
      var s_2_0 = dot(vec4(unpack2x16float(k_2_0.x), unpack2x16float(k_2_0.y)), q_shared[0u * width + (0u * lanes + t % lanes) * 2u + 0u])
        + dot(vec4(unpack2x16float(k_2_0.z), unpack2x16float(k_2_0.w)), q_shared[0u * width + (0u * lanes + t % lanes) * 2u + 1u]);
      s_2_0 += subgroupShuffleXor(s_2_0, 1u);
      s_2_0 += subgroupShuffleXor(s_2_0, 2u);
      s_2_0 += subgroupShuffleXor(s_2_0, 4u);
      var s_2_1 = dot(vec4(unpack2x16float(k_2_0.x), unpack2x16float(k_2_0.y)), q_shared[1u * width + (0u * lanes + t % lanes) * 2u + 0u])
        + dot(vec4(unpack2x16float(k_2_0.z), unpack2x16float(k_2_0.w)), q_shared[1u * width + (0u * lanes + t % lanes) * 2u + 1u]);
      s_2_1 += subgroupShuffleXor(s_2_1, 1u);
      s_2_1 += subgroupShuffleXor(s_2_1, 2u);
      s_2_1 += subgroupShuffleXor(s_2_1, 4u);
      var s_2_2 = dot(vec4(unpack2x16float(k_2_0.x), unpack2x16float(k_2_0.y)), q_shared[2u * width + (0u * lanes + t % lanes) * 2u + 0u])
        + dot(vec4(unpack2x16float(k_2_0.z), unpack2x16float(k_2_0.w)), q_shared[2u * width + (0u * lanes + t % lanes) * 2u + 1u]);
      s_2_2 += subgroupShuffleXor(s_2_2, 1u);
      s_2_2 += subgroupShuffleXor(s_2_2, 2u);
      s_2_2 += subgroupShuffleXor(s_2_2, 4u);
      var s_2_3 = dot(vec4(unpack2x16float(k_2_0.x), unpack2x16float(k_2_0.y)), q_shared[3u * width + (0u * lanes + t % lanes) * 2u + 0u])
        + dot(vec4(unpack2x16float(k_2_0.z), unpack2x16float(k_2_0.w)), q_shared[3u * width + (0u * lanes + t % lanes) * 2u + 1u]);
      s_2_3 += subgroupShuffleXor(s_2_3, 1u);
      s_2_3 += subgroupShuffleXor(s_2_3, 2u);
      s_2_3 += subgroupShuffleXor(s_2_3, 4u);
      var s_3_0 = dot(vec4(unpack2x16float(k_3_0.x), unpack2x16float(k_3_0.y)), q_shared[0u * width + (0u * lanes + t % lanes) * 2u + 0u])
        + dot(vec4(unpack2x16float(k_3_0.z), unpack2x16float(k_3_0.w)), q_shared[0u * width + (0u * lanes + t % lanes) * 2u + 1u]);
      s_3_0 += subgroupShuffleXor(s_3_0, 1u);
      s_3_0 += subgroupShuffleXor(s_3_0, 2u);
      s_3_0 += subgroupShuffleXor(s_3_0, 4u);
      var s_3_1 = dot(vec4(unpack2x16float(k_3_0.x), unpack2x16float(k_3_0.y)), q_shared[1u * width + (0u * lanes + t % lanes) * 2u + 0u])
        + dot(vec4(unpack2x16float(k_3_0.z), unpack2x16float(k_3_0.w)), q_shared[1u * width + (0u * lanes + t % lanes) * 2u + 1u]);
      s_3_1 += subgroupShuffleXor(s_3_1, 1u);
      s_3_1 += subgroupShuffleXor(s_3_1, 2u);
      s_3_1 += subgroupShuffleXor(s_3_1, 4u);
      var s_3_2 = dot(vec4(unpack2x16float(k_3_0.x), unpack2x16float(k_3_0.y)), q_shared[2u * width + (0u * lanes + t % lanes) * 2u + 0u])
        + dot(vec4(unpack2x16float(k_3_0.z), unpack2x16float(k_3_0.w)), q_shared[2u * width + (0u * lanes + t % lanes) * 2u + 1u]);
      s_3_2 += subgroupShuffleXor(s_3_2, 1u);
      s_3_2 += subgroupShuffleXor(s_3_2, 2u);
      s_3_2 += subgroupShuffleXor(s_3_2, 4u);
      var s_3_3 = dot(vec4(unpack2x16float(k_3_0.x), unpack2x16float(k_3_0.y)), q_shared[3u * width + (0u * lanes + t % lanes) * 2u + 0u])
        + dot(vec4(unpack2x16float(k_3_0.z), unpack2x16float(k_3_0.w)), q_shared[3u * width + (0u * lanes + t % lanes) * 2u + 1u]);
      s_3_3 += subgroupShuffleXor(s_3_3, 1u);
      s_3_3 += subgroupShuffleXor(s_3_3, 2u);
      s_3_3 += subgroupShuffleXor(s_3_3, 4u);
      if (t % lanes == 0u) {
        scores[0u * chunk + key_0] = s_0_0;
        scores[1u * chunk + key_0] = s_0_1;
        scores[2u * chunk + key_0] = s_0_2;
        scores[3u * chunk + key_0] = s_0_3;
      }
      if (t % lanes == 0u) {
        scores[0u * chunk + key_1] = s_1_0;
        scores[1u * chunk + key_1] = s_1_1;
        scores[2u * chunk + key_1] = s_1_2;
        scores[3u * chunk + key_1] = s_1_3;
      }
      if (t % lanes == 0u) {
        scores[0u * chunk + key_2] = s_2_0;
        scores[1u * chunk + key_2] = s_2_1;
        scores[2u * chunk + key_2] = s_2_2;
        scores[3u * chunk + key_2] = s_2_3;
      }
      if (t % lanes == 0u) {
        scores[0u * chunk + key_3] = s_3_0;
        scores[1u * chunk + key_3] = s_3_1;
        scores[2u * chunk + key_3] = s_3_2;
        scores[3u * chunk + key_3] = s_3_3;
      }
    }
    workgroupBarrier();
    var top = lowest;
    if (own_head < 4u) {
      for (var j = skip + own_lane; j < live; j += segment) {
        let s = score(scores[own_head * chunk + j]);
        scores[own_head * chunk + j] = s;
        top = max(top, s);
      }
    }
    let before = running_max;
    running_max = max(before, segment_max(top, t));
    let factor = exp(before - running_max);
    var sum = 0.0;
    if (own_head < 4u) {
      for (var j = skip + own_lane; j < live; j += segment) {
        let p = exp(scores[own_head * chunk + j] - running_max);
        scores[own_head * chunk + j] = p;
        sum += p;
      }
      if (own_lane == 0u) { factors[own_head] = factor; }
    }
    running_sum = running_sum * factor + segment_sum(sum, t);
    workgroupBarrier();
    if (share < shares) {
      acc_0_0 *= factors[0];
      acc_0_1 *= factors[0];
      acc_1_0 *= factors[1];
      acc_1_1 *= factors[1];
      acc_2_0 *= factors[2];
      acc_2_1 *= factors[2];
      acc_3_0 *= factors[3];
      acc_3_1 *= factors[3];
      if (share + 0u * shares >= skip && share + 0u * shares < live) {
          let v_0 = vec4(unpack2x16float(value_0.x), unpack2x16float(value_0.y));
          let v_1 = vec4(unpack2x16float(value_0.z), unpack2x16float(value_0.w));
          let p_0 = scores[0u * chunk + share + 0u * shares];
          acc_0_0 += p_0 * v_0;
          acc_0_1 += p_0 * v_1;
          let p_1 = scores[1u * chunk + share + 0u * shares];
          acc_1_0 += p_1 * v_0;
          acc_1_1 += p_1 * v_1;
          let p_2 = scores[2u * chunk + share + 0u * shares];
          acc_2_0 += p_2 * v_0;
          acc_2_1 += p_2 * v_1;
          let p_3 = scores[3u * chunk + share + 0u * shares];
          acc_3_0 += p_3 * v_0;
          acc_3_1 += p_3 * v_1;
      }
      if (share + 1u * shares >= skip && share + 1u * shares < live) {
          let v_0 = vec4(unpack2x16float(value_1.x), unpack2x16float(value_1.y));
          let v_1 = vec4(unpack2x16float(value_1.z), unpack2x16float(value_1.w));
          let p_0 = scores[0u * chunk + share + 1u * shares];
          acc_0_0 += p_0 * v_0;
          acc_0_1 += p_0 * v_1;
          let p_1 = scores[1u * chunk + share + 1u * shares];
          acc_1_0 += p_1 * v_0;
          acc_1_1 += p_1 * v_1;
          let p_2 = scores[2u * chunk + share + 1u * shares];
          acc_2_0 += p_2 * v_0;
          acc_2_1 += p_2 * v_1;
          let p_3 = scores[3u * chunk + share + 1u * shares];
          acc_3_0 += p_3 * v_0;
          acc_3_1 += p_3 * v_1;
      }
      if (share + 2u * shares >= skip && share + 2u * shares < live) {
          let v_0 = vec4(unpack2x16float(value_2.x), unpack2x16float(value_2.y));
          let v_1 = vec4(unpack2x16float(value_2.z), unpack2x16float(value_2.w));
          let p_0 = scores[0u * chunk + share + 2u * shares];
          acc_0_0 += p_0 * v_0;
          acc_0_1 += p_0 * v_1;
          let p_1 = scores[1u * chunk + share + 2u * shares];
          acc_1_0 += p_1 * v_0;
          acc_1_1 += p_1 * v_1;
          let p_2 = scores[2u * chunk + share + 2u * shares];
          acc_2_0 += p_2 * v_0;
          acc_2_1 += p_2 * v_1;
          let p_3 = scores[3u * chunk + share + 2u * shares];
          acc_3_0 += p_3 * v_0;
          acc_3_1 += p_3 * v_1;
      }
      if (share + 3u * shares >= skip && share + 3u * shares < live) {
          let v_0 = vec4(unpack2x16float(value_3.x), unpack2x16float(value_3.y));
          let v_1 = vec4(unpack2x16float(value_3.z), unpack2x16float(value_3.w));
          let p_0 = scores[0u * chunk + share + 3u * shares];
          acc_0_0 += p_0 * v_0;
          acc_0_1 += p_0 * v_1;
          let p_1 = scores[1u * chunk + share + 3u * shares];
          acc_1_0 += p_1 * v_0;
          acc_1_1 += p_1 * v_1;
          let p_2 = scores[2u * chunk + share + 3u * shares];
          acc_2_0 += p_2 * v_0;
          acc_2_1 += p_2 * v_1;
          let p_3 = scores[3u * chunk + share + 3u * shares];
          acc_3_0 += p_3 * v_0;
          acc_3_1 += p_3 * v_1;
      }
    }
  }
  workgroupBarrier();
  if (own_head < 4u && own_lane == 0u) {
    let at = ((part * heads + first_head + own_head) * splits + split) * 17u + width;
    partial[at] = vec4<f32>(running_max, running_sum, 0.0, 0.0);
    factors[own_head] = 1.0;
  }
  {
    let head = first_head + 0u;
    if (share < shares) {
      shared_values[share * width + unit * 2u + 0u] = acc_0_0;
      shared_values[share * width + unit * 2u + 1u] = acc_0_1;
    }
    workgroupBarrier();
    for (var i = t; i < width; i += threads) {
      var total = shared_values[i];
      for (var s = 1u; s < shares; s++) { total += shared_values[s * width + i]; }
      partial[((part * heads + head) * splits + split) * 17u + i] = total;
    }
    workgroupBarrier();
  }
  {
    let head = first_head + 1u;
    if (share < shares) {
      shared_values[share * width + unit * 2u + 0u] = acc_1_0;
      shared_values[share * width + unit * 2u + 1u] = acc_1_1;
    }
    workgroupBarrier();
    for (var i = t; i < width; i += threads) {
      var total = shared_values[i];
      for (var s = 1u; s < shares; s++) { total += shared_values[s * width + i]; }
      partial[((part * heads + head) * splits + split) * 17u + i] = total;
    }
    workgroupBarrier();
  }
  {
    let head = first_head + 2u;
    if (share < shares) {
      shared_values[share * width + unit * 2u + 0u] = acc_2_0;
      shared_values[share * width + unit * 2u + 1u] = acc_2_1;
    }
    workgroupBarrier();
    for (var i = t; i < width; i += threads) {
      var total = shared_values[i];
      for (var s = 1u; s < shares; s++) { total += shared_values[s * width + i]; }
      partial[((part * heads + head) * splits + split) * 17u + i] = total;
    }
    workgroupBarrier();
  }
  {
    let head = first_head + 3u;
    if (share < shares) {
      shared_values[share * width + unit * 2u + 0u] = acc_3_0;
      shared_values[share * width + unit * 2u + 1u] = acc_3_1;
    }
    workgroupBarrier();
    for (var i = t; i < width; i += threads) {
      var total = shared_values[i];
      for (var s = 1u; s < shares; s++) { total += shared_values[s * width + i]; }
      partial[((part * heads + head) * splits + split) * 17u + i] = total;
    }
    workgroupBarrier();
  }
}
