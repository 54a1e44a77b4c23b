@group(0) @binding(0) var<storage, read> positions: array<i32>;
@group(0) @binding(1) var<storage, read> q: array<f32>;
@group(0) @binding(2) var<storage, read> inv_freq: array<f32>;
@group(0) @binding(3) var<storage, read> q_norm: array<f32>;
@group(0) @binding(4) var<storage, read_write> q_out: array<f32>;
@group(0) @binding(5) var<storage, read> k: array<f32>;
@group(0) @binding(6) var<storage, read> k_norm: array<f32>;
@group(0) @binding(7) var<storage, read_write> k_out: array<u32>;
@group(0) @binding(8) var<storage, read> sequences: array<i32>;
@group(0) @binding(9) var<storage, read> page_table: array<i32>;
@group(0) @binding(10) var<storage, read_write> status: array<atomic<u32>>;
@group(0) @binding(11) var<storage, read> v: array<f32>;
@group(0) @binding(12) var<storage, read_write> v_out: array<u32>;
@group(0) @binding(13) var<uniform> scalars: array<vec4<u32>, 16>;
fn group_index(id: vec3<u32>, count: vec3<u32>) -> u32 { return id.y * count.x + id.x; }
alias F = f32;
alias I = i32;
alias U = u32;
alias B = bool;
var<private> infinity_bits: u32 = 0x7f800000u; // a variable: constants cannot be infinite
fn infinity() -> F { return F(bitcast<f32>(infinity_bits)); }
fn not_a_number() -> F { return F(bitcast<f32>(nan_bits)); }
var<private> nan_bits: u32 = 0x7fc00000u;
// x - n pi/2 for a large |x|, and n modulo 4: 24 bits of x times 96 bits of 2/pi
var<private> two_over_pi: array<u32, 7> = array<u32, 7>(
  0xa2f9836eu, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u, 0xdb629599u, 0x3c439041u, 0xfe5163abu);
fn multiply_high(a: u32, b: u32) -> u32 {
  let low = (a & 0xffffu) * (b & 0xffffu);
  let middle = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
  let other = (a & 0xffffu) * (b >> 16u) + (middle & 0xffffu);
  return (a >> 16u) * (b >> 16u) + (middle >> 16u) + (other >> 16u);
}
fn multiply_wide(a: u32, b: u32) -> vec2<u32> { return vec2<u32>(a * b, multiply_high(a, b)); }
fn two_over_pi_at(bit: u32) -> u32 {
  let word = bit >> 5u;
  let shift = bit & 31u;
  if (shift == 0u) { return two_over_pi[word]; }
  return (two_over_pi[word] << shift) | (two_over_pi[word + 1u] >> (32u - shift));
}
fn reduce_one(x: f32) -> vec2<f32> {
  let u = bitcast<u32>(x);
  // x = m 2^(e - 150); bits of 2/pi that only add multiples of 4 are left out
  let e = (u >> 23u) & 0xffu;
  let m = (u & 0x7fffffu) | 0x800000u;
  let drop = max(e, 152u) - 152u;
  let keep = 152u - min(e, 152u);
  let a = two_over_pi_at(drop);
  let b = two_over_pi_at(drop + 32u);
  let c = two_over_pi_at(drop + 64u);
  let low = multiply_wide(m, c);
  let mid = multiply_wide(m, b);
  let top = multiply_wide(m, a);
  let word1 = mid.x + low.y;
  let carry = mid.y + select(0u, 1u, word1 < low.y);
  let word0 = top.x + carry;
  let word = top.y + select(0u, 1u, word0 < carry);
  // (word, word0, word1) is x 2/pi modulo 4 in units of 2^-(62 + keep): high in units of 2^-30, next what follows
  var high = word0;
  var next = word1;
  if (keep > 0u) {
    high = (word0 >> keep) | (word << (32u - keep));
    next = (word1 >> keep) | (word0 << (32u - keep));
  }
  let n = (high + 0x20000000u) >> 30u;
  let fraction = bitcast<i32>((high << 2u) | (next >> 30u)); // of a quadrant, from -1/2 to 1/2
  let finer = f32(next << 2u) * 2.3283064e-10;
  return vec2<f32>((f32(fraction >> 8u) * 256.0 + (f32(fraction & 255) + finer)) * 3.6572952e-10, f32(n));
}
// (x - n pi/2, n): three parts of pi/2 whose products with n < 2^12 are exact
struct Angle { r: F, n: I }
fn reduce_quarter(x: F) -> Angle {
  let n = round(clamp(x, F(-6000.0), F(6000.0)) * 0.63661977);
  var r = ((x - n * 1.5703125) - n * 4.8351287841796875e-4) - n * 3.1385570764541626e-7;
  r = r - n * 6.0771005065061922e-11;
  var q = I(n);
  if (abs(x) > 6000.0) {
    let w = reduce_one(x);
      r = select(w.x, -w.x, x < 0.0);
      q = select(i32(w.y), -i32(w.y), x < 0.0);
  }
  return Angle(r, q);
}
fn sin_reduced(r: F) -> F {
  let t = r * r;
  var p = 2.717939878e-6 * t - F(1.983929542e-4);
  p = p * t + F(8.333329111e-3);
  p = p * t - F(1.666666716e-1);
  return p * (t * r) + r;
}
fn cos_reduced(r: F) -> F {
  let t = r * r;
  var p = 2.443484300e-5 * t - F(1.388733741e-3);
  p = p * t + F(4.166664556e-2);
  return p * (t * t) + (F(1.0) - 0.5 * t);
}
fn sin_cos(angle: Angle, turn: I) -> F {
  let q = angle.n + turn;
  let s = select(sin_reduced(angle.r), cos_reduced(angle.r), (q & I(1)) == I(1));
  return select(s, -s, (q & I(2)) == I(2));
}
fn sin_f32(x: F) -> F {
  return select(select(sin_cos(reduce_quarter(x), I(0)), x, x == F(0.0)), not_a_number(), !(abs(x) < infinity()));
}
fn cos_f32(x: F) -> F {
  return select(sin_cos(reduce_quarter(x), I(1)), not_a_number(), !(abs(x) < infinity()));
}
fn f16_bits(x: f32) -> u32 {
  let u = bitcast<u32>(x);
  let sign = (u >> 16u) & 0x8000u;
  let a = u & 0x7fffffffu;
  if (a > 0x7f800000u) { return sign | 0x7e00u; }
  if (a >= 0x477ff000u) { return sign | 0x7c00u; }
  if (a < 0x33000001u) { return sign; }
  if (a < 0x38800000u) {
    let shift = 126u - (a >> 23u);
    let m = (a & 0x7fffffu) | 0x800000u;
    let half = m >> shift;
    let rest = m & ((1u << shift) - 1u);
    let middle = 1u << (shift - 1u);
    return sign | (half + select(0u, 1u, rest > middle || (rest == middle && (half & 1u) == 1u)));
  }
  let r = a + 0xfffu + ((a >> 13u) & 1u);
  return sign | ((r - 0x38000000u) >> 13u);
}
fn f16_pair(a: f32, b: f32) -> u32 { return f16_bits(a) | (f16_bits(b) << 16u); }
fn kv_slot(row: u32, position: i32) -> i32 {
  if (position < 0 || position >= 8192) { return -1; }
  let page = page_table[sequences[row] * 256 + position / 32];
  return select(page * 32 + position % 32, -1, page < 0 || page >= 256);
}
fn elements_of(lane: u32) -> vec2<u32> {
  if (lane < 64u) { return vec2(lane, lane + 64u); }
  return vec2(2u * lane, 2u * lane + 1u);
}
fn element_exists(e: u32) -> bool { return e < 128u; }

