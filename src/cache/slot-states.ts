// The device memory of layers that lie alike: arrays `[heads, slots, width]`, and copies of slots within and out of them.

import { State } from '../array/weight.ts';
import { bytesPerElement } from '../base/dtype.ts';
import type { BufferRange, CompiledProgram, Device, DeviceBuffer, Transfers } from '../device/device.ts';
import type { LayerPart, PartArray } from './parts.ts';

/** Rows `from` … of a snapshot that lie in `count` slots from `slot` on. */
export interface SlotRun {
  readonly from: number;
  readonly slot: number;
  readonly count: number;
}

/** The arrays of one layer, in host memory: each `[heads, rows, width]`. */
export type LayerRows = readonly Uint8Array[];

/** Where the arrays of parts lie when they are not allocated for them. */
export interface StatesPlace {
  /** Bytes of memory. */
  readonly bytes: number;
  buffer(part: number, array: number): DeviceBuffer;
  /** Before anything is submitted that uses the arrays. */
  flush(): void;
  /** After the arrays were disposed. */
  dispose(): void;
}

export class SlotStates {
  readonly bytes: number;
  readonly parts: readonly LayerPart[];
  readonly #slots: number;
  readonly #states: readonly (readonly State[])[];
  readonly #byPart: ReadonlyMap<string, readonly State[]>;
  /** Runs nothing: carries transfers, in order with the steps of the device. */
  readonly #carrier: CompiledProgram;

  readonly #place: StatesPlace | undefined;

  /** Allocates zeros, where no place is given. Throws out_of_memory from the device. */
  constructor(device: Device, parts: readonly LayerPart[], slots: number, place?: StatesPlace) {
    this.parts = parts;
    this.#slots = slots;
    this.#place = place;
    const made: State[] = [];
    try {
      this.#states = parts.map(({ layer, arrays }, part) =>
        arrays.map(({ name, heads, width, dtype }, array) => {
          const label = `memory ${layer} ${name}`;
          const buffer = place?.buffer(part, array);
          const shape = [heads, slots, width];
          const state = new State({ device, shape, dtype, label, sparse: true, buffer });
          made.push(state);
          return state;
        }),
      );
    } catch (error) {
      for (const state of made) state.dispose();
      place?.dispose();
      throw error;
    }
    this.bytes = place?.bytes ?? made.reduce((sum, { buffer }) => sum + buffer.byteLength, 0);
    this.#byPart = new Map(parts.map((part, i) => [keyOf(part), this.#states[i] ?? []]));
    this.#carrier = device.compile({ dispatches: [], arenaBytes: 0, scalars: [] });
  }

  /** The arrays of a layer's part, as operands of ops that update them; undefined when it is not here. */
  of(part: Pick<LayerPart, 'layer' | 'index'>): readonly State[] | undefined {
    return this.#byPart.get(keyOf(part));
  }

  /** Copies `count` slots of every array. Ordered with the steps of the device: nobody has to wait for it. */
  copy(fromSlot: number, toSlot: number, count: number): Promise<unknown> {
    const copies = this.#ranges(toSlot, count);
    return this.#carry({
      copies: this.#ranges(fromSlot, count).map(({ range }, i) => ({
        from: range,
        to: copies[i]?.range ?? range,
      })),
    });
  }

  /** What is in these slots, as `length` rows of every part. */
  async read(length: number, runs: readonly SlotRun[]): Promise<readonly LayerRows[]> {
    const ranges = runs.flatMap((run) =>
      this.#ranges(run.slot, run.count).map((x) => ({ ...x, from: run.from })),
    );
    const read = await this.#carry({ reads: ranges.map(({ range }) => range) });
    const rows = this.parts.map(({ arrays }) =>
      arrays.map((array) => new Uint8Array(array.heads * length * rowBytes(array))),
    );
    ranges.forEach(({ part, array, head, from, row }, i) => {
      const bytes = read[i];
      if (bytes) rows[part]?.[array]?.set(bytes, (head * length + from) * row);
    });
    return rows;
  }

  /** The reverse of `read`. */
  write(length: number, rows: readonly LayerRows[], runs: readonly SlotRun[]): Promise<unknown> {
    const writes = runs.flatMap(({ from, slot, count }) =>
      this.#ranges(slot, count).flatMap(({ part, array, head, row, range }) => {
        const data = rows[part]?.[array];
        const start = (head * length + from) * row;
        return data === undefined
          ? []
          : [{ to: range, data: data.subarray(start, start + range.byteLength) }];
      }),
    );
    return this.#carry({ writes });
  }

  dispose(): void {
    this.#carrier.dispose();
    for (const state of this.#states.flat()) state.dispose();
    this.#place?.dispose();
  }

  /** Before a step is submitted. */
  flush(): void {
    this.#place?.flush();
  }

  #carry(transfers: Transfers): Promise<readonly Uint8Array[]> {
    this.flush();
    return this.#carrier.run({}, transfers);
  }

  /** One range for each head of each array. */
  #ranges(slot: number, count: number) {
    return this.parts.flatMap(({ arrays }, part) =>
      arrays.flatMap((layout, array) => {
        const row = rowBytes(layout);
        const buffer = this.#states[part]?.[array]?.buffer;
        if (buffer === undefined) return [];
        return Array.from({ length: layout.heads }, (_, head) => {
          const offset = (head * this.#slots + slot) * row;
          const range: BufferRange = { kind: 'buffer', buffer, offset, byteLength: count * row };
          return { part, array, head, row, range };
        });
      }),
    );
  }
}

const keyOf = ({ layer, index }: Pick<LayerPart, 'layer' | 'index'>): string => `${layer}.${index}`;

const rowBytes = ({ width, dtype }: PartArray): number => width * bytesPerElement(dtype);
