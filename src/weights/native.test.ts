// The native packer against packReference, through the same request the loader makes. Skipped where the addon is not built.

import { describe, expect, it } from 'vitest';
import { addonPath } from '../device/cpu/addon.ts';
import { openCpuDevice } from '../device/cpu/device.ts';
import { packNative } from '../device/cpu/pack.ts';
import type { Device } from '../device/device.ts';
import { openJsDevice } from '../device/js/device.ts';
import { modelCheckpoint } from '../models/files/translate.ts';
import type { SourceFormat } from '../quant/format.ts';
import { columnMultiple, packedBytes } from '../quant/layout.ts';
import { packReference } from '../quant/reference.ts';
import { sourceFormats } from '../quant/registry.ts';
import { CheckpointLoader, type LoadedMatrix, type LoadedVector } from './load.ts';
import { nativeParts } from './load-jobs.ts';
import { tinyCheckpoint } from './tiny.ts';

/** Any bytes: packing moves them, whatever they mean. */
function randomParts(format: SourceFormat, rows: number, columns: number): Uint8Array[] {
  let state = 12345;
  return format.rowBytes(columns).map((bytes) =>
    Uint8Array.from({ length: bytes * rows }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state >>> 24;
    }),
  );
}

describe.skipIf(addonPath() === undefined)('the native packer, needs the addon', () => {
  it.each(sourceFormats.map((f) => [f.name, f] as const))(
    'packs %s like the reference',
    async (_, format) => {
      const device = openCpuDevice();
      const columns = Math.max(format.blockElements, columnMultiple(format.layout)) * 3;
      const reversed = Int32Array.from({ length: 37 }, (_unused, i) => 36 - i);
      for (const rowMap of [undefined, reversed]) {
        const parts = randomParts(format, 37, columns);
        const byteLength = packedBytes(format.layout, 37, columns);
        const target = device.allocate(byteLength + 64, format.name);
        const native = nativeParts(format, parts, 37, columns);
        const request = {
          target,
          offset: 64,
          byteLength,
          ...native,
          rows: 37,
          columns,
          layout: format.layout,
          rowMap,
        };
        await packNative(device, request);
        const found = await device.read(target, 64, byteLength);
        expect(Buffer.from(found).equals(packReference(format, parts, 37, columns, rowMap))).toBe(true);
        target.dispose();
      }
      device.dispose();
    },
  );

  it('loads a checkpoint to the same bytes as plain TypeScript', async () => {
    const checkpoint = await modelCheckpoint(tinyCheckpoint());
    const native = openCpuDevice();
    const plain = openJsDevice();
    const load = async (
      device: Device,
      packInto?: typeof packOnNative,
    ): Promise<(LoadedMatrix | LoadedVector)[]> => {
      const factory = { matrix: (m: LoadedMatrix) => m, vector: (v: LoadedVector) => v };
      const loader = new CheckpointLoader(checkpoint, device, factory, packInto ? { packInto } : {});
      const all = checkpoint.tensors.map((name) => {
        const { shape } = checkpoint.describe(name);
        return shape.length === 1
          ? loader.vector(name, shape[0] as number)
          : loader.matrix(name, shape as [number, number]);
      });
      await loader.run();
      return all;
    };
    const packOnNative = (request: Parameters<typeof packNative>[1]): Promise<void> =>
      packNative(native, request);
    const [a, b] = [await load(native, packOnNative), await load(plain)];
    for (const [i, { name, buffer }] of a.entries()) {
      const other = b[i] ?? expect.fail(name);
      expect(buffer.byteLength).toBe(other.buffer.byteLength);
      const [x, y] = [
        await native.read(buffer, 0, buffer.byteLength),
        await plain.read(other.buffer, 0, buffer.byteLength),
      ];
      expect([name, Buffer.compare(x, y)]).toEqual([name, 0]);
    }
    native.dispose();
  });
});
