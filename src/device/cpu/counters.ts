// Counters of the addon: numbers in an order that both sides know, by name here.

/** The addon's numbers by the names of their places. */
export const byName = <K extends string>(
  names: readonly K[],
  values: ArrayLike<number>,
): Readonly<Record<K, number>> =>
  Object.fromEntries(names.map((name, i) => [name, values[i] ?? 0])) as Record<K, number>;
