// Places storages in one arena: two that live at the same time do not overlap. Largest first, at the lowest free offset.

/** A storage that lives from the dispatch that first writes it to the last that uses it, both inclusive. */
export interface Lifetime {
  readonly bytes: number;
  readonly first: number;
  readonly last: number;
}

export interface BufferPlan {
  /** Offset of each lifetime, in the order given. */
  readonly offsets: readonly number[];
  readonly arenaBytes: number;
  readonly slots?: readonly { readonly offset: number; readonly byteLength: number }[];
}

/** Every storage starts at a multiple of this: a cache line and the widest vector. */
export const alignment = 64;

const align = (n: number): number => Math.ceil(n / alignment) * alignment;

export function planArena(lifetimes: readonly Lifetime[]): BufferPlan {
  const offsets = new Array<number>(lifetimes.length).fill(0);
  const placed: { readonly at: number; readonly end: number; readonly life: Lifetime }[] = [];
  let arenaBytes = 0;
  for (const i of largestFirst(lifetimes)) {
    const life = lifetimes[i] as Lifetime;
    const size = align(life.bytes);
    const rivals = placed
      .filter((p) => p.life.first <= life.last && life.first <= p.life.last)
      .sort((a, b) => a.at - b.at);
    let at = 0;
    for (const rival of rivals) {
      if (rival.at - at >= size) break;
      at = Math.max(at, rival.end);
    }
    offsets[i] = at;
    placed.push({ at, end: at + size, life });
    arenaBytes = Math.max(arenaBytes, at + size);
  }
  return { offsets, arenaBytes };
}

/**
 * Like planArena, for memory in slots: storages share a slot only when one ends before the other begins, and a slot is as
 * large as its largest storage.
 */
export function planSlots(lifetimes: readonly Lifetime[]): BufferPlan {
  const slots: { readonly offset: number; readonly byteLength: number; readonly lives: Lifetime[] }[] = [];
  const offsets = new Array<number>(lifetimes.length).fill(0);
  let arenaBytes = 0;
  for (const i of largestFirst(lifetimes)) {
    const life = lifetimes[i] as Lifetime;
    let slot = slots.find((s) => s.lives.every((l) => l.last < life.first || life.last < l.first));
    if (slot === undefined) {
      slot = { offset: arenaBytes, byteLength: align(life.bytes), lives: [] };
      slots.push(slot);
      arenaBytes += slot.byteLength;
    }
    slot.lives.push(life);
    offsets[i] = slot.offset;
  }
  return { offsets, arenaBytes, slots: slots.map(({ offset, byteLength }) => ({ offset, byteLength })) };
}

const largestFirst = (lifetimes: readonly Lifetime[]): readonly number[] =>
  lifetimes.map((_, i) => i).sort((a, b) => sizeOf(lifetimes, b) - sizeOf(lifetimes, a) || a - b);

const sizeOf = (lifetimes: readonly Lifetime[], i: number): number => (lifetimes[i] as Lifetime).bytes;
