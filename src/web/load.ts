// From an address, a chosen file or bytes to a loaded model, in a browser.

import type { Device } from '../device/device.ts';
import { type BrowserGpuOptions, openBrowserGpu } from '../device/webgpu/browser.ts';
import { loadOnto } from '../engine/place.ts';
import type { LoadOptions, Model } from '../engine/types.ts';
import { modelCheckpoint } from '../models/files/translate.ts';
import { type ModelSource, modelName, openModel } from '../weights/open-web.ts';

/** The device is WebGPU; all else is as in Node. */
export type WebLoadOptions = Omit<LoadOptions, 'device' | 'threads' | 'onNotice'>;

/** Opens the browser's GPU, for arrays. Throws unsupported with what to do when there is none. */
export const openDevice = (options?: BrowserGpuOptions): Promise<Device> => openBrowserGpu(options);

/**
 * Loads a model onto the browser's GPU. A file behind an address is read in ranges as weights are placed; where the server
 * knows no ranges it is downloaded first (`onProgress` with phase `download`).
 * @throws IngotError `unsupported` without WebGPU, `not_found`, `download_failed`, `bad_file`, `missing_tensor`,
 *   `out_of_memory`; the signal's reason when aborted. Nothing stays allocated after a failure.
 */
export async function load(source: ModelSource, options: WebLoadOptions = {}): Promise<Model> {
  const { memoryLimit, signal, onProgress } = options;
  const name = modelName(source);
  const device = await openBrowserGpu({ memoryLimit });
  const open = () =>
    modelCheckpoint(
      openModel(source, {
        signal,
        onDownload: (progress) => onProgress?.({ phase: 'download', ...progress }),
      }),
    );
  return loadOnto(device, open, name, options, { availableMemory: Number.POSITIVE_INFINITY });
}
