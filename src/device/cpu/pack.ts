// Native packing of source rows into panels (docs/layouts.md), on the worker pool.

import { IngotError } from '../../base/errors.ts';
import { layoutCode, metaDtypeCode, type WeightLayout } from '../../quant/layout.ts';
import type { DeviceBuffer } from '../device.ts';
import type { CpuDevice } from './device.ts';

export interface PackRequest {
  readonly target: DeviceBuffer;
  readonly offset: number;
  /** Size of the packed matrix in bytes. */
  readonly byteLength: number;
  /** Source code of docs/layouts.md. */
  readonly source: number;
  /** The source's tensors, whole rows each. */
  readonly parts: readonly Uint8Array[];
  readonly rows: number;
  readonly columns: number;
  readonly layout: WeightLayout;
  /** Source row of each packed row. */
  readonly rowMap?: Int32Array | undefined;
}

/** Packs one matrix into memory of its own. */
export type PackRows = (rows: Omit<PackRequest, 'target' | 'offset'>) => Promise<Uint8Array>;

export const packRowsOn =
  (device: CpuDevice): PackRows =>
  async (rows) => {
    const staging = device.allocate(rows.byteLength, 'packed rows');
    try {
      await packNative(device, { ...rows, target: staging, offset: 0 });
      return await device.read(staging, 0, rows.byteLength);
    } finally {
      staging.dispose();
    }
  };

/** Packs one matrix. The parts must not change until the promise settles. */
export async function packNative(device: CpuDevice, request: PackRequest): Promise<void> {
  const { target, offset, byteLength, source, parts, rows, columns, layout, rowMap } = request;
  try {
    await device.addon.pack(
      device.memoryOf(target),
      offset,
      byteLength,
      source,
      parts,
      rows,
      columns,
      [layoutCode(layout), layout.group, metaDtypeCode(layout)],
      rowMap ?? null,
    );
  } catch (cause) {
    throw new IngotError(
      'internal',
      `packing '${target.label}' [${rows}, ${columns}]: ${(cause as Error).message}`,
      { cause },
    );
  }
}
