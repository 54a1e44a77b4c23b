// Experts of which the GPU holds some: slots in a few large buffers, one for each matrix of a block, that all layers share whose
// experts are alike. Kernels get the slots' numbers in place of the experts'. What is missing is read into mapped memory and
// copied into the slots of experts that give way, in the order of the GPU's queue: what was submitted before still finds those.

import { IngotError } from '../../base/errors.ts';
import { failureMessage, failureNumber } from '../../kernel/wgsl/status.ts';
import { packReference } from '../../quant/reference.ts';
import { sourceFormatOf } from '../../quant/registry.ts';
import type { PackRows } from '../cpu/pack.ts';
import type { DeviceBuffer, OpenedFile, OpenFile } from '../device.ts';
import { ExpertSlots } from '../expert-slots.ts';
import {
  type ExpertCounters,
  type ExpertPart,
  type ExpertStream,
  type ExpertStreamSpec,
  expertParts,
  type StreamedLayer,
} from '../expert-stream.ts';
import type { Room } from '../expert-waves.ts';
import { StreamedStack, type WebGpuBuffer } from './buffer.ts';
import { type Pool, type PoolLimits, planPools } from './expert-pools.ts';
import { Staging } from './staging.ts';

/** What streaming takes of a device and its surroundings. */
export interface GpuExpertsHost {
  readonly gpu: GPUDevice;
  readonly limits: PoolLimits;
  readonly openFile: OpenFile;
  readonly pack?: PackRows | undefined;
  allocate(byteLength: number, label: string): WebGpuBuffer;
}

/** A matrix in a pool: its buffer, and bytes of a slot. */
interface SlotBuffer {
  readonly buffer: WebGpuBuffer;
  readonly slotBytes: number;
}

interface Missing {
  readonly expert: number;
  readonly parts: readonly ExpertPart[];
}

const counted = () => ({
  requests: 0,
  hits: 0,
  reads: 0,
  bytesRead: 0,
  waits: 0,
  waitNs: 0,
  readNs: 0,
  busyNs: 0,
});

export class GpuExperts implements ExpertStream {
  readonly layers: readonly StreamedLayer[];
  readonly #host: GpuExpertsHost;
  readonly #spec: ExpertStreamSpec;
  readonly #files: OpenedFile[] = [];
  readonly #slots: ExpertSlots;
  readonly #total: number;
  /** By layer. */
  readonly #buffers: Readonly<Record<ExpertPart, SlotBuffer>>[] = [];
  /** The slots of the experts of each layer whose experts are all there, layer behind layer; and how old each row is. */
  readonly #table: WebGpuBuffer;
  readonly #rows: { readonly at: number; since: number | undefined }[] = [];
  readonly #owned: DeviceBuffer[] = [];
  readonly #staging: Staging[] = [];
  readonly #count = counted();
  #reading = 0;
  #busySince = 0;
  #pending: Promise<unknown> | undefined;
  readonly ready: Promise<void>;

