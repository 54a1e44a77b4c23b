// Reductions over a workgroup, written for any subgroup size: through workgroup memory.

/** `workgroup_sum(value, thread)`: the sum over all threads, to all of them. Called in uniform control flow. */
export const workgroupSum = (threads: number): string => workgroupReduce('workgroup_sum', threads, 'a + b');

/** `workgroup_max(value, thread)`. */
export const workgroupMax = (threads: number): string =>
  workgroupReduce('workgroup_max', threads, 'max(a, b)');

/** A tree over `threads` (a power of two) f32 values; `combine` is an expression of a and b. */
function workgroupReduce(name: string, threads: number, combine: string): string {
  return `var<workgroup> ${name}_cells: array<f32, ${threads}>;
fn ${name}(value: f32, t: u32) -> f32 {
  ${name}_cells[t] = value;
  for (var half = ${threads / 2}u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (t < half) { let a = ${name}_cells[t]; let b = ${name}_cells[t + half]; ${name}_cells[t] = ${combine}; }
  }
  let result = workgroupUniformLoad(&${name}_cells[0]);
  workgroupBarrier();
  return result;
}
`;
}
