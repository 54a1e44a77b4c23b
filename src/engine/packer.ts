// How weights are packed for a device: by the native kernels where there are any, into memory of the processor first when
// the device has its own.

import { IngotError } from '../base/errors.ts';
import { CpuDevice, openCpuDevice } from '../device/cpu/device.ts';
import { packNative, packRowsOn } from '../device/cpu/pack.ts';
import { quantizeNative, quantizesNatively } from '../device/cpu/quantize.ts';
import type { Device } from '../device/device.ts';
import { quantizeReference } from '../quant/reference.ts';
import type { RowEncoder } from '../weights/export/rows.ts';
import type { PackInto } from '../weights/load-jobs.ts';
import { packThrough } from '../weights/packed/writer.ts';

/** The native packer for buffers of `device`; undefined where plain TypeScript has to pack. */
export function packerFor(device: Device): PackInto | undefined {
  if (device instanceof CpuDevice) return (request) => packNative(device, request);
  if (device.kernels !== 'native') return undefined;
  const cpu = openPacker();
  if (cpu === undefined) return undefined;
  const pack = packRowsOn(cpu);
  return async ({ target, offset, ...rows }) => device.write(target, offset, await pack(rows));
}

/** The native packer for packed files; undefined where plain TypeScript has to pack. */
export function filePacker(): ReturnType<typeof packThrough> | undefined {
  const cpu = openPacker();
  return cpu && packThrough(cpu, (request) => packNative(cpu, request));
}

/** The native quantiser, for the formats that it has; undefined where plain TypeScript has to quantise. */
export function rowEncoder(): RowEncoder | undefined {
  const cpu = openPacker();
  if (cpu === undefined) return undefined;
  return async (format, values, rows, columns) =>
    quantizesNatively(format)
      ? quantizeNative(cpu, format, values, rows, columns)
      : quantizeReference(format, values, rows, columns);
}

function openPacker(): CpuDevice | undefined {
  try {
    return openCpuDevice();
  } catch (error) {
    if (error instanceof IngotError && error.code === 'unsupported') return undefined;
    throw error;
  }
}
