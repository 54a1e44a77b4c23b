// pass: gather
@group(0) @binding(0) var<storage, read> x: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> indices: array<i32>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> status: array<atomic<u32>>;
@group(0) @binding(4) var<uniform> scalars: array<vec4<u32>, 16>;
fn group_index(id: vec3<u32>, count: vec3<u32>) -> u32 { return id.y * count.x + id.x; }
// where element `item` of y comes from
fn source(item: u32) -> u32 {
  let inner = u32(3i);
  let row = item / inner;
  let n = u32(5i);
  let D = (bitcast<i32>(scalars[0][0]));
  let given = indices[row % n];
  let index = given + select(0, D, given < 0);
  if (index < 0 || index >= D) {
    if (atomicCompareExchangeWeak(&status[0], 0u, 1u).exchanged) { atomicStore(&status[1], u32(given)); }
    return 0u;
  }
  return ((row / n) * u32(D) + u32(index)) * inner + item % inner;
}
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let total = u32(2i) * u32(5i) * u32(3i);
  let item = group_index(id, groups) * 256u + t;
  if (item < total) { y[item] = x[source(item)]; }
}
