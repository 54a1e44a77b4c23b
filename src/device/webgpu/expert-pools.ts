// How memory for experts is divided into slots: layers with experts of one size share a pool, and a pool is as large as one binding
// and the sort of rows by expert allow.

import { IngotError } from '../../base/errors.ts';
import type { SlotGroup } from '../expert-slots.ts';
import { type ExpertPart, expertParts, type StreamedLayer } from '../expert-stream.ts';

export interface PoolLimits {
  /** Bytes of one matrix's slots. */
  readonly maxBytes: number;
  readonly maxSlots: number;
}

export interface Pool extends SlotGroup {
  /** Bytes of each matrix of an expert. */
  readonly sizes: Readonly<Record<ExpertPart, number>>;
}

/** The bytes are divided as the layers' blocks are. Throws out_of_memory when they hold no expert of a pool. */
export function planPools(
  layers: readonly StreamedLayer[],
  bytes: number,
  { maxBytes, maxSlots }: PoolLimits,
): readonly Pool[] {
  const all = layers.reduce((sum, { experts, blockBytes }) => sum + experts * blockBytes, 0);
  const share = Math.min(1, bytes / all);
  const kinds = new Map<string, number[]>();
  layers.forEach(({ blockBytes, matrices }, l) => {
    const key = [blockBytes, ...expertParts.map((part) => matrices[part].byteLength)].join();
    kinds.set(key, [...(kinds.get(key) ?? []), l]);
  });
  return [...kinds.values()].flatMap((own) => {
    const { matrices } = layers[own[0] as number] as StreamedLayer;
    const sizes = {
      gate: matrices.gate.byteLength,
      up: matrices.up.byteLength,
      down: matrices.down.byteLength,
    };
    const most = Math.min(maxSlots, Math.floor(maxBytes / Math.max(...Object.values(sizes))));
    const experts = (list: readonly number[]): number =>
      list.reduce((sum, l) => sum + (layers[l]?.experts ?? 0), 0);
    const wanted = Math.floor(share * experts(own) + 1e-9);
    // As few pools as the limits allow: experts of many layers make better use of slots than those of few.
    const pools = Math.min(own.length, Math.max(1, Math.ceil(wanted / Math.max(1, most))));
    return Array.from({ length: pools }, (_, p): Pool => {
      const from = Math.floor((p * own.length) / pools);
      const list = own.slice(from, Math.floor(((p + 1) * own.length) / pools));
      const slots = Math.min(most, Math.floor(share * experts(list) + 1e-9));
      if (slots < 1) {
        throw new IngotError(
          'out_of_memory',
          `experts: ${bytes} bytes hold no expert of ${layers[list[0] as number]?.blockBytes} bytes that a binding of ${maxBytes} bytes has room for`,
          { details: { bytes, maxBytes } },
        );
      }
      return { layers: list, slots, sizes };
    });
  });
}
