// Reductions over segments of a workgroup's threads, with subgroup shuffles as far as a subgroup reaches.

/**
 * `NAME(value, thread)`: the combination over the aligned segment of `segment` threads (a power of two) that a thread is in, to all of
 * them. `shuffle` is the number of neighbouring threads that are surely in one subgroup; 1 where there are no subgroups.
 */
export function segmentReduce(
  name: string,
  threads: number,
  segment: number,
  shuffle: number,
  combine: (a: string, b: string) => string,
): string {
  const within = Math.min(segment, shuffle);
  const steps = Math.log2(within);
  const shuffles = Array.from(
    { length: steps },
    (_, i) => `  x = ${combine('x', `subgroupShuffleXor(x, ${2 ** i}u)`)};\n`,
  );
  if (within === segment)
    return `fn ${name}(value: f32, t: u32) -> f32 {\n  var x = value;\n${shuffles.join('')}  return x;\n}\n`;
  const cells = threads / within;
  const width = segment / within;
  return `var<workgroup> ${name}_cells: array<f32, ${cells}>;
fn ${name}(value: f32, t: u32) -> f32 {
  var x = value;
${shuffles.join('')}  let cell = t / ${within}u;
  if (t % ${within}u == 0u) { ${name}_cells[cell] = x; }
  for (var half = ${width / 2}u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (t % ${within}u == 0u && cell % ${width}u < half) {
      ${name}_cells[cell] = ${combine(`${name}_cells[cell]`, `${name}_cells[cell + half]`)};
    }
  }
  workgroupBarrier();
  let result = ${name}_cells[cell - cell % ${width}u];
  workgroupBarrier();
  return result;
}
`;
}
