// A store of experts that a device reads from files as they are chosen.

import { IngotError } from '../base/errors.ts';
import type { Device, DeviceBuffer } from '../device/device.ts';
import type { ExpertStream } from '../device/expert-stream.ts';
import { type ExpertTensors, expertStackName } from '../weights/experts.ts';
import type { ExpertStatus, ExpertStore, ExpertStoreOptions, Residency } from './contract.ts';
import { expertSizes, streamedLayers } from './layers.ts';
import type { LayerRouting } from './routing.ts';

/** Reads at a time where nobody measured the disk: what those of servers and laptops need to give all they have. */
export const defaultReaders = 8;

/** Bytes that all experts take, each in its block. */
export const allExpertBytes = (layers: readonly ExpertTensors[]): number =>
  expertSizes(layers).reduce((sum, { experts, blockBytes }) => sum + experts * blockBytes, 0);

/**
 * Opens the experts of a checkpoint on a device. Throws `unsupported` where the device or the file cannot stream, `out_of_memory`
 * when the budget holds no expert.
 */
export function openExpertStore(
  device: Device,
  layers: readonly ExpertTensors[],
  { bytes, eviction = 'lru', readers = defaultReaders, hot = [], prior }: ExpertStoreOptions,
): ExpertStore {
  if (device.streamExperts === undefined) {
    throw new IngotError(
      'unsupported',
      `experts are streamed on the CPU with the native addon and on GPUs from files, not on ${device.name} here: give the model enough memory`,
    );
  }
  const stream = device.streamExperts({ ...streamedLayers(layers), bytes, readers, eviction, hot, prior });
  return new StreamedExperts(stream, layers, { bytes, hot: hot.length });
}

class StreamedExperts implements ExpertStore {
  readonly residency: Residency;
  readonly ready: Promise<void>;
  readonly #stream: ExpertStream;
  readonly #layers: readonly ExpertTensors[];
  readonly #sizes: { readonly bytes: number; readonly hot: number };
  readonly #buffers = new Map<string, DeviceBuffer>();

  constructor(
    stream: ExpertStream,
    layers: readonly ExpertTensors[],
    sizes: { readonly bytes: number; readonly hot: number },
  ) {
    this.#stream = stream;
    this.#layers = layers;
    this.#sizes = sizes;
    this.ready = stream.ready ?? Promise.resolve();
    this.residency = sizes.hot > 0 ? 'hot-set' : 'streamed';
  }

  buffer(name: string): DeviceBuffer | undefined {
    const known = this.#buffers.get(name);
    if (known !== undefined) return known;
    const found = expertStackName(name);
    const layer = found === undefined ? -1 : this.#layers.findIndex((each) => each.name === found.layer);
    if (found === undefined || layer < 0) return undefined;
    const buffer = this.#stream.stack(layer, found.part);
    this.#buffers.set(name, buffer);
    return buffer;
  }

  status(): ExpertStatus {
    const { residency } = this;
    return {
      residency,
      ...this.#sizes,
      allBytes: allExpertBytes(this.#layers),
      ...this.#stream.counters(),
    };
  }

  routing(): readonly LayerRouting[] {
    const chosen = this.#stream.chosen();
    return this.#layers.map(({ name }, l) => ({ name, chosen: [...(chosen[l] ?? [])] }));
  }

  distances(): readonly number[] {
    return [...(this.#stream.distances?.() ?? [])];
  }

  dispose(): void {
    this.#stream.dispose();
  }
}
