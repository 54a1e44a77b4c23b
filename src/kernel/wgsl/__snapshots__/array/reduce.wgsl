// pass: reduce argmax
@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> parts: array<u32>;
@group(0) @binding(2) var<uniform> scalars: array<vec4<u32>, 16>;
fn group_index(id: vec3<u32>, count: vec3<u32>) -> u32 { return id.y * count.x + id.x; }
alias F = f32;
alias I = i32;
alias U = u32;
alias B = bool;
fn is_nan(x: F) -> B { return (bitcast<U>(x) & U(0x7fffffffu)) > U(0x7f800000u); }
struct State { s0: f32, s1: i32 }
struct Start_valuesResult { r0: F, r1: I }
fn start_values() -> Start_valuesResult {
  let c0 = F(0.0f);
  let c1 = I(i32(-1));
  return Start_valuesResult(c0, c1);
}
struct Lift_valuesResult { r0: F, r1: I }
fn lift_values(x0: F, x1: I) -> Lift_valuesResult {
  return Lift_valuesResult(x0, x1);
}
struct Join_valuesResult { r0: F, r1: I }
fn join_values(x0: F, x1: I, x2: F, x3: I) -> Join_valuesResult {
  let c0 = I(i32(0));
  let v0: B = x1 < c0;
  let v1: B = x3 >= c0;
  let v2: B = x2 > x0;
  let v3: B = is_nan(x2);
  let v4: B = is_nan(x0);
  let v5: B = !v4;
  let v6: B = v3 & v5;
  let v7: B = v2 | v6;
  let v8: B = x0 > x2;
  let v9: B = !v3;
  let v10: B = v4 & v9;
  let v11: B = v8 | v10;
  let v12: B = v11 | v7;
  let v13: B = !v12;
  let v14: B = x3 < x1;
  let v15: B = v13 & v14;
  let v16: B = v7 | v15;
  let v17: B = v1 & v16;
  let v18: B = v0 | v17;
  let v19: F = select(x0, x2, v18);
  let v20: I = select(x1, x3, v18);
  return Join_valuesResult(v19, v20);
}
fn finish_value(x0: F, x1: I, x2: F) -> I {
  return x1;
}

fn start() -> State { let r = start_values(); return State(r.r0, r.r1); }
fn lifted(x: f32, place: i32) -> State { let r = lift_values(x, place); return State(r.r0, r.r1); }
fn joined(a: State, b: State) -> State { let r = join_values(a.s0, a.s1, b.s0, b.s1); return State(r.r0, r.r1); }
fn finished(a: State, n: f32) -> i32 { return finish_value(a.s0, a.s1, n); }

var<workgroup> cells: array<State, 256>;
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let lines = u32(1i) * u32(1i);
  let inner = u32(1i);
  let length = u32(100000i);
  let group = group_index(id, groups);
  let chunk = group % 24u;
  let first_line = (group / 24u) * 1u;
  let own = t / 256u;
  let part = t % 256u;
  let line = first_line + own;
  let chunk_length = ((length + 95u) / 96u) * 4u;
  let first = min(chunk * chunk_length, length);
  let last = min(first + chunk_length, length);
  var state = start();
  if (line < lines) {
    let base = (line / inner) * length * inner + line % inner;
    var d = first / 4u + part;
    for (; d + 256u < last / 4u; d += 512u) {
      let v0 = x[base / 4u + d];
      let v1 = x[base / 4u + d + 256u];
      state = joined(state, lifted(v0.x, i32(d * 4u + 0u))); state = joined(state, lifted(v0.y, i32(d * 4u + 1u))); state = joined(state, lifted(v0.z, i32(d * 4u + 2u))); state = joined(state, lifted(v0.w, i32(d * 4u + 3u)));
      state = joined(state, lifted(v1.x, i32((d + 256u) * 4u + 0u))); state = joined(state, lifted(v1.y, i32((d + 256u) * 4u + 1u))); state = joined(state, lifted(v1.z, i32((d + 256u) * 4u + 2u))); state = joined(state, lifted(v1.w, i32((d + 256u) * 4u + 3u)));
    }
    if (d < last / 4u) {
      let v0 = x[base / 4u + d];
      state = joined(state, lifted(v0.x, i32(d * 4u + 0u))); state = joined(state, lifted(v0.y, i32(d * 4u + 1u))); state = joined(state, lifted(v0.z, i32(d * 4u + 2u))); state = joined(state, lifted(v0.w, i32(d * 4u + 3u)));
    }
  }
  let cell = part * 1u + own;
  cells[cell] = state;
  for (var half = 128u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (part < half) { cells[cell] = joined(cells[cell], cells[cell + half * 1u]); }
  }
  workgroupBarrier();
  if (part == 0u && line < lines) {
    parts[(0u + chunk) * lines + line] = bitcast<u32>(cells[own].s0);
    parts[(24u + chunk) * lines + line] = bitcast<u32>(cells[own].s1);
  }
}

