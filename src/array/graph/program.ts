// Lowered dispatches with planned memory: the device program.

import { invariant } from '../../base/errors.ts';
import type { BufferSlice, Device, DeviceProgram, ScalarSpec } from '../../device/device.ts';
import type { Slice } from '../op.ts';
import type { LoweredProgram, Storage } from './lower.ts';
import { type Lifetime, planArena, planSlots } from './memory-plan.ts';

export function buildProgram(
  lowered: LoweredProgram,
  scalars: readonly ScalarSpec[],
  memory: Device['memory'],
): DeviceProgram {
  const { storages, dispatches } = lowered;
  const lifetimes = storageLifetimes(lowered);
  const planned = [...lifetimes.keys()];
  const plan = memory === 'separate' ? planSlots : planArena;
  const { offsets, arenaBytes, slots } = plan([...lifetimes.values()]);
  const arenaOffset = new Map(planned.map((storage, i) => [storage, offsets[i] as number]));
  const place = (slice: Slice): BufferSlice => {
    const { offset, byteLength } = slice;
    if (slice.storage < 0) return { kind: 'arena', offset: 0, byteLength: 0 };
    const { buffer } = storages[slice.storage] as Storage;
    if (buffer !== undefined) return { kind: 'buffer', buffer, offset, byteLength };
    const base = arenaOffset.get(slice.storage);
    invariant(base !== undefined, `storage ${slice.storage} was not placed`);
    return { kind: 'arena', offset: base + offset, byteLength };
  };
  return {
    arenaBytes,
    ...(slots === undefined ? {} : { arenaSlots: slots }),
    scalars,
    dispatches: dispatches.map(({ kernel, buffers, params, label }) => ({
      kernel,
      params,
      label,
      buffers: buffers.map(place),
    })),
  };
}

/** First and last dispatch that touches each storage of the arena. */
function storageLifetimes({ storages, dispatches }: LoweredProgram): ReadonlyMap<number, Lifetime> {
  const lifetimes = new Map<number, Lifetime>();
  dispatches.forEach(({ buffers }, i) => {
    for (const { storage } of buffers) {
      const s = storages[storage];
      if (s === undefined || s.buffer !== undefined) continue;
      const before = lifetimes.get(storage);
      lifetimes.set(storage, { bytes: s.bytes, first: before?.first ?? i, last: i });
    }
  });
  return lifetimes;
}
