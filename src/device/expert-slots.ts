// Which experts have which slots of memory, and which one gives way: the bookkeeping of a device whose experts come through
// JavaScript. Native code has its own (native/runtime/experts.h), with the same rules.

import { IngotError } from '../base/errors.ts';
import type { Eviction, ExpertPart } from './expert-stream.ts';

/** Layers that share slots. */
export interface SlotGroup {
  readonly layers: readonly number[];
  readonly slots: number;
}

interface Expert {
  readonly layer: number;
  readonly expert: number;
  readonly prior: number;
  slot: number;
  /** Parts that are in memory. */
  readonly there: Set<ExpertPart>;
  hot: boolean;
  /** Rows that chose it, and the last session that needed it. */
  rows: number;
  session: number;
}

export interface ExpertSlotsOptions {
  /** Experts of each layer. */
  readonly experts: readonly number[];
  readonly groups: readonly SlotGroup[];
  readonly eviction: Eviction;
  /** How often each was chosen before. */
  readonly prior?: readonly ArrayLike<number>[] | undefined;
}

interface Held {
  readonly experts: (Expert | undefined)[];
  hot: number;
}

/** How many experts of a layer are there with each of their parts, and how often one of the layer left. */
interface Whole {
  readonly there: Record<ExpertPart, number>;
  left: number;
}

export class ExpertSlots {
  readonly #layers: readonly (readonly Expert[])[];
  /** By layer. */
  readonly #groups: readonly Held[];
  readonly #whole: readonly Whole[];
  readonly #eviction: Eviction;
  #session = 0;
  #used = 0;

  constructor({ experts, groups, eviction, prior }: ExpertSlotsOptions) {
    this.#layers = experts.map((count, layer) =>
      Array.from({ length: count }, (_, expert) => ({
        layer,
        expert,
        prior: prior?.[layer]?.[expert] ?? 0,
        slot: -1,
        there: new Set<ExpertPart>(),
        hot: false,
        rows: 0,
        session: 0,
      })),
    );
    this.#whole = experts.map(() => ({ there: { gate: 0, up: 0, down: 0 }, left: 0 }));
    const held: Held[] = [];
    for (const { layers, slots } of groups) {
      const own = { experts: new Array<Expert | undefined>(slots).fill(undefined), hot: 0 };
      for (const layer of layers) held[layer] = own;
    }
    this.#groups = held;
    this.#eviction = eviction;
  }

  /** Slots that have had an expert. */
  get used(): number {
    return this.#used;
  }

  /** The slot of an expert; -1 without one. */
  slotOf(layer: number, expert: number): number {
    return this.#expert(layer, expert).slot;
  }

  has(layer: number, expert: number, parts: readonly ExpertPart[]): boolean {
    const { there } = this.#expert(layer, expert);
    return parts.every((part) => there.has(part));
  }

  isHot(layer: number, expert: number): boolean {
    return this.#expert(layer, expert).hot;
  }

  /** Whether parts of all experts of a layer are there: a number for as long as the slots stay the same, undefined where one is missing. */
  wholeSince(layer: number, parts: readonly ExpertPart[]): number | undefined {
    const whole = this.#whole[layer];
    return parts.every((part) => whole?.there[part] === this.#layers[layer]?.length)
      ? whole?.left
      : undefined;
  }

  /** Experts that a layer can have at a time beside hot ones. */
  room(layer: number): number {
    const { experts, hot } = this.#group(layer);
    return experts.length - hot;
  }

  /** Rows that chose each expert of a layer. */
  rowsOf(layer: number): Float64Array {
    return Float64Array.from(this.#layers[layer] ?? [], ({ rows }) => rows);
  }

  /** Counts rows of a step. */
  choose(layer: number, expert: number, rows: number): void {
    this.#expert(layer, expert).rows += rows;
  }

  /** Begins a session: until the next one, none of these gives way. */
  need(layer: number, experts: Iterable<number>): void {
    this.#session++;
    for (const expert of experts) this.#expert(layer, expert).session = this.#session;
  }

  /** Gives an expert a slot, if it has none. False when hot experts and those of the session have all. */
  assign(layer: number, expert: number): boolean {
    const wanted = this.#expert(layer, expert);
    if (wanted.slot >= 0) return true;
    const slot = this.#victim(this.#group(layer));
    if (slot < 0) return false;
    const { experts } = this.#group(layer);
    const old = experts[slot];
    if (old === undefined) this.#used++;
    else this.#leave(old);
    experts[slot] = wanted;
    wanted.slot = slot;
    return true;
  }

  arrived(layer: number, expert: number, parts: readonly ExpertPart[]): void {
    const { there } = this.#expert(layer, expert);
    const whole = this.#whole[layer] as Whole;
    for (const part of parts) {
      if (!there.has(part)) whole.there[part]++;
      there.add(part);
    }
  }

  /** Gives an expert a slot for good. False where one layer's choice would then have no slot left. */
  keep(layer: number, expert: number): boolean {
    const group = this.#group(layer);
    if (group.hot + 1 >= group.experts.length || !this.assign(layer, expert)) return false;
    this.#expert(layer, expert).hot = true;
    group.hot++;
    return true;
  }

  #leave(old: Expert): void {
    const whole = this.#whole[old.layer] as Whole;
    for (const part of old.there) whole.there[part]--;
    whole.left++;
    old.slot = -1;
    old.there.clear();
  }

  /** An empty slot, else that of the expert which was not used for longest or is used least; -1 when all are needed. */
  #victim({ experts }: Held): number {
    let best = -1;
    for (let slot = 0; slot < experts.length; slot++) {
      const held = experts[slot];
      if (held === undefined) return slot;
      if (held.hot || held.session === this.#session) continue;
      const now = experts[best];
      if (now === undefined || this.#before(held, now)) best = slot;
    }
    return best;
  }

  #before(a: Expert, b: Expert): boolean {
    const often = a.rows + a.prior - b.rows - b.prior;
    if (this.#eviction === 'frequency' && often !== 0) return often < 0;
    return a.session < b.session;
  }

  #expert(layer: number, expert: number): Expert {
    const found = this.#layers[layer]?.[expert];
    if (found === undefined)
      throw new IngotError('internal', `internal: there is no expert ${expert} in layer ${layer}`);
    return found;
  }

  #group(layer: number): Held {
    const found = this.#groups[layer];
    if (found === undefined) throw new IngotError('internal', `internal: layer ${layer} has no slots`);
    return found;
  }
}
