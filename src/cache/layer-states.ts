// The device memory of a cache: keys and values `[Hkv, slots, Dh]` per layer, and copies of slots within and out of it.

import { State } from '../array/weight.ts';
import { bytesPerElement } from '../base/dtype.ts';
import type { BufferRange, CompiledProgram, Device, Transfers } from '../device/device.ts';
import type { KvLayerSpec } from '../nn/contracts.ts';

export interface LayerSlots {
  readonly spec: KvLayerSpec;
  readonly slots: number;
}

/** Positions `from` … of a snapshot that lie in `count` slots from `slot` on. */
export interface SlotRun {
  readonly from: number;
  readonly slot: number;
  readonly count: number;
}

/** Bytes of one layer's keys and values. */
export const layerBytes = ({ spec, slots }: LayerSlots, dtype: 'f16' | 'f32'): number =>
  2 * spec.numKvHeads * slots * spec.headDim * bytesPerElement(dtype);

export class LayerStates {
  readonly bytes: number;
  readonly layers: readonly (LayerSlots & { readonly keys: State; readonly values: State })[];
  readonly #dtype: 'f16' | 'f32';
  /** Runs nothing: carries transfers, in order with the steps of the device. */
  readonly #carrier: CompiledProgram;

  /** Allocates zeros. Throws out_of_memory from the device. */
  constructor(device: Device, layers: readonly LayerSlots[], dtype: 'f16' | 'f32') {
    this.#dtype = dtype;
    this.bytes = layers.reduce((sum, layer) => sum + layerBytes(layer, dtype), 0);
    const states: State[] = [];
    try {
      this.layers = layers.map(({ spec, slots }, i) => {
        const make = (what: string): State => {
          const shape = [spec.numKvHeads, slots, spec.headDim];
          const state = new State({ device, shape, dtype, label: `kv ${i} ${what}`, sparse: true });
          states.push(state);
          return state;
        };
        return { spec, slots, keys: make('keys'), values: make('values') };
      });
    } catch (error) {
      for (const state of states) state.dispose();
      throw error;
    }
    this.#carrier = device.compile({ dispatches: [], arenaBytes: 0, scalars: [] });
  }

  /** Copies `count` slots of every layer. Ordered with the steps of the device: nobody has to wait for it. */
  copy(fromSlot: number, toSlot: number, count: number): Promise<unknown> {
    const copies = this.layers.flatMap((layer) =>
      [layer.keys, layer.values].flatMap((state) => {
        const to = this.#ranges(layer, state, toSlot, count);
        return this.#ranges(layer, state, fromSlot, count).map((from, h) => ({ from, to: to[h] ?? from }));
      }),
    );
    return this.#carry({ copies });
  }

  /** Keys and values of layer i as `[Hkv, length, Dh]`, of the slots that `runsOf` names; zeros elsewhere. */
  async read(
    length: number,
    runsOf: (layer: number) => readonly SlotRun[],
  ): Promise<readonly { readonly keys: Uint8Array; readonly values: Uint8Array }[]> {
    const parts = this.#parts(runsOf);
    const read = await this.#carry({ reads: parts.map((p) => p.range) });
    const layers = this.layers.map(({ spec }) => {
      const make = () => new Uint8Array(spec.numKvHeads * length * this.#rowBytes(spec));
      return { keys: make(), values: make() };
    });
    parts.forEach(({ layer, what, head, from }, i) => {
      const { spec } = this.layers[layer] ?? {};
      const bytes = read[i];
      if (spec && bytes) layers[layer]?.[what].set(bytes, (head * length + from) * this.#rowBytes(spec));
    });
    return layers;
  }

  /** The reverse of `read`. */
  write(
    length: number,
    layers: readonly { readonly keys: Uint8Array; readonly values: Uint8Array }[],
    runsOf: (layer: number) => readonly SlotRun[],
  ): Promise<unknown> {
    const writes = this.#parts(runsOf).flatMap(({ layer, what, head, from, range }) => {
      const { spec } = this.layers[layer] ?? {};
      const data = layers[layer]?.[what];
      if (spec === undefined || data === undefined) return [];
      const start = (head * length + from) * this.#rowBytes(spec);
      return [{ to: range, data: data.subarray(start, start + range.byteLength) }];
    });
    return this.#carry({ writes });
  }

  dispose(): void {
    this.#carrier.dispose();
    for (const { keys, values } of this.layers) {
      keys.dispose();
      values.dispose();
    }
  }

  #carry(transfers: Transfers): Promise<readonly Uint8Array[]> {
    return this.#carrier.run({}, transfers);
  }

  #rowBytes(spec: KvLayerSpec): number {
    return spec.headDim * bytesPerElement(this.#dtype);
  }

  /** One range per head. */
  #ranges({ spec, slots }: LayerSlots, { buffer }: State, slot: number, count: number): BufferRange[] {
    const row = this.#rowBytes(spec);
    return Array.from({ length: spec.numKvHeads }, (_, h) => ({
      kind: 'buffer' as const,
      buffer,
      offset: (h * slots + slot) * row,
      byteLength: count * row,
    }));
  }

  #parts(runsOf: (layer: number) => readonly SlotRun[]) {
    return this.layers.flatMap((at, layer) =>
      (['keys', 'values'] as const).flatMap((what) =>
        runsOf(layer).flatMap(({ from, slot, count }) =>
          this.#ranges(at, at[what], slot, count).map((range, head) => ({ layer, what, head, from, range })),
        ),
      ),
    );
  }
}
