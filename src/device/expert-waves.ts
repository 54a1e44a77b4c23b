// How more experts than there is room for follow each other through memory.

/** Expert ids `[rows, topk]`, as a router chose them. */
export interface Chosen {
  readonly ids: Int32Array;
  readonly topk: number;
}

/** What runs together: slots of rows, by their place in the ids, and the experts that they need. */
export interface Wave {
  readonly experts: readonly number[];
  has(place: number): boolean;
}

/** Who takes room: experts that stay in memory anyway do not. */
export interface Room {
  readonly most: number;
  readonly isFree: (expert: number) => boolean;
  /** Experts that come first: those that are there. */
  readonly isThere: (expert: number) => boolean;
}

/** Each expert once, for all slots of rows that chose it. */
export function expertWaves({ ids }: Chosen, { most, isFree, isThere }: Room): readonly Wave[] {
  const distinct = [...new Set(ids)];
  const free = distinct.filter(isFree);
  const others = distinct.filter((e) => !isFree(e));
  const inOrder = [...others.filter(isThere), ...others.filter((e) => !isThere(e))];
  const waves: Wave[] = [];
  for (let at = 0; at < inOrder.length; at += most) {
    const experts = [...(at === 0 ? free : []), ...inOrder.slice(at, at + most)];
    const own = new Set(experts);
    waves.push({ experts, has: (place) => own.has(ids[place] as number) });
  }
  return waves;
}

/**
 * Whole rows, where the products of a row are one sum. Rows whose experts are there come with those that brought them; an expert comes
 * again where rows that share it do not fit together. `most` is at least what one row needs.
 */
export function rowWaves({ ids, topk }: Chosen, { most, isFree, isThere }: Room): readonly Wave[] {
  const rows = Array.from({ length: ids.length / topk }, (_, r) => ids.subarray(r * topk, (r + 1) * topk));
  const missing = rows.map((own) => own.reduce((n, e) => n + (isThere(e) ? 0 : 1), 0));
  let left = rows.map((_, r) => r).toSorted((a, b) => (missing[a] ?? 0) - (missing[b] ?? 0));
  const waves: Wave[] = [];
  while (left.length > 0) {
    const [experts, taken] = [new Set<number>(), new Set<number>()];
    let used = 0;
    for (const r of left) {
      const more = [...new Set(rows[r])].filter((e) => !experts.has(e));
      const cost = more.filter((e) => !isFree(e)).length;
      if (taken.size > 0 && used + cost > most) continue;
      for (const e of more) experts.add(e);
      used += cost;
      taken.add(r);
    }
    left = left.filter((r) => !taken.has(r));
    waves.push({ experts: [...experts], has: (place) => taken.has(Math.floor(place / topk)) });
  }
  return waves;
}
