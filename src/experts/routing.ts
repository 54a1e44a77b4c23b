// How often each expert of a model was chosen, and what follows from it: which ones to keep in memory.

import { IngotError } from '../base/errors.ts';

/** An expert of one of the layers that have some, counted from 0. */
export interface ExpertId {
  readonly layer: number;
  readonly expert: number;
}

/** Rows that chose each expert. */
export interface LayerRouting {
  /** Of the layer: `model.layers.3`. */
  readonly name: string;
  readonly chosen: readonly number[];
}

export interface RoutingStatistics {
  /** Tokens that were counted. */
  readonly tokens: number;
  readonly layers: readonly LayerRouting[];
}

/** The sum of two statistics of one model. Throws invalid_argument when they are of different ones. */
export function addRouting(a: RoutingStatistics, b: RoutingStatistics): RoutingStatistics {
  checkRouting(
    a,
    b.layers.map(({ name, chosen }) => ({ name, experts: chosen.length })),
  );
  return {
    tokens: a.tokens + b.tokens,
    layers: a.layers.map(({ name, chosen }, l) => ({
      name,
      chosen: chosen.map((count, e) => count + (b.layers[l]?.chosen[e] ?? 0)),
    })),
  };
}

/** Throws invalid_argument unless the statistics are of a model with these layers. */
export function checkRouting(
  { layers }: RoutingStatistics,
  model: readonly { readonly name: string; readonly experts: number }[],
): void {
  const show = (sizes: readonly number[]): string =>
    `${sizes.length} layers of ${[...new Set(sizes)].join(', ') || 'no'} experts`;
  const same =
    layers.length === model.length &&
    layers.every(({ name, chosen }, l) => name === model[l]?.name && chosen.length === model[l]?.experts);
  if (same) return;
  throw new IngotError(
    'invalid_argument',
    `the routing statistics are of another model: ${show(layers.map((l) => l.chosen.length))}, this one has ${show(model.map((l) => l.experts))}`,
  );
}

/** The `count` experts that were chosen most, most first; ties go to earlier layers and lower experts. */
export function mostChosen({ layers }: RoutingStatistics, count: number): readonly ExpertId[] {
  return layers
    .flatMap(({ chosen }, layer) => chosen.map((times, expert) => ({ layer, expert, times })))
    .toSorted((a, b) => b.times - a.times)
    .slice(0, Math.max(0, count))
    .map(({ layer, expert }) => ({ layer, expert }));
}

/** Share of a layer's choices that go to this share of its experts, the most chosen ones. */
export function shareOfBusiest({ chosen }: LayerRouting, share: number): number {
  const total = chosen.reduce((sum, n) => sum + n, 0);
  const busiest = chosen.toSorted((a, b) => b - a).slice(0, Math.round(chosen.length * share));
  return total === 0 ? 0 : busiest.reduce((sum, n) => sum + n, 0) / total;
}
