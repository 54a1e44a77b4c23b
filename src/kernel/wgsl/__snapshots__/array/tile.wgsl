// pass: tile of 3
@group(0) @binding(0) var<storage, read> x0: array<vec2<u32>>;
@group(0) @binding(1) var<storage, read> x1: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y0: array<vec4<f32>>;
@group(0) @binding(3) var<uniform> scalars: array<vec4<u32>, 16>;
fn group_index(id: vec3<u32>, count: vec3<u32>) -> u32 { return id.y * count.x + id.x; }
alias F = vec4<f32>;
alias I = vec4<i32>;
alias U = vec4<u32>;
alias B = vec4<bool>;
fn f16_at(word: u32, i: u32) -> f32 { return unpack2x16float(word)[i & 1u]; }
fn bf16_at(word: u32, i: u32) -> f32 { return bitcast<f32>(select(word << 16u, word & 0xffff0000u, (i & 1u) == 1u)); }
fn f16_quad(w: vec2<u32>) -> vec4<f32> {
  return vec4<f32>(f16_at(w.x, 0u), f16_at(w.x, 1u), f16_at(w.y, 0u), f16_at(w.y, 1u));
}
fn is_nan(x: F) -> B { return (bitcast<U>(x) & U(0x7fffffffu)) > U(0x7f800000u); }
fn pow2(n: I) -> F { return bitcast<F>((n + I(127)) << U(23u)); }
// e^r for |r| <= ln 2 / 2
fn exp_reduced(r: F) -> F {
  var p = 1.395047875e-3 * r + F(8.368884213e-3);
  p = p * r + F(4.166620597e-2);
  p = p * r + F(1.666651815e-1);
  p = p * r + F(0.5);
  return p * (r * r) + r + F(1.0);
}
fn exp_f32(x: F) -> F {
  let y = clamp(x, F(-105.0), F(89.0));
  let n = round(y * 1.44269504);
  let r = (y - n * 0.693359375) + n * 2.12194440e-4;
  let k = I(n);
  let half = k >> U(1u);
  return select(exp_reduced(r) * pow2(half) * pow2(k - half), x, is_nan(x));
}
fn silu_f32(x: F) -> F { return x / (F(1.0) + exp_f32(-x)); }
fn program(x0: F, x1: F) -> F {
  let c0 = F(bitcast<f32>(scalars[0][1]));
  let v0: F = silu_f32(x0);
  let v1: F = v0 * x1;
  let v2: F = v1 + c0;
  return v2;
}
fn place_1(e: u32) -> u32 {
  var rest = e;
  var at = 0u;
  at += (rest % u32(64i)) * u32(1i);
  return at;
}

fn load_0(q: u32, start: u32, count: u32) -> F {
  let e = q * 4u;
  return f16_quad(x0[q]);
}
fn load_1(q: u32, start: u32, count: u32) -> F {
  let e = q * 4u;
  return x1[place_1(start + e) >> 2u];
}
fn finish(q: u32, count: u32, v0: F, v1: F) {
  let e = q * 4u;
  if (e >= count) { return; }
  let y = program(v0, v1);
  y0[q] = y;
}
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let total = u32((bitcast<i32>(scalars[0][0]) * 64i));
  let start = min(0u, total);
  let count = min(total - start, 1024u);
  let first = group_index(id, groups) * 256u + t;
  if (first * 4u >= count) { return; }
  let last = (count - 1u) / 4u;
  let q0 = min(first + 0u, last);
  let v0_0 = load_0(q0, start, count);
  let v1_0 = load_1(q0, start, count);
  finish(first + 0u, count, v0_0, v1_0);
}
