// pass: scatter_add start
@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@group(0) @binding(1) var<storage, read_write> links: array<i32>;
@group(0) @binding(2) var<uniform> scalars: array<vec4<u32>, 16>;
fn group_index(id: vec3<u32>, count: vec3<u32>) -> u32 { return id.y * count.x + id.x; }
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let item = group_index(id, groups) * 256u + t;
  if (item < u32(100i) * u32(8i)) { y[item] = 0u; }
  if (item < u32((bitcast<i32>(scalars[0][0])))) { links[2u * item + 1u] = 1; }
}

// pass: scatter_add links
@group(0) @binding(0) var<storage, read> indices: array<i32>;
@group(0) @binding(1) var<storage, read_write> links: array<i32>;
@group(0) @binding(2) var<storage, read_write> status: array<atomic<u32>>;
@group(0) @binding(3) var<uniform> scalars: array<vec4<u32>, 16>;
fn group_index(id: vec3<u32>, count: vec3<u32>) -> u32 { return id.y * count.x + id.x; }
fn row_of(place: u32) -> i32 {
  let index = indices[place];
  return index + select(0, 100i, index < 0);
}
fn row_or_none(place: u32, n: u32) -> i32 { return select(-1, row_of(min(place, n - 1u)), place < n); }
var<workgroup> rows: array<vec4<i32>, 64>;
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let item = group_index(id, groups) * 256u + t;
  let n = u32((bitcast<i32>(scalars[0][0])));
  let index = row_or_none(item, n);
  let valid = item < n && index >= 0 && index < 100i;
  if (item < n && !valid) {
    if (atomicCompareExchangeWeak(&status[0], 0u, 4u).exchanged) { atomicStore(&status[1], u32(indices[item])); }
    links[2u * item + 1u] = 0;
  }
  var next = n;
  for (var tile = group_index(id, groups) * 256u; tile < n; tile += 256u) {
    workgroupBarrier();
    if (t < 64u) {
      let at = tile + 4u * t;
      rows[t] = vec4<i32>(row_or_none(at, n), row_or_none(at + 1u, n), row_or_none(at + 2u, n), row_or_none(at + 3u, n));
    }
    workgroupBarrier();
    for (var j = 0u; valid && next == n && j < 64u; j++) {
      let places = vec4<u32>(tile + 4u * j) + vec4<u32>(0u, 1u, 2u, 3u);
      let hits = (rows[j] == vec4<i32>(index)) & (places > vec4<u32>(item));
      if (any(hits)) { next = select(select(select(places.w, places.z, hits.z), places.y, hits.y), places.x, hits.x); }
    }
  }
  if (!valid) { return; }
  links[2u * item] = select(-1, i32(next), next < n);
  if (next < n) { links[2u * next + 1u] = 0; }
}

// pass: scatter_add
@group(0) @binding(0) var<storage, read> updates: array<f32>;
@group(0) @binding(1) var<storage, read> indices: array<i32>;
@group(0) @binding(2) var<storage, read> links: array<i32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> scalars: array<vec4<u32>, 16>;
fn group_index(id: vec3<u32>, count: vec3<u32>) -> u32 { return id.y * count.x + id.x; }
fn row_of(place: u32) -> i32 {
  let index = indices[place];
  return index + select(0, 100i, index < 0);
}
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let item = group_index(id, groups) * 256u + t;
  let inner = u32(8i);
  if (item >= u32((bitcast<i32>(scalars[0][0]))) * inner) { return; }
  let column = item % inner;
  var place = i32(item / inner);
  if (links[2 * place + 1] == 0) { return; }
  let to = u32(row_of(u32(place))) * inner + column;
  var sum = f32(0);
  while (place >= 0) {
    sum += updates[u32(place) * inner + column];
    place = links[2 * place];
  }
  y[to] = sum;
}
