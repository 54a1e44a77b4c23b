// Kernels of the catalog on large operands: their share of a copy of as many bytes, and the time of the same composed of plain operations.

import type { NDArray } from '../src/array/array.ts';
import type { Outputs } from '../src/array/compile.ts';
import type { DType } from '../src/base/dtype.ts';
import type { Device } from '../src/device/device.ts';
import { compare, type Measurement } from '../src/testing/bench.ts';
import { benchRows } from './catalog-cases.ts';

interface TableOptions {
  readonly dtype?: DType;
  /** Modules, or kernels as `module.name`; default all. */
  readonly only?: readonly string[];
  readonly runs?: number;
  /** Gets the row of each kernel when it is done. */
  readonly onRow: (row: Measurement) => void;
}

/** Measures every kernel that is asked for. */
export async function catalogTable(
  device: Device,
  { dtype = 'f16', only = [], runs = 7, onRow }: TableOptions,
): Promise<void> {
  for (const [name, { operands, run, plain = run, weightBytes = 0 }] of Object.entries(benchRows(device))) {
    if (only.length > 0 && !only.includes(name) && !only.includes(name.split('.')[0] ?? '')) continue;
    const functions: Readonly<Record<string, (...xs: NDArray[]) => Outputs>> = { plain, [name]: run };
    const { measurements } = await compare(functions, {
      shapes: [operands],
      dtypes: [dtype],
      device,
      warmup: 1,
      runs,
      fusion: { plain: false },
    });
    const found = measurements.find((m) => m.name === name);
    if (found === undefined) continue;
    const more = (found.bytes + weightBytes) / found.bytes;
    onRow({ ...found, bytes: found.bytes * more, shareOfCopy: found.shareOfCopy * more });
  }
}

/** A row as a line of text. */
export const rowText = ({ name, dtype, microseconds, shareOfCopy, ratio }: Measurement): string =>
  `${name.padEnd(34)} ${dtype} ${microseconds.toFixed(0).padStart(8)} us ${(100 * shareOfCopy).toFixed(0).padStart(4)} % of copy ${ratio.toFixed(2).padStart(6)}x plain\n`;
