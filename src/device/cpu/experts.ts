// Experts that the addon reads from files when kernels need them (native/runtime/experts.h).

import { IngotError } from '../../base/errors.ts';
import { layoutCode, metaDtypeCode } from '../../quant/layout.ts';
import type { DeviceBuffer } from '../device.ts';
import {
  type ExpertCounters,
  type ExpertPart,
  type ExpertStream,
  type ExpertStreamSpec,
  expertParts,
  type StreamedLayer,
  type StreamedMatrix,
} from '../expert-stream.ts';
import type { Addon, NativeExperts, NativeMemory } from './addon.ts';
import { byName } from './counters.ts';

/** What tests do to reads: shares of system calls, and the longest delay in microseconds. */
export interface ReadFaults {
  readonly short?: number;
  readonly fail?: number;
  readonly delayUs?: number;
  readonly seed?: number;
}

function* matrixNumbers({ offset, byteLength, rows, columns, layout, source, places }: StreamedMatrix) {
  yield offset;
  yield byteLength;
  yield source ?? -1;
  yield rows;
  yield columns;
  yield layoutCode(layout);
  yield layout.group;
  yield metaDtypeCode(layout);
  yield places[0]?.length ?? 0;
  for (const parts of places) for (const { file, offset: at, byteLength: n } of parts) yield* [file, at, n];
}

function* layerNumbers(layers: readonly StreamedLayer[]) {
  for (const { experts, blockBytes, matrices } of layers) {
    yield experts;
    yield blockBytes;
    for (const part of expertParts) yield* matrixNumbers(matrices[part]);
  }
}

/** In the order of `expertCounters` (native/runtime/napi_experts.h). */
const counterNames = [
  'slots',
  'slotsUsed',
  'requests',
  'hits',
  'reads',
  'bytesRead',
  'waits',
  'waitNs',
  'readNs',
  'busyNs',
  'choices',
  'swapped',
  'dropped',
] as const satisfies readonly (keyof ExpertCounters)[];

const evictions = { lru: 0, frequency: 1 } as const;

/** A stream over the addon. `adopt` makes buffers of the device out of the addon's memories. */
export class CpuExpertStream implements ExpertStream {
  readonly #addon: Addon;
  readonly #layers: readonly StreamedLayer[];
  readonly #adopt: (memory: NativeMemory, label: string, byteLength: number) => DeviceBuffer;
  readonly #buffers: DeviceBuffer[] = [];
  #store: NativeExperts | undefined;

  constructor(
    addon: Addon,
    { files, layers, bytes, readers, eviction, hot, prior = [] }: ExpertStreamSpec,
    adopt: (memory: NativeMemory, label: string, byteLength: number) => DeviceBuffer,
  ) {
    this.#addon = addon;
    this.#layers = layers;
    this.#adopt = adopt;
    try {
      this.#store = addon.openExperts(
        files.map(({ path }) => path),
        Float64Array.from(files, ({ byteLength }) => byteLength),
        Float64Array.from(layerNumbers(layers)),
        Float64Array.from([bytes, readers, evictions[eviction], ...hot.flatMap((h) => [h.layer, h.expert])]),
        Float64Array.from(prior.flatMap((counts) => [...counts])),
      );
    } catch (cause) {
      const message = cause instanceof Error ? cause.message : String(cause);
      const code = message.startsWith('out of memory') ? 'out_of_memory' : 'bad_file';
      throw new IngotError(code, `streaming experts: ${message}`, { cause });
    }
  }

  get #native(): NativeExperts {
    if (this.#store === undefined) throw new IngotError('disposed', 'the experts were disposed');
    return this.#store;
  }

  stack(layer: number, part: ExpertPart): DeviceBuffer {
    const { name, experts, matrices } = this.#layers[layer] as StreamedLayer;
    const memory = this.#addon.expertStack(this.#native, layer, expertParts.indexOf(part));
    const buffer = this.#adopt(memory, `${name}.${part}`, experts * matrices[part].byteLength);
    this.#buffers.push(buffer);
    return buffer;
  }

  counters(): ExpertCounters {
    return byName(counterNames, this.#addon.expertCounters(this.#native));
  }

  chosen(): readonly Float64Array[] {
    const rows = this.#addon.expertRows(this.#native);
    let end = 0;
    return this.#layers.map(({ experts }) => {
      end += experts;
      return rows.slice(end - experts, end);
    });
  }

  distances(): Float64Array {
    return this.#addon.expertDistances(this.#native);
  }

  /** For tests: what reads suffer from now on. */
  inject({ short = 0, fail = 0, delayUs = 0, seed = 1 }: ReadFaults): void {
    this.#addon.injectExpertFaults(this.#native, short, fail, delayUs, seed);
  }

  dispose(): void {
    for (const buffer of this.#buffers.splice(0)) buffer.dispose();
    if (this.#store !== undefined) this.#addon.freeExperts(this.#store);
    this.#store = undefined;
  }
}
