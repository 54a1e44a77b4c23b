@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> norm: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> halves: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> scales: array<f32>;
@group(0) @binding(4) var<uniform> scalars: array<vec4<u32>, 16>;
fn group_index(id: vec3<u32>, count: vec3<u32>) -> u32 { return id.y * count.x + id.x; }
fn value_at(row: u32, i: u32, factor: f32) -> vec4<f32> { return x[row * 128u + i] * factor * (norm[i] + 0.0f); }
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
fn inverse_rms(row: u32, t: u32) -> f32 {
  var squares = 0.0;
  for (var i = t; i < 128u; i += 256u) { let v = x[row * 128u + i]; squares += dot(v, v); }
  return inverseSqrt(workgroup_sum(squares, t) / 512.0 + 0.000009999999747378752f);
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
fn power_of_two(amax: f32) -> f32 {
  return bitcast<f32>(clamp(bitcast<u32>(amax) & 0x7f800000u, 0x0d800000u, 0x71800000u));
}
fn largest(v: vec4<f32>) -> f32 { let a = max(abs(v.xy), abs(v.zw)); return max(a.x, a.y); }
fn four_at(row: u32, i: u32, factor: f32) -> vec4<f32> {
  if (i >= 128u) { return vec4<f32>(); }
  return value_at(row, i, factor);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let row = group_index(id, groups);
  if (row >= u32((bitcast<i32>(scalars[0][0])))) { return; }
  let inverse = inverse_rms(row, t);
  var amax = 0.0;
  for (var i = t; i < 128u; i += 256u) { amax = max(amax, largest(value_at(row, i, inverse))); }
  let scale = power_of_two(workgroup_max(amax, t));
  if (t == 0u) { scales[row] = scale; }
  let factor = inverse / scale;
  for (var c = t; c < 64u; c += 256u) {
    let a = four_at(row, 2u * c, factor);
    let b = four_at(row, 2u * c + 1u, factor);
    halves[row * 64u + c] = vec4<u32>(pack2x16float(a.xz), pack2x16float(a.yw), pack2x16float(b.xz), pack2x16float(b.yw));
  }
}

// ---
enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
@group(0) @binding(0) var<storage, read> x: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> scales: array<f32>;
@group(0) @binding(2) var<storage, read> residual: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> w0: array<u32>;
@group(0) @binding(4) var<storage, read> bias_4: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> y_5: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> w0_up: array<u32>;
@group(0) @binding(7) var<storage, read> bias_7: array<vec4<f32>>;
@group(0) @binding(8) var<uniform> scalars: array<vec4<u32>, 16>;
fn group_index(id: vec3<u32>, count: vec3<u32>) -> u32 { return id.y * count.x + id.x; }
alias num = f16;
alias pair = vec2<f16>;
alias Pairs = array<pair, 4>;
fn half_at(word: u32, i: u32) -> num { let v = bitcast<vec2<f16>>(word); return select(v.x, v.y, (i & 1u) == 1u); }
// 0x6400 is 1024, whose last place is 1: small integers are its mantissa.
fn code_pair(codes: u32) -> pair { return bitcast<vec2<f16>>(codes | 0x64006400u) - pair(1024.0h); }
fn pack_pair(p: pair) -> u32 { return bitcast<u32>(p); }
fn bf16_at(word: u32, i: u32) -> f32 { return bitcast<f32>(select(word << 16u, word & 0xffff0000u, (i & 1u) == 1u)); }
fn step_at(word: u32, n: u32) -> f32 { return f32(i32(word << (24u - 8u * (n % 4u))) >> 24u); }
fn e8m0_at(word: u32, n: u32) -> f32 {
  let e = i32((word >> (8u * (n % 4u))) & 255u);
  return bitcast<f32>(max((e - 1) << 23u, (e + 1) << 21u));
}
fn e4m3_at(word: u32, i: u32) -> f32 {
  let byte = word >> (8u * i);
  let magnitude = byte & 127u;
  let bits = select((magnitude << 20u) + 0x3c000000u, bitcast<u32>(f32(magnitude) * 0.001953125), magnitude < 8u);
  return bitcast<f32>(bits | ((byte & 128u) << 24u));
}
fn number_at(numbers: ptr<function, array<u32, 4>>, code: u32) -> f32 {
  let word = (*numbers)[(code >> 2u) & 3u];
  return f32(i32(word << (24u - 8u * (code & 3u))) >> 24u);
}
fn scaled(a: u32, b: u32, c: u32, d: u32, s: num, m: num) -> Pairs {
  return Pairs(
    fma(code_pair(a), pair(s), pair(m)),
    fma(code_pair(b), pair(s), pair(m)),
    fma(code_pair(c), pair(s), pair(m)),
    fma(code_pair(d), pair(s), pair(m)),
  );
}
fn nibbles(w: u32, s: num, m: num) -> Pairs {
  let mask = 0x000f000fu;
  return scaled(w & mask, (w >> 8u) & mask, (w >> 4u) & mask, (w >> 12u) & mask, s, m);
}
fn bytes(v: u32, w: u32, s: num, m: num) -> Pairs {
  let mask = 0x00ff00ffu;
  return scaled(v & mask, (v >> 8u) & mask, w & mask, (w >> 8u) & mask, s, m);
}
fn decode_q4(raw: array<u32, 2>, n: u32, c: u32) -> Pairs {
  let s = unpack2x16float(raw[1])[n & 1u];
  let m = -8.0 * s;
  return nibbles(raw[0], num(s), num(m));
}
var<workgroup> tile: array<vec4<u32>, 864>;
fn staged_1(i: u32) -> f32 { return bitcast<f32>(tile[i / 4u][i % 4u]); }
fn staged_4(i: u32) -> vec4<f32> { return bitcast<vec4<f32>>(tile[i]); }
alias Left = subgroup_matrix_left<f16, 16, 16>;
alias Right = subgroup_matrix_right<f16, 16, 16>;
alias Sums = subgroup_matrix_result<f32, 16, 16>;
fn glu(gate: f32, up: f32) -> f32 { return gate / (1.0 + exp(-gate)) * up; }
fn glu_1(gate: f32, up: f32) -> f32 { return glu(gate, up); }
fn glu_4(gate: vec4<f32>, up: vec4<f32>) -> vec4<f32> {
  return vec4<f32>(glu(gate.x, up.x), glu(gate.y, up.y), glu(gate.z, up.z), glu(gate.w, up.w));
}
fn x_row(slot: u32) -> u32 { return slot; }
const x_stride = 64u;

fn fetch_w0(base: u32, n: u32, c: u32) -> array<u32, 2> {
  let panel = base + (n / 16u) * 1152u;
  let lane = n % 16u;
  return array<u32, 2>(
    w0[panel + (c / 4u) * 64u + (c % 4u) * 16u + lane],
    w0[panel + 1024u + (c / 4u) * 8u + 0u + lane / 2u],
  );
}
fn fetch_w0_up(base: u32, n: u32, c: u32) -> array<u32, 2> {
  let panel = base + (n / 16u) * 1152u;
  let lane = n % 16u;
  return array<u32, 2>(
    w0_up[panel + (c / 4u) * 64u + (c % 4u) * 16u + lane],
    w0_up[panel + 1024u + (c / 4u) * 8u + 0u + lane / 2u],
  );
}
fn finish_0(slot: u32, n: u32, a: vec4<f32>, b: vec4<f32>) {
  let column = n + 0u;
  let at = slot * 24u + column;
  y_5[at] = glu_4(a * scales[slot] + bias_4[column], b * scales[slot] + bias_7[column]) + residual[at];
}
fn tile_0(start: u32, count: u32, x_base: u32, w_base: u32, n_tile: u32, t: u32, subgroup: u32) {
  let c = t % 8u;
  let x_0 = x_base + x_row(start + min(t / 8u, count - 1u)) * x_stride + c;
  var x_next_0 = x[x_0];
  let x_1 = x_base + x_row(start + min((t + 64u) / 8u, count - 1u)) * x_stride + c;
  var x_next_1 = x[x_1];
  let x_2 = x_base + x_row(start + min((t + 128u) / 8u, count - 1u)) * x_stride + c;
  var x_next_2 = x[x_2];
  let x_3 = x_base + x_row(start + min((t + 192u) / 8u, count - 1u)) * x_stride + c;
  var x_next_3 = x[x_3];
  let n0_0 = min(n_tile * 32u + t % 32u, 95u);
  var w0_next_0 = fetch_w0(w_base, n0_0, (t / 32u) % 8u);
  let n0_1 = min(n_tile * 32u + (t + 64u) % 32u, 95u);
  var w0_next_1 = fetch_w0(w_base, n0_1, ((t + 64u) / 32u) % 8u);
  let n0_2 = min(n_tile * 32u + (t + 128u) % 32u, 95u);
  var w0_next_2 = fetch_w0(w_base, n0_2, ((t + 128u) / 32u) % 8u);
  let n0_3 = min(n_tile * 32u + (t + 192u) % 32u, 95u);
  var w0_next_3 = fetch_w0(w_base, n0_3, ((t + 192u) / 32u) % 8u);
  let n1_0 = min(n_tile * 32u + t % 32u, 95u);
  var w1_next_0 = fetch_w0_up(w_base, n1_0, (t / 32u) % 8u);
  let n1_1 = min(n_tile * 32u + (t + 64u) % 32u, 95u);
  var w1_next_1 = fetch_w0_up(w_base, n1_1, ((t + 64u) / 32u) % 8u);
  let n1_2 = min(n_tile * 32u + (t + 128u) % 32u, 95u);
  var w1_next_2 = fetch_w0_up(w_base, n1_2, ((t + 128u) / 32u) % 8u);
  let n1_3 = min(n_tile * 32u + (t + 192u) % 32u, 95u);
  var w1_next_3 = fetch_w0_up(w_base, n1_3, ((t + 192u) / 32u) % 8u);
  var sums_0_0: Sums;
  var sums_0_1: Sums;
  var sums_1_0: Sums;
  var sums_1_1: Sums;
  // The remainders change nothing but bound the places, so that compilers drop the checks of every load.
  let left = (subgroup / 2u) % 1u * 288u;
  let right = 288u + (subgroup % 2u) * 288u;
  for (var k = 0u; k < 8u; k++) {
    tile[(t / 8u) * 9u + c] = x_next_0;
    tile[((t + 64u) / 8u) * 9u + c] = x_next_1;
    tile[((t + 128u) / 8u) * 9u + c] = x_next_2;
    tile[((t + 192u) / 8u) * 9u + c] = x_next_3;
    let p0_0 = decode_q4(w0_next_0, n0_0, (t / 32u) % 8u + k * 8u);
    let r0_0 = ((t % 32u) / 16u) * 32u + 0u + (t % 32u) % 16u;
    tile[(32u + r0_0) * 9u + (t / 32u) % 8u] = vec4<u32>(pack_pair(p0_0[0]), pack_pair(p0_0[1]), pack_pair(p0_0[2]), pack_pair(p0_0[3]));
    let p0_1 = decode_q4(w0_next_1, n0_1, ((t + 64u) / 32u) % 8u + k * 8u);
    let r0_1 = (((t + 64u) % 32u) / 16u) * 32u + 0u + ((t + 64u) % 32u) % 16u;
    tile[(32u + r0_1) * 9u + ((t + 64u) / 32u) % 8u] = vec4<u32>(pack_pair(p0_1[0]), pack_pair(p0_1[1]), pack_pair(p0_1[2]), pack_pair(p0_1[3]));
    let p0_2 = decode_q4(w0_next_2, n0_2, ((t + 128u) / 32u) % 8u + k * 8u);
    let r0_2 = (((t + 128u) % 32u) / 16u) * 32u + 0u + ((t + 128u) % 32u) % 16u;
    tile[(32u + r0_2) * 9u + ((t + 128u) / 32u) % 8u] = vec4<u32>(pack_pair(p0_2[0]), pack_pair(p0_2[1]), pack_pair(p0_2[2]), pack_pair(p0_2[3]));
    let p0_3 = decode_q4(w0_next_3, n0_3, ((t + 192u) / 32u) % 8u + k * 8u);
    let r0_3 = (((t + 192u) % 32u) / 16u) * 32u + 0u + ((t + 192u) % 32u) % 16u;
    tile[(32u + r0_3) * 9u + ((t + 192u) / 32u) % 8u] = vec4<u32>(pack_pair(p0_3[0]), pack_pair(p0_3[1]), pack_pair(p0_3[2]), pack_pair(p0_3[3]));
    let p1_0 = decode_q4(w1_next_0, n1_0, (t / 32u) % 8u + k * 8u);
    let r1_0 = ((t % 32u) / 16u) * 32u + 16u + (t % 32u) % 16u;
    tile[(32u + r1_0) * 9u + (t / 32u) % 8u] = vec4<u32>(pack_pair(p1_0[0]), pack_pair(p1_0[1]), pack_pair(p1_0[2]), pack_pair(p1_0[3]));
    let p1_1 = decode_q4(w1_next_1, n1_1, ((t + 64u) / 32u) % 8u + k * 8u);
    let r1_1 = (((t + 64u) % 32u) / 16u) * 32u + 16u + ((t + 64u) % 32u) % 16u;
    tile[(32u + r1_1) * 9u + ((t + 64u) / 32u) % 8u] = vec4<u32>(pack_pair(p1_1[0]), pack_pair(p1_1[1]), pack_pair(p1_1[2]), pack_pair(p1_1[3]));
    let p1_2 = decode_q4(w1_next_2, n1_2, ((t + 128u) / 32u) % 8u + k * 8u);
    let r1_2 = (((t + 128u) % 32u) / 16u) * 32u + 16u + ((t + 128u) % 32u) % 16u;
    tile[(32u + r1_2) * 9u + ((t + 128u) / 32u) % 8u] = vec4<u32>(pack_pair(p1_2[0]), pack_pair(p1_2[1]), pack_pair(p1_2[2]), pack_pair(p1_2[3]));
    let p1_3 = decode_q4(w1_next_3, n1_3, ((t + 192u) / 32u) % 8u + k * 8u);
    let r1_3 = (((t + 192u) % 32u) / 16u) * 32u + 16u + ((t + 192u) % 32u) % 16u;
    tile[(32u + r1_3) * 9u + ((t + 192u) / 32u) % 8u] = vec4<u32>(pack_pair(p1_3[0]), pack_pair(p1_3[1]), pack_pair(p1_3[2]), pack_pair(p1_3[3]));
    workgroupBarrier();
    if (k + 1u < 8u) {
      let ahead = (k + 1u) * 8u;
      x_next_0 = x[x_0 + ahead];
      x_next_1 = x[x_1 + ahead];
      x_next_2 = x[x_2 + ahead];
      x_next_3 = x[x_3 + ahead];
      w0_next_0 = fetch_w0(w_base, n0_0, (t / 32u) % 8u + ahead);
      w0_next_1 = fetch_w0(w_base, n0_1, ((t + 64u) / 32u) % 8u + ahead);
      w0_next_2 = fetch_w0(w_base, n0_2, ((t + 128u) / 32u) % 8u + ahead);
      w0_next_3 = fetch_w0(w_base, n0_3, ((t + 192u) / 32u) % 8u + ahead);
      w1_next_0 = fetch_w0_up(w_base, n1_0, (t / 32u) % 8u + ahead);
      w1_next_1 = fetch_w0_up(w_base, n1_1, ((t + 64u) / 32u) % 8u + ahead);
      w1_next_2 = fetch_w0_up(w_base, n1_2, ((t + 128u) / 32u) % 8u + ahead);
      w1_next_3 = fetch_w0_up(w_base, n1_3, ((t + 192u) / 32u) % 8u + ahead);
    }
    let left_0_0 = subgroupMatrixLoad<Left, row_major>(&tile, left + 0u, 9u);
    let left_0_1 = subgroupMatrixLoad<Left, row_major>(&tile, left + 144u, 9u);
    let right_0_0 = subgroupMatrixLoad<Right, col_major>(&tile, right + 0u, 9u);
    sums_0_0 = subgroupMatrixMultiplyAccumulate(left_0_0, right_0_0, sums_0_0);
    sums_1_0 = subgroupMatrixMultiplyAccumulate(left_0_1, right_0_0, sums_1_0);
    let right_0_1 = subgroupMatrixLoad<Right, col_major>(&tile, right + 144u, 9u);
    sums_0_1 = subgroupMatrixMultiplyAccumulate(left_0_0, right_0_1, sums_0_1);
    sums_1_1 = subgroupMatrixMultiplyAccumulate(left_0_1, right_0_1, sums_1_1);
    let left_1_0 = subgroupMatrixLoad<Left, row_major>(&tile, left + 2u, 9u);
    let left_1_1 = subgroupMatrixLoad<Left, row_major>(&tile, left + 146u, 9u);
    let right_1_0 = subgroupMatrixLoad<Right, col_major>(&tile, right + 2u, 9u);
    sums_0_0 = subgroupMatrixMultiplyAccumulate(left_1_0, right_1_0, sums_0_0);
    sums_1_0 = subgroupMatrixMultiplyAccumulate(left_1_1, right_1_0, sums_1_0);
    let right_1_1 = subgroupMatrixLoad<Right, col_major>(&tile, right + 146u, 9u);
    sums_0_1 = subgroupMatrixMultiplyAccumulate(left_1_0, right_1_1, sums_0_1);
    sums_1_1 = subgroupMatrixMultiplyAccumulate(left_1_1, right_1_1, sums_1_1);
    let left_2_0 = subgroupMatrixLoad<Left, row_major>(&tile, left + 4u, 9u);
    let left_2_1 = subgroupMatrixLoad<Left, row_major>(&tile, left + 148u, 9u);
    let right_2_0 = subgroupMatrixLoad<Right, col_major>(&tile, right + 4u, 9u);
    sums_0_0 = subgroupMatrixMultiplyAccumulate(left_2_0, right_2_0, sums_0_0);
    sums_1_0 = subgroupMatrixMultiplyAccumulate(left_2_1, right_2_0, sums_1_0);
    let right_2_1 = subgroupMatrixLoad<Right, col_major>(&tile, right + 148u, 9u);
    sums_0_1 = subgroupMatrixMultiplyAccumulate(left_2_0, right_2_1, sums_0_1);
    sums_1_1 = subgroupMatrixMultiplyAccumulate(left_2_1, right_2_1, sums_1_1);
    let left_3_0 = subgroupMatrixLoad<Left, row_major>(&tile, left + 6u, 9u);
    let left_3_1 = subgroupMatrixLoad<Left, row_major>(&tile, left + 150u, 9u);
    let right_3_0 = subgroupMatrixLoad<Right, col_major>(&tile, right + 6u, 9u);
    sums_0_0 = subgroupMatrixMultiplyAccumulate(left_3_0, right_3_0, sums_0_0);
    sums_1_0 = subgroupMatrixMultiplyAccumulate(left_3_1, right_3_0, sums_1_0);
    let right_3_1 = subgroupMatrixLoad<Right, col_major>(&tile, right + 150u, 9u);
    sums_0_1 = subgroupMatrixMultiplyAccumulate(left_3_0, right_3_1, sums_0_1);
    sums_1_1 = subgroupMatrixMultiplyAccumulate(left_3_1, right_3_1, sums_1_1);
    workgroupBarrier();
  }
  subgroupMatrixStore<row_major>(&tile, subgroup * 128u + 0u, sums_0_0, 8u);
  subgroupMatrixStore<row_major>(&tile, subgroup * 128u + 4u, sums_0_1, 8u);
  workgroupBarrier();
  for (var e = t; e < 128u; e += 64u) {
    let owner = e / 64u;
    let row = (e / 4u) % 16u;
    let m = (owner / 2u) * 32u + 0u + row;
    let n = n_tile * 8u + (owner % 2u) * 4u + e % 4u;
    let origin = owner * 128u + row * 8u + e % 4u;
    if (m < count && n < 96u / 4u) { finish_0(start + m, n, staged_4(origin + 0u), staged_4(origin + 4u)); }
  }
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&tile, subgroup * 128u + 0u, sums_1_0, 8u);
  subgroupMatrixStore<row_major>(&tile, subgroup * 128u + 4u, sums_1_1, 8u);
  workgroupBarrier();
  for (var e = t; e < 128u; e += 64u) {
    let owner = e / 64u;
    let row = (e / 4u) % 16u;
    let m = (owner / 2u) * 32u + 16u + row;
    let n = n_tile * 8u + (owner % 2u) * 4u + e % 4u;
    let origin = owner * 128u + row * 8u + e % 4u;
    if (m < count && n < 96u / 4u) { finish_0(start + m, n, staged_4(origin + 0u), staged_4(origin + 4u)); }
  }
  workgroupBarrier();
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) t: u32, @builtin(subgroup_id) subgroup: u32) {
  let rows = u32((bitcast<i32>(scalars[0][0])));
  let m_tiles = (rows + 31u) / 32u;
  // Neighbours share columns of W, which come from memory; x stays in the cache.
  let group = group_index(id, groups);
  let n_tile = group / m_tiles;
  let start = (group % m_tiles) * 32u;
  let count = min(32u, rows - start);
  if (n_tile < 3u) { tile_0(start, count, 0u, 0u, n_tile - 0u, t, subgroup); }
}
