@group(0) @binding(0) var<storage, read> positions: array<i32>;
@group(0) @binding(1) var<storage, read> sequences: array<i32>;
@group(0) @binding(2) var<storage, read> partial: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> scalars: array<vec4<u32>, 16>;
fn group_index(id: vec3<u32>, count: vec3<u32>) -> u32 { return id.y * count.x + id.x; }
fn row_taken(row: u32) -> bool {
  let own = sequences[row];
  let before = row > 0u && sequences[max(row, 1u) - 1u] == own;
  let after = row + 1u < u32((bitcast<i32>(scalars[0][0]))) && sequences[min(row + 1u, u32((bitcast<i32>(scalars[0][0]))) - 1u)] == own;
  return !(before || after);
}
fn first_key(position: i32) -> i32 { return 0; }
fn last_key(row: u32) -> i32 { return clamp(positions[row], 0, 8191); }
struct Chunks { first: i32, count: i32, per_split: i32 }
fn chunks_of(position: i32) -> Chunks {
  let first = first_key(position) / 64 * 64;
  let count = (position - first) / 64 + 1;
  return Chunks(first, count, (count + 31) / 32);
}

const heads = 32u;
const head_dim = 64u;
const splits = 32u;
/** Numbers of a split's result. */
const stride = 68u;
/** Of the splits: their maxima and then what they count for, and the sums of their weights. */
var<workgroup> weights: array<f32, splits>;
var<workgroup> sums: array<f32, splits>;
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let item = group_index(id, count);
  let row = item / heads;
  let head = item % heads;
  if (row >= u32((bitcast<i32>(scalars[0][0])))) { return; }
  if (!row_taken(row)) { return; }
  let chunks = chunks_of(last_key(row));
  let live = u32((chunks.count + chunks.per_split - 1) / chunks.per_split);
  let first = (u32(sequences[row]) * heads + head) * splits;
  for (var s = t; s < live; s += 64u) {
    weights[s] = partial[(first + s) * stride + head_dim];
    sums[s] = partial[(first + s) * stride + head_dim + 1u];
  }
  workgroupBarrier();
  var most = weights[0];
  for (var s = 0u; s < live; s++) { most = max(most, weights[s]); }
  workgroupBarrier();
  for (var s = t; s < live; s += 64u) { weights[s] = exp(weights[s] - most); }
  workgroupBarrier();
  var sum = 0.0;
  for (var s = 0u; s < live; s++) { sum += sums[s] * weights[s]; }
  for (var i = t; i < head_dim; i += 64u) {
    var total = 0.0;
    for (var s = 0u; s < live; s++) { total += partial[(first + s) * stride + i] * weights[s]; }
    y[(row * heads + head) * head_dim + i] = total / sum;
  }
}