/** Heads of the workgroup, in order. */
var<workgroup> staged: array<f32, 128>;
var<workgroup> squares: array<f32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let at_head = group_index(id, count) * 1u + t / 64u;
  let lane = t % 64u;
  let exists = at_head < u32((bitcast<i32>(scalars[0][0]))) * 48u;
  let row = select(0u, at_head / 48u, exists);
  let item = select(48u, at_head % 48u, exists);
  let e = elements_of(lane);
  var a = 0.0;
  var b = 0.0;
  if (item >= 0u && item < 32u) {
    if (element_exists(e.x)) { a = q[(row * 32u + item - 0u) * 128u + e.x]; }
    if (element_exists(e.y)) { b = q[(row * 32u + item - 0u) * 128u + e.y]; }
  }
  if (item >= 32u && item < 40u) {
    if (element_exists(e.x)) { a = k[(row * 8u + item - 32u) * 128u + e.x]; }
    if (element_exists(e.y)) { b = k[(row * 8u + item - 32u) * 128u + e.y]; }
  }
  if (item >= 40u && item < 48u) {
    if (element_exists(e.x)) { a = v[(row * 8u + item - 40u) * 128u + e.x]; }
    if (element_exists(e.y)) { b = v[(row * 8u + item - 40u) * 128u + e.y]; }
  }
  squares[t] = a * a + b * b;
  for (var half = 32u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (lane < half) { squares[t] += squares[t + half]; }
  }
  workgroupBarrier();
  let scale = inverseSqrt(squares[t - lane] / 128.0 + 9.999999974752427e-7f);
  if (item >= 0u && item < 32u) {
    a *= scale * q_norm[min(e.x, 127u)];
    b *= scale * q_norm[min(e.y, 127u)];
  }
  if (item >= 32u && item < 40u) {
    a *= scale * k_norm[min(e.x, 127u)];
    b *= scale * k_norm[min(e.y, 127u)];
  }
  if (item >= 40u && item < 48u) {

  }
  let position = positions[row];
  if (lane < 64u && ((item >= 0u && item < 32u) || (item >= 32u && item < 40u))) {
    let angle = f32(position) * inv_freq[lane];
    let turn = vec2(sin_f32(angle), cos_f32(angle)) * 1.0f;
    let rotated = vec2(a * turn.y - b * turn.x, b * turn.y + a * turn.x);
    a = rotated.x;
    b = rotated.y;
  }
  let base = (t - lane) * 2u;
  staged[base + e.x] = a;
  staged[base + e.y] = b;
  workgroupBarrier();
  let first = base + 2u * lane;
  if (!element_exists(2u * lane)) { return; }
  if (item >= 0u && item < 32u) {
    let head = item - 0u;
    let at = (row * 32u + head) * 128u + 2u * lane;
    q_out[at] = staged[first];
    if (element_exists(2u * lane + 1u)) { q_out[at + 1u] = staged[first + 1u]; }
  }
  if (item >= 32u && item < 40u) {
    let head = item - 32u;
    let slot = kv_slot(row, position);
    if (slot < 0) { if (atomicCompareExchangeWeak(&status[0], 0u, 6u).exchanged) { atomicStore(&status[1], u32(position)); } return; }
    k_out[(head * 8192u + u32(slot)) * 64u + lane] = f16_pair(staged[first], staged[first + 1u]);
  }
  if (item >= 40u && item < 48u) {
    let head = item - 40u;
    let slot = kv_slot(row, position);
    if (slot < 0) { if (atomicCompareExchangeWeak(&status[0], 0u, 6u).exchanged) { atomicStore(&status[1], u32(position)); } return; }
    v_out[(head * 8192u + u32(slot)) * 64u + lane] = f16_pair(staged[first], staged[first + 1u]);
  }
}
