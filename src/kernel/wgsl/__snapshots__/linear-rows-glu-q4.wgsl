enable subgroups;
@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> norm_weight: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> w0: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> w0_up: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read_write> y0: array<f32>;
@group(0) @binding(5) var<uniform> scalars: array<vec4<u32>, 16>;
fn group_index(id: vec3<u32>, count: vec3<u32>) -> u32 { return id.y * count.x + id.x; }
struct Codes { a: vec4<u32>, b: vec4<u32> }
alias Octet = array<vec4<f32>, 8>;
fn f16x4(p: vec2<u32>) -> vec4<f32> { return vec4<f32>(unpack2x16float(p.x), unpack2x16float(p.y)); }
fn bf16x4(p: vec2<u32>) -> vec4<f32> {
  return bitcast<vec4<f32>>(vec4<u32>(p.x << 16u, p.x & 0xffff0000u, p.y << 16u, p.y & 0xffff0000u));
}
fn half_of(v: vec4<u32>, odd: u32) -> vec2<u32> { return select(v.xy, v.zw, odd == 1u); }
fn bf16_of(v: vec4<u32>, odd: u32) -> vec4<f32> {
  return bitcast<vec4<f32>>(select(v << vec4<u32>(16u), v & vec4<u32>(0xffff0000u), odd == 1u));
}
fn u8x4(word: u32) -> vec4<f32> { return vec4<f32>((vec4<u32>(word) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(255u)); }
fn i8x4(word: u32) -> vec4<f32> { return vec4<f32>((vec4<i32>(bitcast<i32>(word)) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u)); }
fn e8m0x4(word: u32) -> vec4<f32> {
  let e = (vec4<i32>(bitcast<vec4<i32>>(vec4<u32>(word) >> vec4<u32>(0u, 8u, 16u, 24u)))) & vec4<i32>(255);
  return bitcast<vec4<f32>>(max((e - 1) << vec4<u32>(23u), (e + 1) << vec4<u32>(21u)));
}
fn e4m3_of(v: vec4<u32>, shift: u32) -> vec4<f32> {
  let byte = v >> vec4<u32>(shift);
  let magnitude = byte & vec4<u32>(127u);
  let normal = (magnitude << vec4<u32>(20u)) + vec4<u32>(0x3c000000u);
  let small = bitcast<vec4<u32>>(vec4<f32>(magnitude) * 0.001953125);
  return bitcast<vec4<f32>>(select(normal, small, magnitude < vec4<u32>(8u)) | ((byte & vec4<u32>(128u)) << vec4<u32>(24u)));
}
fn e4m3x4(word: u32) -> vec4<f32> { return e4m3_of(vec4<u32>(word) >> vec4<u32>(0u, 8u, 16u, 24u), 0u); }
fn small_code(v: vec4<u32>, shift: u32) -> vec4<f32> { return vec4<f32>((v >> vec4<u32>(shift)) & vec4<u32>(255u)); }
fn signed_code(v: vec4<u32>, shift: u32) -> vec4<f32> { return vec4<f32>((bitcast<vec4<i32>>(v) << vec4<u32>(24u - shift)) >> vec4<u32>(24u)); }
fn w0_codes(panel: u32, quad: u32, octet: u32) -> Codes {
  let at = panel * 1152u;
  let block = at + (octet >> 2u) * 16u + quad;
  let v = w0[block + (octet & 3u) * 4u];
  var a = v & vec4<u32>(0x0f0f0f0fu);
  var b = (v >> vec4<u32>(4u)) & vec4<u32>(0x0f0f0f0fu);
  return Codes(a, b);
}
fn w0_meta(panel: u32, octet: u32) -> u32 {
  return panel * 1152u + 1024u + (octet / 4u) * 2u;
}
fn w0_scale(panel: u32, quad: u32, octet: u32) -> vec4<f32> {
  let at = w0_meta(panel, octet);
  return f16x4(half_of(w0[at + 0u + (quad >> 1u)], quad & 1u));
}
fn w0_raw(panel: u32, quad: u32, octet: u32) -> Octet {
  let c = w0_codes(panel, quad, octet);
  return Octet(small_code(c.a, 0u), small_code(c.a, 8u), small_code(c.a, 16u), small_code(c.a, 24u), small_code(c.b, 0u), small_code(c.b, 8u), small_code(c.b, 16u), small_code(c.b, 24u));
}
fn w0_offset(panel: u32, quad: u32, octet: u32) -> vec4<f32> {
  let at = w0_meta(panel, octet);
  return -8.0 * f16x4(half_of(w0[at + 0u + (quad >> 1u)], quad & 1u));
}
fn w0_values(panel: u32, quad: u32, octet: u32) -> Octet {
  let q = w0_raw(panel, quad, octet);
  let s = w0_scale(panel, quad, octet);
  return Octet(s * (q[0] + -8.0), s * (q[1] + -8.0), s * (q[2] + -8.0), s * (q[3] + -8.0), s * (q[4] + -8.0), s * (q[5] + -8.0), s * (q[6] + -8.0), s * (q[7] + -8.0));
}
fn w0_up_codes(panel: u32, quad: u32, octet: u32) -> Codes {
  let at = panel * 1152u;
  let block = at + (octet >> 2u) * 16u + quad;
  let v = w0_up[block + (octet & 3u) * 4u];
  var a = v & vec4<u32>(0x0f0f0f0fu);
  var b = (v >> vec4<u32>(4u)) & vec4<u32>(0x0f0f0f0fu);
  return Codes(a, b);
}
fn w0_up_meta(panel: u32, octet: u32) -> u32 {
  return panel * 1152u + 1024u + (octet / 4u) * 2u;
}
fn w0_up_scale(panel: u32, quad: u32, octet: u32) -> vec4<f32> {
  let at = w0_up_meta(panel, octet);
  return f16x4(half_of(w0_up[at + 0u + (quad >> 1u)], quad & 1u));
}
fn w0_up_raw(panel: u32, quad: u32, octet: u32) -> Octet {
  let c = w0_up_codes(panel, quad, octet);
  return Octet(small_code(c.a, 0u), small_code(c.a, 8u), small_code(c.a, 16u), small_code(c.a, 24u), small_code(c.b, 0u), small_code(c.b, 8u), small_code(c.b, 16u), small_code(c.b, 24u));
}
fn w0_up_offset(panel: u32, quad: u32, octet: u32) -> vec4<f32> {
  let at = w0_up_meta(panel, octet);
  return -8.0 * f16x4(half_of(w0_up[at + 0u + (quad >> 1u)], quad & 1u));
}
fn w0_up_values(panel: u32, quad: u32, octet: u32) -> Octet {
  let q = w0_up_raw(panel, quad, octet);
  let s = w0_up_scale(panel, quad, octet);
  return Octet(s * (q[0] + -8.0), s * (q[1] + -8.0), s * (q[2] + -8.0), s * (q[3] + -8.0), s * (q[4] + -8.0), s * (q[5] + -8.0), s * (q[6] + -8.0), s * (q[7] + -8.0));
}
struct Eight { a: vec4<f32>, b: vec4<f32> }
fn squares_of(v: Eight) -> f32 { return dot(v.a, v.a) + dot(v.b, v.b); }
fn scaled(v: Eight, norm: f32, w: Eight) -> Eight { return Eight(v.a * norm * w.a, v.b * norm * w.b); }
fn x_eight(row: u32, octet: u32) -> Eight {
  let at = row * 512u + octet * 2u;
  return Eight(x[at], x[at + 1u]);
}
fn x_octet(row: u32, octet: u32) -> Eight {
  return x_eight(row, octet);
}
fn norm_weight_eight(row: u32, octet: u32) -> Eight {
  let at = row * 512u + octet * 2u;
  return Eight(norm_weight[at], norm_weight[at + 1u]);
}
fn norm_octet(octet: u32) -> Eight {
  let w = norm_weight_eight(0u, octet);
  return w;
}
fn glu(gate: f32, up: f32) -> f32 { return gate / (1.0 + exp(-gate)) * up; }
var<workgroup> x_codes: array<vec2<u32>, 256>;
var<workgroup> x_scales: array<f32, 64>;
var<workgroup> row_cells: array<f32, 8>;
fn row_sum(value: f32, t: u32, size: u32) -> f32 {
  let own = subgroupAdd(value);
  if (t % size == 0u) { row_cells[t / size] = own; }
  workgroupBarrier();
  var sum = 0.0;
  for (var i = 0u; i < 256u / size; i++) { sum += row_cells[i]; }
  return sum;
}
fn store_octet(i: u32, v: Eight, t: u32) {
  let most = max(bitcast<vec4<u32>>(abs(v.a)), bitcast<vec4<u32>>(abs(v.b)));
  let own = max(max(most.x, most.y), max(most.z, most.w));
  let pair = max(own, subgroupShuffleXor(own, 1u));
  let bits = max(pair, subgroupShuffleXor(pair, 2u));
  let peak = bitcast<f32>(bits);
  let inverse = select(0.0, 127.0 / peak, bits > 0x04000000u);
  if (i < 256u) {
    let a = v.a * inverse;
    let b = v.b * inverse;
    x_codes[i] = vec2<u32>(pack4xI8(vec4<i32>(round(a))), pack4xI8(vec4<i32>(round(b))));
    if ((i & 3u) == 0u) { x_scales[i >> 2u] = peak * 0.007874015748031496; }
  }
}
fn stage(first_row: u32, first_octet: u32, t: u32, size: u32) {
  var v0 = x_octet(first_row, t);
  let w0 = norm_octet(t);
  let norm = inverseSqrt(row_sum(squares_of(v0), t, size) / 2048.0 + 0.000009999999747378752f);
  store_octet(t, scaled(v0, norm, w0), t);
  workgroupBarrier();
}
var<workgroup> sums: array<vec4<f32>, 64>;
fn total(team: u32, value: u32, row: u32, size: u32) -> f32 {
  let parts = 256u / size;
  var sum = 0.0;
  for (var i = 0u; i < parts; i++) { sum += sums[((team * parts + i) * 2u + value) * 4u + (row >> 2u)][row & 3u]; }
  return sum;
}
fn dots(w: vec4<u32>, x: u32) -> vec4<i32> {
  return vec4<i32>(dot4I8Packed(w.x, x), dot4I8Packed(w.y, x), dot4I8Packed(w.z, x), dot4I8Packed(w.w, x));
}
fn code_sum(x: vec2<u32>) -> i32 { return dot4I8Packed(x.x, 0x01010101u) + dot4I8Packed(x.y, 0x01010101u); }
fn output_0(group: u32, first_row: u32, t: u32, size: u32) {
  let team = t / 256u;
  let lane = t % 256u;
  let quad = lane & 3u;
  {
    let p = min(group * 1u + team, 127u);
    var acc_0_0 = vec4<f32>();
    var acc_1_0 = vec4<f32>();
    let first_octet = 0u;
    let step = 0u;
    let u0 = (step) * 64u + (lane >> 2u);
    let p0 = p;
    let o0 = first_octet + u0;
    let u1 = (step + 1u) * 64u + (lane >> 2u);
    let p1 = p;
    let o1 = first_octet + u1;
    let s0_0 = w0_scale(p0, quad, o0);
    let c0_0_0 = w0_codes(p0, quad, o0);
    let s1_0 = w0_up_scale(p0, quad, o0);
    let c1_0_0 = w0_up_codes(p0, quad, o0);
    let s0_1 = w0_scale(p1, quad, o1);
    let c0_1_0 = w0_codes(p1, quad, o1);
    let s1_1 = w0_up_scale(p1, quad, o1);
    let c1_1_0 = w0_up_codes(p1, quad, o1);
    stage(first_row, 0u, t, size);
    {
      let x_at = u0;
      let x0 = x_codes[x_at];
      let x_scale = x_scales[x_at >> 2u];
      let x_sum = code_sum(x0);
      acc_0_0 += s0_0 * x_scale * vec4<f32>(dots(c0_0_0.a, x0.x) + dots(c0_0_0.b, x0.y) + vec4<i32>(-8 * x_sum));
      acc_1_0 += s1_0 * x_scale * vec4<f32>(dots(c1_0_0.a, x0.x) + dots(c1_0_0.b, x0.y) + vec4<i32>(-8 * x_sum));
    }
    {
      let x_at = u1;
      let x0 = x_codes[x_at];
      let x_scale = x_scales[x_at >> 2u];
      let x_sum = code_sum(x0);
      acc_0_0 += s0_1 * x_scale * vec4<f32>(dots(c0_1_0.a, x0.x) + dots(c0_1_0.b, x0.y) + vec4<i32>(-8 * x_sum));
      acc_1_0 += s1_1 * x_scale * vec4<f32>(dots(c1_1_0.a, x0.x) + dots(c1_1_0.b, x0.y) + vec4<i32>(-8 * x_sum));
    }
    for (var step = 2u; step < 4u; step += 2u) {
    let u0 = (step) * 64u + (lane >> 2u);
    let p0 = p;
    let o0 = first_octet + u0;
    let u1 = (step + 1u) * 64u + (lane >> 2u);
    let p1 = p;
    let o1 = first_octet + u1;
    let s0_0 = w0_scale(p0, quad, o0);
    let c0_0_0 = w0_codes(p0, quad, o0);
    let s1_0 = w0_up_scale(p0, quad, o0);
    let c1_0_0 = w0_up_codes(p0, quad, o0);
    let s0_1 = w0_scale(p1, quad, o1);
    let c0_1_0 = w0_codes(p1, quad, o1);
    let s1_1 = w0_up_scale(p1, quad, o1);
    let c1_1_0 = w0_up_codes(p1, quad, o1);
    {
      let x_at = u0;
      let x0 = x_codes[x_at];
      let x_scale = x_scales[x_at >> 2u];
      let x_sum = code_sum(x0);
      acc_0_0 += s0_0 * x_scale * vec4<f32>(dots(c0_0_0.a, x0.x) + dots(c0_0_0.b, x0.y) + vec4<i32>(-8 * x_sum));
      acc_1_0 += s1_0 * x_scale * vec4<f32>(dots(c1_0_0.a, x0.x) + dots(c1_0_0.b, x0.y) + vec4<i32>(-8 * x_sum));
    }
    {
      let x_at = u1;
      let x0 = x_codes[x_at];
      let x_scale = x_scales[x_at >> 2u];
      let x_sum = code_sum(x0);
      acc_0_0 += s0_1 * x_scale * vec4<f32>(dots(c0_1_0.a, x0.x) + dots(c0_1_0.b, x0.y) + vec4<i32>(-8 * x_sum));
      acc_1_0 += s1_1 * x_scale * vec4<f32>(dots(c1_1_0.a, x0.x) + dots(c1_1_0.b, x0.y) + vec4<i32>(-8 * x_sum));
    }
    }
    acc_0_0 += subgroupShuffleXor(acc_0_0, 4u);
    acc_1_0 += subgroupShuffleXor(acc_1_0, 4u);
    acc_0_0 += subgroupShuffleXor(acc_0_0, 8u);
    acc_1_0 += subgroupShuffleXor(acc_1_0, 8u);
    acc_0_0 += subgroupShuffleXor(acc_0_0, 16u);
    acc_1_0 += subgroupShuffleXor(acc_1_0, 16u);
    if (t % size < 4u) {
      sums[(t / size * 2u + 0u) * 4u + (t & 3u)] = acc_0_0;
      sums[(t / size * 2u + 1u) * 4u + (t & 3u)] = acc_1_0;
    }
    workgroupBarrier();
    for (var i = t; i < 16u; i += 256u) {
      let r = i / 16u % 1u;
      let panel = group * 1u + i / 16u;
      let n = panel * 16u + i % 16u;
      let row = first_row + r;
      let v0 = total(i / 16u, 0u + r, i % 16u, size);
      let v1 = total(i / 16u, 1u + r, i % 16u, size);
      if (panel < 128u && row < u32(1i)) { let column = n; y0[row * 2048u + column] = glu(v0, v1); }
    }
  }
}
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let index = group_index(id, count);
  let first_row = index / 128u * 1u;
  let group = index % 128u;
  if (first_row >= u32(1i)) { return; }
  let size = 32u;
  { output_0(group - 0u, first_row, t, size); }
}
