// moeReroute: choices of experts that are not in memory give way, where a caller lets them: faster, and no longer what the router
// said. Only a device that streams experts has any that are missing; elsewhere nothing changes.

import { IngotError } from '../../../base/errors.ts';
import { elementCount, formatShape } from '../../../base/shape.ts';
import type { NDArray } from '../../array.ts';
import { defineOp } from '../../op.ts';
import type { Weight } from '../../weight.ts';
import { packedShape } from '../linear/packed.ts';
import {
  countParam,
  expectDtype,
  expectFloat,
  expectShape,
  fixed,
  floats,
  operand,
  output,
  shapeError,
} from '../operands.ts';

/** How far a choice may change. */
export interface RerouteLimits {
  /**
   * 0 to 1: an expert in memory takes the place of one that is not when the choice values it at no less than the other's value,
   * minus this share of the other's weight. 0 swaps none, 1 takes whatever is there.
   */
  readonly prefer: number;
  /** 0 to less than 1: experts that are not in memory are left out while together they have at most this share of a row's weight. */
  readonly drop: number;
}

export interface MoeRerouteAttrs extends RerouteLimits {
  /** The sum of a row's weights stays as it is. */
  readonly normTopk: boolean;
}

/** Operands: ids and weights `[n, k]`, order and scores `[n, E]`, any stack of the experts. Outputs ids and weights `[n, k]`. */
export const moeRerouteOp = defineOp<MoeRerouteAttrs>({
  name: 'moeReroute',
  infer: (inputs, { prefer, drop }) => {
    const [ids, weights, order, scores] = [
      operand(inputs, 0),
      operand(inputs, 1),
      operand(inputs, 2),
      operand(inputs, 3),
    ];
    expectDtype(ids, ['i32'], 'moeReroute: ids');
    for (const x of [weights, order, scores]) expectFloat(x, 'moeReroute');
    const { experts } = packedShape(operand(inputs, 4), 3, 'moeReroute: experts');
    expectShape(weights, ids.shape, 'moeReroute: weights');
    expectShape(scores, order.shape, 'moeReroute: scores');
    if (ids.shape.length !== 2 || order.shape[1] !== experts)
      shapeError('moeReroute', `order ${formatShape(order.shape)} does not fit ${experts} experts`);
    if (!(prefer >= 0 && prefer <= 1 && drop >= 0 && drop < 1)) {
      throw new IngotError(
        'invalid_argument',
        `moeReroute: prefer = ${prefer} must be from 0 to 1, drop = ${drop} from 0 to less than 1`,
      );
    }
    return [
      { shape: ids.shape, dtype: 'i32' },
      { shape: ids.shape, dtype: 'f32' },
    ];
  },
  reference: (inputs, outputs, attrs) => {
    const E = operand(inputs, 2).shape[1] ?? 0;
    const tables = [0, 1, 2, 3].map((i) => floats(operand(inputs, i))) as unknown as Four<Float32Array>;
    const all = new Array<boolean>(E).fill(true);
    const { ids, weights } = reroute(tables, {
      k: operand(inputs, 0).shape[1] ?? 0,
      E,
      there: all,
      ...attrs,
    });
    output(outputs, 0).data.set(ids);
    output(outputs, 1).data.set(weights);
  },
  // On a device without the kernel everything is in memory: adding 0 makes values of their own.
  composite: (inputs) => [operand(inputs, 0).add(0), operand(inputs, 1).add(0)],
  vjp: 'none', // packed experts run models
  kernel: {
    emit: (context) => {
      const { inputs, outputs, attrs } = context;
      const [ids, order] = [operand(inputs, 0), operand(inputs, 2)];
      context.emit(
        'moe_reroute',
        {
          chosen: ids,
          chosenWeights: operand(inputs, 1),
          order,
          scores: operand(inputs, 3),
          experts: operand(inputs, 4),
          ids: operand(outputs, 0),
          weights: operand(outputs, 1),
        },
        {
          rows: countParam(elementCount(ids.type.shape.slice(0, 1))),
          E: fixed(order.type.shape.at(-1), 'moeReroute'),
          k: fixed(ids.type.shape.at(-1), 'moeReroute'),
          prefer: attrs.prefer,
          drop: attrs.drop,
          normTopk: attrs.normTopk,
        },
      );
    },
  },
  tolerance: () => ({ absolute: 0, relative: 0 }),
  cases: [
    {
      name: 'all there',
      inputs: [
        { shape: [3, 2], dtype: 'i32', fill: 'index', below: 6 },
        { shape: [3, 2], fill: 'positive' },
        { shape: [3, 6], fill: 'positive' },
        { shape: [3, 6], fill: 'positive' },
        { shape: [6, 48, 64], weight: 'q4' },
      ],
      attrs: { prefer: 0.5, drop: 0.1, normTopk: true },
    },
  ],
});

