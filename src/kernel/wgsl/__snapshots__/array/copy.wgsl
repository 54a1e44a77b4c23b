// pass: copy words
@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
@group(0) @binding(2) var<uniform> scalars: array<vec4<u32>, 16>;
fn group_index(id: vec3<u32>, count: vec3<u32>) -> u32 { return id.y * count.x + id.x; }
const nowhere = 0xffffffffu;
// where the element comes from that lands `rest` after the first
fn source(place: u32) -> u32 {
  var rest = place;
  var src = u32(0i);
  let i0 = rest / u32(7i);
  if (i0 >= u32(5i)) { return nowhere; }
  rest -= i0 * u32(7i);
  src += i0 * u32(1i);
  let i1 = rest / u32(1i);
  if (i1 >= u32(7i)) { return nowhere; }
  rest -= i1 * u32(1i);
  src += i1 * u32(5i);
  return select(src, nowhere, rest > 0u);
}
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let first = u32(3i);
  let end = first + 1u + (u32(5i) - 1u) * u32(7i) + (u32(7i) - 1u) * u32(1i);
  let word = first / 2u + group_index(id, groups) * 256u + t;
  if (word * 2u >= end) { return; }
  var value = y[word];
  for (var k = 0u; k < 2u; k++) {
    let dst = word * 2u + k;
    if (dst < first || dst >= end) { continue; }
    let src = source(dst - first);
    if (src == nowhere) { continue; }
    let bits = extractBits(x[src / 2u], (src % 2u) * 16u, 16u);
    value = insertBits(value, bits, k * 16u, 16u);
  }
  y[word] = value;
}
