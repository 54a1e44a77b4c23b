// Attention slot by slot, for kernels in which a workgroup has one head of a row and a thread some of its columns.

/** One cache that is attended to. */
export interface AttendedCache {
  /** WGSL function of an element's place. */
  readonly element: string;
  /** Columns of a slot and of a query. */
  readonly width: number;
  readonly threads: number;
  /** WGSL of what products are multiplied by. */
  readonly scale: string;
}

/**
 * The softmax takes in `slot` (i32, -1: none), for all threads alike: updates `most`, `total` and the thread's `sums`. Needs
 * `q`, `item` (the query's number), `t` (the thread's) and `partial`, an array in workgroup memory.
 */
export function attendSlot({ element, width, threads, scale }: AttendedCache): string {
  const columns = Math.ceil(width / threads);
  return `    let at = u32(max(slot, 0)) * ${width}u;
    var product = 0.0;
    for (var d = t; d < ${width}u; d += ${threads}u) { product += q[item * ${width}u + d] * ${element}(at + d); }
    partial[t] = product;
    workgroupBarrier();
    for (var step = ${threads / 2}u; step > 0u; step >>= 1u) {
      if (t < step) { partial[t] += partial[t + step]; }
      workgroupBarrier();
    }
    let score = partial[0] * ${scale};
    workgroupBarrier();
    if (slot >= 0) {
      let next = max(most, score);
      let old = exp(most - next);
      let weight = exp(score - next);
      most = next;
      total = total * old + weight;
      for (var c = 0u; c < ${columns}u; c++) {
        let d = t + c * ${threads}u;
        if (d < ${width}u) { sums[c] = sums[c] * old + weight * ${element}(at + d); }
      }
    }
`;
}
