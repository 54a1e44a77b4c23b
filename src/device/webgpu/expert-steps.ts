// A run that stops where its routers have chosen: ids are read back, experts that are missing are brought, and what follows is submitted.
// It does not stop for a layer whose experts are all there. Those of a layer that are there are used while the missing ones are read. Where
// a step needs more experts than there is room for, a dispatch runs again for each wave of them.

import { absentExpert } from '../../kernel/wgsl/moe/held.ts';
import type { BufferSlice } from '../device.ts';
import { expertWaves, rowWaves } from '../expert-waves.ts';
import type { ExpertUse } from './expert-uses.ts';
import type { Place } from './moves.ts';
import { type Command, paramIn, recordCommand, type TimedDispatch } from './record.ts';
import type { SlotNumbers } from './slot-numbers.ts';
import type { ReadbackRing } from './transfers.ts';

export interface ExpertStepsParts {
  readonly gpu: GPUDevice;
  readonly readback: ReadbackRing;
  readonly uses: ReadonlyMap<number, ExpertUse>;
  /** Where kernels read the numbers of slots. */
  readonly numbers: GPUBuffer;
  readonly lookUp: SlotNumbers;
  readonly find: (slice: BufferSlice) => Place;
  /** Throws when the program may not go on. */
  readonly check: () => void;
}

/** What a layer's router chose, and whether there is room for all of it; undefined where the GPU looks it up. */
type Chosen = { readonly ids: Int32Array<ArrayBuffer>; readonly fits: boolean } | undefined;

/** A layer that was not waited for, and how many rows chose. */
export interface Unwaited {
  readonly use: ExpertUse;
  readonly rows: number;
}

export class ExpertSteps {
  readonly #parts: ExpertStepsParts;
  #encoder: GPUCommandEncoder;
  #commands: Command[] = [];
  /** Layers that were not waited for: what they chose is written down where the program says. */
  readonly unwaited: Unwaited[] = [];

  constructor(parts: ExpertStepsParts, encoder: GPUCommandEncoder) {
    this.#parts = parts;
    this.#encoder = encoder;
  }

  /** Resolves to the encoder of what follows. Rejects with bad_file when an expert cannot be read. */
  async record(
    dispatches: readonly TimedDispatch[],
    scalars: Readonly<Record<string, number>>,
  ): Promise<GPUCommandEncoder> {
    let chosen: Chosen;
    for (const [at, dispatch] of dispatches.entries()) {
      const use = this.#parts.uses.get(at);
      const rows = use === undefined ? 0 : paramIn(use.rows, scalars);
      if (use === undefined || rows === 0) {
        this.#commands.push(...dispatch.commands);
        continue;
      }
      const { stream, layer, allParts } = use;
      if (allParts !== undefined)
        chosen = stream.isWhole(layer, allParts) ? this.#lookUp(use, rows) : await this.#read(use, rows);
      if (chosen === undefined) this.#commands.push(...dispatch.commands);
      else if (!chosen.fits) await this.#inWaves(use, dispatch, chosen.ids);
      else if (allParts !== undefined) await this.#hitsFirst(use, dispatch, chosen.ids);
      else this.#commands.push(...dispatch.commands);
    }
    this.#flush();
    return this.#encoder;
  }

  #lookUp(use: ExpertUse, rows: number): undefined {
    this.unwaited.push({ use, rows });
    this.#commands.push(this.#parts.lookUp.command(use, rows));
  }

  async #read(use: ExpertUse, rows: number): Promise<Chosen> {
    const { stream, layer } = use;
    const ids = await this.#readIds(use.ids, rows * use.topk);
    stream.chose(layer, ids);
    const { most, isFree } = stream.room(layer);
    return { ids, fits: [...new Set(ids)].filter((e) => !isFree(e)).length <= most };
  }

  /** Brings what is missing; those that are there are used meanwhile, unless the sum over a row's experts is one. */
  async #hitsFirst(use: ExpertUse, dispatch: TimedDispatch, ids: Int32Array<ArrayBuffer>): Promise<void> {
    const { stream, layer, allParts = [] } = use;
    const distinct = [...new Set(ids)];
    const missing = new Set(distinct.filter((e) => !stream.has(layer, e, allParts)));
    const brought = stream.bring(layer, distinct, allParts);
    brought.catch(() => undefined); // told where it is waited for
    if (dispatch.wholeRows !== true && missing.size > 0 && missing.size < distinct.length) {
      for (const commands of partsOf(dispatch.commands)) {
        for (const late of [false, true]) {
          if (late) await brought;
          this.#submit(); // what was recorded reads numbers that change now
          this.#number(use, ids, (place) => missing.has(ids[place] as number) === late);
          this.#commands.push(...commands);
        }
      }
      this.#submit();
      this.#number(use, ids);
      return;
    }
    await brought;
    this.#number(use, ids);
    this.#commands.push(...dispatch.commands);
  }

  async #inWaves(use: ExpertUse, dispatch: TimedDispatch, ids: Int32Array<ArrayBuffer>): Promise<void> {
    const { stream, layer, topk, parts } = use;
    const waves = dispatch.wholeRows === true ? rowWaves : expertWaves;
    for (const commands of partsOf(dispatch.commands)) {
      for (const wave of waves({ ids, topk }, stream.room(layer))) {
        this.#submit(); // what was recorded reads slots that change now
        await stream.bring(layer, wave.experts, parts);
        this.#number(use, ids, (place) => wave.has(place));
        this.#commands.push(...commands);
      }
    }
    this.#submit();
  }

  /** Writes the slots of ids; of those that are not there that they are absent. */
  #number(
    { stream, layer }: ExpertUse,
    ids: Int32Array<ArrayBuffer>,
    has?: (place: number) => boolean,
  ): void {
    const { gpu, numbers, check } = this.#parts;
    check();
    const slots = ids.map((id, i) => (has?.(i) === false ? absentExpert : stream.slotOf(layer, id)));
    gpu.queue.writeBuffer(numbers, 0, slots);
  }

  /** Submits what was recorded and waits for the ids that it wrote. */
  async #readIds(slice: BufferSlice, count: number): Promise<Int32Array<ArrayBuffer>> {
    const { readback, find } = this.#parts;
    this.#flush();
    const result = readback.record(this.#encoder, [{ ...find(slice), length: 4 * count }]);
    this.#submit();
    const [bytes = new Uint8Array(0)] = (await result?.()) ?? [];
    return new Int32Array(bytes.slice().buffer);
  }

  #flush(): void {
    if (this.#commands.length === 0) return;
    const pass = this.#encoder.beginComputePass();
    for (const command of this.#commands) recordCommand(pass, command);
    pass.end();
    this.#commands = [];
  }

  #submit(): void {
    const { gpu, check } = this.#parts;
    check();
    this.#flush();
    gpu.queue.submit([this.#encoder.finish()]);
    this.#encoder = gpu.createCommandEncoder();
  }
}

/** Commands of one part of a dispatch, and the next: those of no part go with the one before, at the start with the first. */
function partsOf(commands: readonly Command[]): readonly (readonly Command[])[] {
  const lists: Command[][] = [[]];
  let part: number | undefined;
  for (const command of commands) {
    if (command.part !== undefined && part !== undefined && command.part !== part) lists.push([]);
    part = command.part ?? part;
    lists.at(-1)?.push(command);
  }
  return lists;
}
