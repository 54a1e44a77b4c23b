// Runs single dispatches of a device: how kernels are tested below the array library.

import type { Device, DeviceBuffer, ScalarSpec } from '../../src/device/device.ts';
import type { Param } from '../../src/kernel/signature.ts';

export interface DispatchCase {
  readonly kernel: string;
  /** Bytes before the dispatch; null for an absent buffer. */
  readonly buffers: readonly (Uint8Array | null)[];
  readonly params: readonly Param[];
  readonly scalars?: Readonly<Record<string, number>>;
  readonly scalarTypes?: Readonly<Record<string, ScalarSpec['type']>>;
}

/** Bytes of every buffer after the dispatch. Nothing stays alive. */
export async function runDispatch(device: Device, c: DispatchCase): Promise<readonly Uint8Array[]> {
  const owned: DeviceBuffer[] = [];
  const slices = c.buffers.map((bytes) => {
    const buffer = device.allocate(Math.max(bytes?.byteLength ?? 0, 4), 'case');
    owned.push(buffer);
    if (bytes !== null) device.write(buffer, 0, bytes);
    return { kind: 'buffer' as const, buffer, offset: 0, byteLength: bytes?.byteLength ?? 0 };
  });
  const { scalars = {}, scalarTypes = {} } = c;
  const program = device.compile({
    dispatches: [
      { kernel: { kind: 'native', name: c.kernel }, buffers: slices, params: c.params, label: c.kernel },
    ],
    arenaBytes: 0,
    scalars: Object.keys(scalars).map((name) => ({ name, type: scalarTypes[name] ?? 'i32' })),
  });
  try {
    return await program.run(scalars, { reads: slices });
  } finally {
    program.dispose();
    for (const buffer of owned) buffer.dispose();
  }
}

/** The bytes of numbers. */
export const bytesOf = (view: ArrayBufferView): Uint8Array =>
  new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice();

/** A plan scalar as a param. */
export const param = (scalar: string, mul = 1): Param => ({ scalar, mul, add: 0 });
