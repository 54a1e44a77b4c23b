// Which format each tensor gets when all of them together may have so many bits: the least error that the budget buys.

/** One way to store a tensor. */
export interface StorageChoice {
  /** Of the whole tensor. */
  readonly bits: number;
  /** What it costs the model; any unit, the same for all tensors. */
  readonly error: number;
}

/**
 * The choice of each tensor with the least total error within `bits`. Steps along the lower convex hull of each tensor's
 * choices are taken in the order of what they gain for a bit, which is optimal but for the last step (Lagrange multipliers;
 * Everett 1963). When even the smallest choices are too large they are what is given.
 */
export function spendBits(tensors: readonly (readonly StorageChoice[])[], bits: number): readonly number[] {
  const hulls = tensors.map(hullOf);
  const chosen = hulls.map((hull) => hull[0] ?? 0);
  let left = bits - tensors.reduce((sum, choices, t) => sum + (choices[chosen[t] as number]?.bits ?? 0), 0);
  const steps = tensors
    .flatMap((choices, tensor) => {
      const hull = hulls[tensor] as readonly number[];
      return hull.slice(1).map((to, i) => {
        const [a, b] = [choices[hull[i] as number], choices[to]] as [StorageChoice, StorageChoice];
        return { tensor, to, bits: b.bits - a.bits, gain: (a.error - b.error) / (b.bits - a.bits) };
      });
    })
    .sort((a, b) => b.gain - a.gain);
  const stuck = new Set<number>();
  for (const step of steps) {
    // A tensor whose next step does not fit takes none of its later ones.
    if (stuck.has(step.tensor)) continue;
    if (step.bits > left) stuck.add(step.tensor);
    else {
      chosen[step.tensor] = step.to;
      left -= step.bits;
    }
  }
  return chosen;
}

/** Choices that are best for some price of a bit, by bits. */
function hullOf(choices: readonly StorageChoice[]): readonly number[] {
  const order = [...choices.keys()].sort((a, b) => {
    const [x, y] = [choices[a], choices[b]] as [StorageChoice, StorageChoice];
    return x.bits - y.bits || x.error - y.error;
  });
  const at = (i: number): StorageChoice => choices[i] as StorageChoice;
  const hull: number[] = [];
  for (const next of order) {
    const last = hull.at(-1);
    if (last !== undefined && (at(next).error >= at(last).error || at(next).bits === at(last).bits)) continue;
    // Gains per bit fall along the hull.
    while (hull.length > 1) {
      const [a, b] = [at(hull.at(-2) as number), at(hull.at(-1) as number)];
      const before = (a.error - b.error) / (b.bits - a.bits);
      const after = (b.error - at(next).error) / (at(next).bits - b.bits);
      if (after < before) break;
      hull.pop();
    }
    hull.push(next);
  }
  return hull;
}