  /** Throws bad_file, and out_of_memory when the bytes hold no expert or the GPU has not as many. */
  constructor(host: GpuExpertsHost, spec: ExpertStreamSpec) {
    this.#host = host;
    this.#spec = spec;
    this.layers = spec.layers;
    const pools = planPools(spec.layers, spec.bytes, host.limits);
    this.#total = pools.reduce((sum, { slots }) => sum + slots, 0);
    this.#slots = new ExpertSlots({
      experts: spec.layers.map(({ experts }) => experts),
      groups: pools,
      eviction: spec.eviction,
      prior: spec.prior,
    });
    try {
      for (const { path, byteLength } of spec.files) this.#files.push(host.openFile(path, byteLength));
      for (const pool of pools) this.#allocate(pool);
      this.#table = this.#makeTable();
      const largest = Math.max(...spec.layers.map(({ blockBytes }) => blockBytes));
      for (let i = 0; i < spec.readers; i++) this.#staging.push(new Staging(host.gpu, largest));
    } catch (error) {
      this.dispose();
      throw error;
    }
    const kept = spec.hot.filter(({ layer, expert }) => this.#slots.keep(layer, expert));
    this.ready = kept.length > 0 ? this.#readHot(kept) : Promise.resolve();
  }

  stack(layer: number, part: ExpertPart): StreamedStack {
    return new StreamedStack(this, layer, part);
  }

  /** The slots of a matrix, one after the other: what kernels read in place of the stack. */
  slots(layer: number, part: ExpertPart): WebGpuBuffer {
    return this.#slotBuffer(layer, part).buffer;
  }

  slotOf(layer: number, expert: number): number {
    return this.#slots.slotOf(layer, expert);
  }

  has(layer: number, expert: number, parts: readonly ExpertPart[]): boolean {
    return this.#slots.has(layer, expert, parts);
  }

  /** The slots of a layer's experts on the GPU, from a word on. They hold where `isWhole`. */
  table(layer: number): { readonly table: GPUBuffer; readonly row: number } {
    return { table: this.#table.gpu, row: this.#rows[layer]?.at ?? 0 };
  }

  /** Whether parts of all experts of a layer are there; their slots are then in the table for what is submitted next. */
  isWhole(layer: number, parts: readonly ExpertPart[]): boolean {
    const since = this.#slots.wholeSince(layer, parts);
    const row = this.#rows[layer];
    if (since === undefined || row === undefined) return false;
    if (row.since !== since) {
      const { experts = 0 } = this.layers[layer] ?? {};
      const slots = Int32Array.from({ length: experts }, (_, e) => this.#slots.slotOf(layer, e));
      this.#host.gpu.queue.writeBuffer(this.#table.gpu, 4 * row.at, slots);
      row.since = since;
    }
    return true;
  }

  /** How many experts of a layer can be there at a time, and which are. */
  room(layer: number): Room {
    return {
      most: this.#slots.room(layer),
      isFree: (e) => this.#slots.isHot(layer, e),
      isThere: (e) => this.#slots.slotOf(layer, e) >= 0,
    };
  }

  /** Counts what the rows of a step chose. Throws device_failed for a number that is no expert's. */
  chose(layer: number, ids: Int32Array, wasWhole = false): void {
    const { experts = 0 } = this.layers[layer] ?? {};
    const wrong = ids.find((id) => id < 0 || id >= experts);
    if (wrong !== undefined) throw new IngotError('device_failed', badExpert(wrong));
    const rows = new Map<number, number>();
    for (const id of ids) rows.set(id, (rows.get(id) ?? 0) + 1);
    for (const [expert, n] of rows) {
      this.#slots.choose(layer, expert, n);
      this.#count.requests++;
      if (wasWhole || this.#slots.has(layer, expert, ['gate', 'up'])) this.#count.hits++;
    }
    if (wasWhole) this.#slots.need(layer, rows.keys());
  }

  /**
   * Brings parts of experts into slots, at most as many as there is room for. What was submitted before finds the experts that give way;
   * what is recorded and not submitted does not. Rejects with bad_file.
   */
  async bring(layer: number, experts: readonly number[], parts: readonly ExpertPart[]): Promise<void> {
    await this.ready;
    this.#slots.need(layer, experts);
    const missing = experts.flatMap((expert): Missing[] => {
      const wanted = parts.filter((part) => !this.#slots.has(layer, expert, [part]));
      return wanted.length === 0 ? [] : [{ expert, parts: wanted }];
    });
    if (missing.length === 0) return;
    for (const { expert } of missing) {
      if (!this.#slots.assign(layer, expert))
        throw tooFew(this.layers[layer], experts.length, this.room(layer));
    }
    const start = performance.now();
    try {
      await this.#readAll(missing.map((each) => ({ layer, ...each })));
    } finally {
      this.#count.waits++;
      this.#count.waitNs += 1e6 * (performance.now() - start);
    }
  }

  counters(): ExpertCounters {
    return {
      slots: this.#total,
      slotsUsed: this.#slots.used,
      ...this.#count,
      choices: 0,
      swapped: 0,
      dropped: 0,
    };
  }

  chosen(): readonly Float64Array[] {
    return this.layers.map((_, layer) => this.#slots.rowsOf(layer));
  }

  /** Reads that are under way; the memory that they go into must stay until they have ended. */
  get pending(): Promise<unknown> | undefined {
    return this.#pending;
  }

  dispose(): void {
    const release = (): void => {
      for (const file of this.#files.splice(0)) file.close();
      for (const staging of this.#staging.splice(0)) staging.dispose();
    };
    if (this.#pending === undefined) release();
    else void this.#pending.finally(release);
    for (const buffer of this.#owned.splice(0)) buffer.dispose();
  }

  #allocate({ layers, slots, sizes }: Pool): void {
    const make = (part: ExpertPart): SlotBuffer => {
      const buffer = this.#host.allocate(slots * sizes[part], `slots of ${part}`);
      this.#owned.push(buffer);
      return { buffer, slotBytes: sizes[part] };
    };
    const buffers = { gate: make('gate'), up: make('up'), down: make('down') };
    for (const layer of layers) this.#buffers[layer] = buffers;
  }

  #makeTable(): WebGpuBuffer {
    let words = 0;
    for (const { experts } of this.layers) {
      this.#rows.push({ at: words, since: undefined });
      words += experts;
    }
    const table = this.#host.allocate(4 * words, 'slots of layers');
    this.#owned.push(table);
    return table;
  }

  #slotBuffer(layer: number, part: ExpertPart): SlotBuffer {
    const found = this.#buffers[layer];
    if (found === undefined) throw new IngotError('disposed', 'the experts were disposed');
    return found[part];
  }

  /** Those that cannot be read now are tried again when they are chosen. */
  async #readHot(hot: ExpertStreamSpec['hot']): Promise<void> {
    await this.#readAll(hot.map((id) => ({ ...id, parts: expertParts }))).catch(() => undefined);
  }

  /** Reads with as many readers as there may be; when one fails, none begins another read. */
  async #readAll(jobs: readonly (Missing & { readonly layer: number })[]): Promise<void> {
    const queue = jobs.values();
    let failure: unknown;
    const reader = async (staging: Staging): Promise<void> => {
      for (const { layer, expert, parts } of queue) {
        if (failure !== undefined) return;
        try {
          await this.#read(layer, expert, parts, staging);
          this.#slots.arrived(layer, expert, parts);
        } catch (error) {
          failure ??= error;
        }
      }
    };
    this.#pending = Promise.all(this.#staging.map(reader));
    await this.#pending;
    this.#pending = undefined;
    if (failure !== undefined) throw failure;
  }

  async #read(layer: number, expert: number, parts: readonly ExpertPart[], staging: Staging): Promise<void> {
    const { matrices } = this.layers[layer] as StreamedLayer;
    const target = await staging.bytes();
    const start = performance.now();
    if (this.#reading++ === 0) this.#busySince = start;
    try {
      for (let at = 0; at < parts.length; at++) {
        const matrix = matrices[parts[at] as ExpertPart];
        const { offset, byteLength, source } = matrix;
        const places = matrix.places[expert] ?? [];
        if (source !== undefined) {
          const read = await Promise.all(
            places.map(async (place) => {
              const bytes = new Uint8Array(place.byteLength);
              await this.#fill(layer, expert, place, bytes);
              return bytes;
            }),
          );
          target.set(await this.#pack(source, read, matrix), offset);
          continue;
        }
        // What follows in the file as it does in the block is read with it.
        const [place] = places;
        if (place === undefined) continue;
        let end = offset + byteLength;
        for (; at + 1 < parts.length; at++) {
          const next = matrices[parts[at + 1] as ExpertPart];
          const [behind] = next.places[expert] ?? [];
          const apart = next.offset - offset;
          if (next.source !== undefined || behind?.file !== place.file) break;
          if (behind.offset !== place.offset + apart) break;
          end = next.offset + next.byteLength;
        }
        await this.#fill(layer, expert, place, target.subarray(offset, end));
      }
    } finally {
      const now = performance.now();
      this.#count.readNs += 1e6 * (now - start);
      if (--this.#reading === 0) this.#count.busyNs += 1e6 * (now - this.#busySince);
    }
    const slot = this.#slots.slotOf(layer, expert);
    staging.send(
      parts.map((part) => {
        const { buffer, slotBytes } = this.#slotBuffer(layer, part);
        return {
          from: matrices[part].offset,
          to: buffer.gpu,
          offset: slot * slotBytes,
          byteLength: slotBytes,
        };
      }),
    );
  }

  async #fill(
    layer: number,
    expert: number,
    { file, offset }: { readonly file: number; readonly offset: number },
    target: Uint8Array,
  ): Promise<void> {
    this.#count.reads++;
    this.#count.bytesRead += target.byteLength;
    try {
      const opened = this.#files[file];
      if (opened === undefined) throw new Error('the experts were disposed');
      await opened.readInto(offset, target);
    } catch (cause) {
      const { path } = this.#spec.files[file] ?? { path: '' };
      throw new IngotError(
        'bad_file',
        `experts: layer ${layer}, expert ${expert}: ${path}: ${target.byteLength} bytes at ${offset}: ${(cause as Error).message}`,
        { cause },
      );
    }
  }

  async #pack(
    source: number,
    parts: readonly Uint8Array[],
    { rows, columns, layout, byteLength }: StreamedLayer['matrices'][ExpertPart],
  ): Promise<Uint8Array> {
    const { pack } = this.#host;
    if (pack !== undefined) return pack({ source, parts, rows, columns, layout, byteLength });
    return packReference(sourceFormatOf(source, layout), parts, rows, columns);
  }
}

/** As a kernel says it. */
const badExpert = (id: number): string =>
  failureMessage(Uint32Array.of(failureNumber('expert_id'), id)) ?? '';

const tooFew = (layer: StreamedLayer | undefined, needed: number, { most }: Room): IngotError =>
  new IngotError(
    'out_of_memory',
    `${layer?.name}: ${needed} experts are needed together and memory has room for ${most} beside the hot ones: give experts more memory`,
    { details: { needed, most } },
  );
