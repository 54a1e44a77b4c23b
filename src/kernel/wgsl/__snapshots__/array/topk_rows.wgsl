// pass: sort blocks of 2048
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> keys_out: array<vec2<u32>>;
@group(0) @binding(2) var<uniform> scalars: array<vec4<u32>, 16>;
fn group_index(id: vec3<u32>, count: vec3<u32>) -> u32 { return id.y * count.x + id.x; }
fn before(a: vec2<u32>, b: vec2<u32>) -> bool { return a.x < b.x || (a.x == b.x && a.y < b.y); }
fn ordered_key(x: f32) -> u32 {
  let bits = bitcast<u32>(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) { return 0xffffffffu; }
  if ((bits & 0x7fffffffu) == 0u) { return 0x80000000u; }
  return select(bits | 0x80000000u, ~bits, (bits >> 31u) == 1u);
}
fn key_of(at: u32, place: u32) -> vec2<u32> {
  let key = ordered_key(x[at]);
  return vec2<u32>(select(key, ~key, 1i != 0i), place);
}

var<workgroup> keys: array<vec2<u32>, 2048>;
// where a key goes when its run and the neighbouring one become one: its own place, and those of the other before it
fn merged_place(i: u32, run: u32, key: vec2<u32>) -> u32 {
  let pair = i & ~(2u * run - 1u);
  let other = pair + select(0u, run, (i & run) == 0u);
  var low = 0u;
  var high = run;
  while (low < high) {
    let middle = (low + high) >> 1u;
    if (before(keys[other + middle], key)) { low = middle + 1u; } else { high = middle; }
  }
  return pair + (i & (run - 1u)) + low;
}
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let group = group_index(id, groups);
  let row = group / 5u;
  let start = (group % 5u) * 2048u;
  let start_kept = (group % 5u) * 40u;
  let length = select(0u, min(10000u - start, 2048u), row < u32((bitcast<i32>(scalars[0][0]))));
  var own: array<vec2<u32>, 8>;
  var place: array<u32, 8>;
  for (var i = t; i < 2048u; i += 256u) {
    var key = vec2<u32>(0xffffffffu, 0x80000000u | i); // behind all others
    if (i < length) { key = key_of(row * 10000u + start + i, start + i); }
    keys[i] = key;
  }
  for (var run = 1u; run < 2048u; run <<= 1u) {
    workgroupBarrier();
    for (var j = 0u; j < 8u; j++) {
      let i = t + j * 256u;
      own[j] = keys[i];
      place[j] = merged_place(i, run, own[j]);
    }
    workgroupBarrier();
    for (var j = 0u; j < 8u; j++) { keys[place[j]] = own[j]; }
  }
  workgroupBarrier();
  for (var i = t; i < min(length, 40u); i += 256u) {
    keys_out[row * 200u + start_kept + i] = keys[i];
  }
}

// pass: sort blocks of 256
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> keys_in: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read_write> values: array<f32>;
@group(0) @binding(3) var<storage, read_write> indices: array<i32>;
@group(0) @binding(4) var<uniform> scalars: array<vec4<u32>, 16>;
fn group_index(id: vec3<u32>, count: vec3<u32>) -> u32 { return id.y * count.x + id.x; }
fn before(a: vec2<u32>, b: vec2<u32>) -> bool { return a.x < b.x || (a.x == b.x && a.y < b.y); }
fn put(at: u32, row: u32, key: vec2<u32>) {
  values[at] = x[row * 10000u + key.y];
  indices[at] = i32(key.y);
}

var<workgroup> keys: array<vec2<u32>, 256>;
// where a key goes when its run and the neighbouring one become one: its own place, and those of the other before it
fn merged_place(i: u32, run: u32, key: vec2<u32>) -> u32 {
  let pair = i & ~(2u * run - 1u);
  let other = pair + select(0u, run, (i & run) == 0u);
  var low = 0u;
  var high = run;
  while (low < high) {
    let middle = (low + high) >> 1u;
    if (before(keys[other + middle], key)) { low = middle + 1u; } else { high = middle; }
  }
  return pair + (i & (run - 1u)) + low;
}
@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let group = group_index(id, groups);
  let row = group / 1u;
  let start = (group % 1u) * 2048u;
  let start_kept = (group % 1u) * 40u;
  let length = select(0u, min(200u - start, 256u), row < u32((bitcast<i32>(scalars[0][0]))));
  var own: array<vec2<u32>, 2>;
  var place: array<u32, 2>;
  for (var i = t; i < 256u; i += 128u) {
    var key = vec2<u32>(0xffffffffu, 0x80000000u | i); // behind all others
    if (i < length) { key = keys_in[row * 200u + start + i]; }
    keys[i] = key;
  }
  for (var run = 1u; run < 256u; run <<= 1u) {
    workgroupBarrier();
    for (var j = 0u; j < 2u; j++) {
      let i = t + j * 128u;
      own[j] = keys[i];
      place[j] = merged_place(i, run, own[j]);
    }
    workgroupBarrier();
    for (var j = 0u; j < 2u; j++) { keys[place[j]] = own[j]; }
  }
  workgroupBarrier();
  for (var i = t; i < min(length, 40u); i += 128u) {
    put(row * 40u + start_kept + i, row, keys[i]);
  }
}