// pass: reduce argmax join
@group(0) @binding(0) var<storage, read> parts: array<u32>;
@group(0) @binding(1) var<storage, read_write> y: array<i32>;
@group(0) @binding(2) var<uniform> scalars: array<vec4<u32>, 16>;
fn group_index(id: vec3<u32>, count: vec3<u32>) -> u32 { return id.y * count.x + id.x; }
alias F = f32;
alias I = i32;
alias U = u32;
alias B = bool;
fn is_nan(x: F) -> B { return (bitcast<U>(x) & U(0x7fffffffu)) > U(0x7f800000u); }
struct State { s0: f32, s1: i32 }
struct Start_valuesResult { r0: F, r1: I }
fn start_values() -> Start_valuesResult {
  let c0 = F(0.0f);
  let c1 = I(i32(-1));
  return Start_valuesResult(c0, c1);
}
struct Lift_valuesResult { r0: F, r1: I }
fn lift_values(x0: F, x1: I) -> Lift_valuesResult {
  return Lift_valuesResult(x0, x1);
}
struct Join_valuesResult { r0: F, r1: I }
fn join_values(x0: F, x1: I, x2: F, x3: I) -> Join_valuesResult {
  let c0 = I(i32(0));
  let v0: B = x1 < c0;
  let v1: B = x3 >= c0;
  let v2: B = x2 > x0;
  let v3: B = is_nan(x2);
  let v4: B = is_nan(x0);
  let v5: B = !v4;
  let v6: B = v3 & v5;
  let v7: B = v2 | v6;
  let v8: B = x0 > x2;
  let v9: B = !v3;
  let v10: B = v4 & v9;
  let v11: B = v8 | v10;
  let v12: B = v11 | v7;
  let v13: B = !v12;
  let v14: B = x3 < x1;
  let v15: B = v13 & v14;
  let v16: B = v7 | v15;
  let v17: B = v1 & v16;
  let v18: B = v0 | v17;
  let v19: F = select(x0, x2, v18);
  let v20: I = select(x1, x3, v18);
  return Join_valuesResult(v19, v20);
}
fn finish_value(x0: F, x1: I, x2: F) -> I {
  return x1;
}

fn start() -> State { let r = start_values(); return State(r.r0, r.r1); }
fn lifted(x: f32, place: i32) -> State { let r = lift_values(x, place); return State(r.r0, r.r1); }
fn joined(a: State, b: State) -> State { let r = join_values(a.s0, a.s1, b.s0, b.s1); return State(r.r0, r.r1); }
fn finished(a: State, n: f32) -> i32 { return finish_value(a.s0, a.s1, n); }
fn part_at(chunk: u32, line: u32, lines: u32) -> State { return State(bitcast<f32>(parts[(0u + chunk) * lines + line]), bitcast<i32>(parts[(24u + chunk) * lines + line])); }

var<workgroup> cells: array<State, 256>;
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let lines = (u32(1i) * u32(1i));
  let inner = (u32(1i) * u32(1i));
  let length = u32(100000i);
  let group = group_index(id, groups);
  let chunk = group % 1u;
  let first_line = (group / 1u) * 8u;
  let own = t % 8u;
  let part = t / 8u;
  let line = first_line + own;
  let chunk_length = ((length + 0u) / 1u) * 1u;
  let first = min(chunk * chunk_length, length);
  let last = min(first + chunk_length, length);
  var state = start();
  if (line < lines) {
    let base = (line / inner) * length * inner + line % inner;
    for (var d = part; d < 24u; d += 32u) { state = joined(state, part_at(d, line, lines)); }
  }
  let cell = part * 8u + own;
  cells[cell] = state;
  for (var half = 16u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (part < half) { cells[cell] = joined(cells[cell], cells[cell + half * 8u]); }
  }
  workgroupBarrier();
  if (t < 8u && first_line + t < lines) { y[first_line + t] = finished(cells[1u * t + 0u], f32(length)); }
}