type Four<T> = readonly [T, T, T, T];

/** Router's ids and weights `[n, k]`, order and scores `[n, E]`, what kernels do with them, and how often choices changed. */
export function reroute(
  [ids, weights, order, scores]: Four<ArrayLike<number>>,
  { k, E, there, prefer, drop, normTopk }: RerouteCall,
): Rerouted {
  const rows = ids.length / k;
  const decide = (row: number, known: readonly boolean[]): Slot[] => {
    const slots = Array.from(
      { length: k },
      (_, j): Slot => ({
        id: ids[row * k + j] as number,
        weight: weights[row * k + j] as number,
      }),
    );
    const of = (list: ArrayLike<number>, e: number): number => list[row * E + e] as number;
    const value = (e: number): number => of(order, e);
    // From the worst choice to the best, each missing one is offered the best of memory that was not chosen.
    const worstFirst = slots
      .map((_, j) => j)
      .toSorted((a, b) => value(slots[a]?.id ?? 0) - value(slots[b]?.id ?? 0) || b - a);
    for (const j of prefer > 0 ? worstFirst : []) {
      const slot = slots[j] as Slot;
      if (known[slot.id]) continue;
      const best = known
        .flatMap((here, e) => (here && !slots.some(({ id }) => id === e) ? [e] : []))
        .reduce((a, e) => (a < 0 || value(e) > value(a) ? e : a), -1);
      const own = of(scores, slot.id);
      if (best < 0 || value(best) < value(slot.id) - prefer * own) continue;
      slots[j] = { id: best, weight: own > 0 ? (slot.weight * of(scores, best)) / own : 0, swapped: true };
    }
    // From the lightest on, those that are still missing are left out while their share lasts; one is kept always.
    const limit = drop * sum(weights, row * k, k);
    let gone = 0;
    for (let left = k; drop > 0 && left > 1; left--) {
      const least = slots.reduce(
        (a, { id, weight }, j) =>
          id < 0 || known[id] || (a >= 0 && weight > (slots[a] as Slot).weight) ? a : j,
        -1,
      );
      const weight = slots[least]?.weight ?? Number.POSITIVE_INFINITY;
      if (gone + weight > limit) break;
      gone += weight;
      slots[least] = { id: -1, weight: 0 };
    }
    return slots;
  };
  // What any row needs is read, and then counts as there for all.
  const known = [...there];
  for (let row = 0; row < rows; row++) for (const { id } of decide(row, there)) if (id >= 0) known[id] = true;
  const out = { ids: [] as number[], weights: [] as number[], swapped: 0, dropped: 0 };
  for (let row = 0; row < rows; row++) {
    const slots = decide(row, known);
    const swapped = slots.filter((slot) => slot.swapped === true).length;
    const dropped = slots.filter(({ id }) => id < 0).length;
    const now = slots.reduce((all, { weight }) => all + weight, 0);
    const factor = normTopk && swapped + dropped > 0 && now > 0 ? sum(weights, row * k, k) / now : 1;
    // A slot without an expert has the row's first one again, with weight 0.
    const first = slots.find(({ id }) => id >= 0)?.id ?? 0;
    for (const { id, weight } of slots) {
      out.ids.push(id < 0 ? first : id);
      out.weights.push(weight * factor);
    }
    out.swapped += swapped;
    out.dropped += dropped;
  }
  return out;
}

export interface RerouteCall extends MoeRerouteAttrs {
  readonly k: number;
  readonly E: number;
  /** Which experts are in memory. */
  readonly there: readonly boolean[];
}

export interface Rerouted {
  readonly ids: readonly number[];
  readonly weights: readonly number[];
  /** Choices that an expert of memory took the place of, and that were left out. */
  readonly swapped: number;
  readonly dropped: number;
}

interface Slot {
  /** -1: left out. */
  readonly id: number;
  readonly weight: number;
  readonly swapped?: true;
}

const sum = (list: ArrayLike<number>, from: number, n: number): number => {
  let total = 0;
  for (let i = from; i < from + n; i++) total += list[i] as number;
  return total;
};

/** Ids and weights `[n, k]` of a router as they are with the experts that `stack` has in memory: `order` made the choice, weights are in proportion to `scores`. */
export function moeReroute(
  [ids, weights]: readonly [NDArray, NDArray],
  {
    order,
    scores,
    stack,
    ...attrs
  }: { readonly order: NDArray; readonly scores: NDArray; readonly stack: Weight } & MoeRerouteAttrs,
): readonly [ids: NDArray, weights: NDArray] {
  const [newIds, newWeights] = ids.applyMany(moeRerouteOp, [ids, weights, order, scores, stack], attrs);
  return [newIds as NDArray, newWeights as NDArray];
}
