// How soon experts come back, as `ExpertStream.distances` counts it: how many others were chosen in between, as a share of all, in bins of
// equal width. An LRU that holds a share of the experts has exactly what comes back within it (Mattson and others, 1970), so one run
// says what any memory would miss.

/** Fewer than these say little. */
const ENOUGH = 1000;
/** Old counts are halved beyond this, so that a model's use of now counts. */
const MANY = 1e6;

const sum = (counts: readonly number[]): number => counts.reduce((total, n) => total + n, 0);

export const enoughDistances = (counts: readonly number[]): boolean => sum(counts) >= ENOUGH;

/** Counts of both; of other bins, the newer ones. */
export function addDistances(before: readonly number[], counts: readonly number[]): readonly number[] {
  if (before.length !== counts.length) return counts;
  const old = sum(before) > MANY ? 0.5 : 1;
  return counts.map((n, bin) => n + old * (before[bin] ?? 0));
}

/** Share of choices that an LRU of a share `held` of all experts misses. */
export function missRateOf(counts: readonly number[], held: number): number {
  const reached = held * counts.length;
  const missed = counts.reduce((total, n, bin) => total + n * Math.min(1, Math.max(0, bin + 1 - reached)), 0);
  return missed / sum(counts);
}
