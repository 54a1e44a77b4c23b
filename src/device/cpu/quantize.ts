// Native quantising of rows of floats, on the worker pool.

import { IngotError } from '../../base/errors.ts';
import type { SourceFormat } from '../../quant/format.ts';
import { layoutCode, metaDtypeCode, quantizedSpec } from '../../quant/layout.ts';
import type { CpuDevice } from './device.ts';

/** Block formats that native/kernels/quantize.cc has, by their source codes. */
const blocks: readonly (number | undefined)[] = [7, 8, 13, 14, 15];
/** Streams of codes with scales and minimums beside them. */
const words = 9;

/** Whether the addon quantises to a format. */
export const quantizesNatively = ({ code, layout }: SourceFormat): boolean => {
  const spec = quantizedSpec(layout.kind);
  return blocks.includes(code) || (code === words && spec?.minimum === true && spec.steps !== true);
};

/**
 * Encodes `[rows, columns]` finite values: the bytes of each part, the same as those of `quantizeReference`. The values must not change
 * until the promise settles.
 */
export async function quantizeNative(
  device: CpuDevice,
  format: SourceFormat,
  values: Float32Array,
  rows: number,
  columns: number,
): Promise<readonly Uint8Array[]> {
  const { layout, code = -1 } = format;
  const parts = format.rowBytes(columns).map((bytes) => new Uint8Array(bytes * rows));
  try {
    await device.addon.quantize(
      code,
      values,
      rows,
      columns,
      [layoutCode(layout), layout.group, metaDtypeCode(layout)],
      parts,
    );
  } catch (cause) {
    throw new IngotError(
      'internal',
      `quantising [${rows}, ${columns}] to ${format.name}: ${(cause as Error).message}`,
      { cause },
    );
  }
  return parts;
}
