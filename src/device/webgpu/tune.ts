// The tuner: runs a whole program with each candidate of its kernels and keeps what the GPU's timestamps say is fastest.
// One family of keys (the first word of a key) varies at a time, so that a dispatch's time tells about one choice. A
// whole program is run, not single kernels, so that weights come from memory as they do in use. Families that take most of the
// time have most of the tuner's.

import { IngotError } from '../../base/errors.ts';
import type { Choices } from '../../kernel/tune/choices.ts';
import type { DeviceProgram } from '../device.ts';
import type { WebGpuDevice } from './device.ts';
import { isStreamed } from './expert-uses.ts';

export interface TuneResult {
  readonly key: string;
  readonly candidate: string;
  /** Time of the kept candidate over that of the one used before. */
  readonly ratio: number;
  /** Nanoseconds by candidate, of all dispatches with this key, summed over the typical runs. */
  readonly ns: Readonly<Record<string, number>>;
}

/** Runs the program as it is used, which leaves its inputs where candidates find them; resolves to the scalars of that run. */
export type TypicalRun = () => Promise<Readonly<Record<string, number>>>;

export interface TuneOptions {
  /** Typical runs, such as one row and a full chunk. */
  readonly loads: readonly TypicalRun[];
  /** Runs of each candidate; the fastest counts. Default 3. */
  readonly runs?: number;
  /** No measurement begins later than this many milliseconds after the start. Default: no end. */
  readonly budgetMs?: number | undefined;
  /** Which keys to measure. Default: all. */
  readonly only?: ((key: string) => boolean) | undefined;
  /** Candidates of a key that are tried at most, spread over its list. Default: all. */
  readonly candidates?: number | undefined;
  /** Milliseconds that pass. */
  readonly now?: (() => number) | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, total: number, key: string) => void) | undefined;
}

/** Sizes of chains that are tried, workgroups x threads: a chain needs all of its workgroups at the same time. */
const chainSizes = ['off', '32x256', '64x256', '96x256', '132x256', '132x512'] as const;

const familyOf = (key: string): string => key.split(' ')[0] ?? key;
const isChain = (key: string): boolean => familyOf(key) === 'chain';

/**
 * Tunes the kernels of a program on the device; its states are overwritten. The choices go into the device's book; what there
 * was no time for keeps its choice.
 * @throws IngotError `unsupported` without timestamps, and for experts that are streamed.
 */
export async function tuneProgram(
  device: WebGpuDevice,
  program: DeviceProgram,
  options: TuneOptions,
): Promise<{ readonly results: readonly TuneResult[]; readonly choices: Choices }> {
  if (!device.canTime) {
    throw new IngotError(
      'unsupported',
      `${device.description} has no timestamps, so kernels cannot be timed`,
    );
  }
  if (isStreamed(program)) {
    throw new IngotError(
      'unsupported',
      'a model whose experts are streamed cannot be tuned: load it, or a smaller one of its kind, with all of them in memory',
    );
  }
  const tuner = new Tuner(device, program, options);
  const results = await tuner.run();
  return { results, choices: device.choices.measured() };
}

/** The keys that a program asks for and nobody measured on this adapter, those with one candidate left out. */
export function unknownKeys(device: WebGpuDevice, program: DeviceProgram): readonly string[] {
  const keys = [...new Set(keysOfDispatches(device, program).flat()), ...chainKeys(device, program)];
  return keys.filter((key) => !device.choices.knows(key));
}

class Tuner {
  readonly #device: WebGpuDevice;
  readonly #program: DeviceProgram;
  /** Without chains: those hide what single kernels take. */
  readonly #apart: DeviceProgram;
  readonly #options: TuneOptions;
  readonly #now: () => number;
  readonly #end: number;
  readonly #keysOf: readonly (readonly string[])[];

  constructor(device: WebGpuDevice, program: DeviceProgram, options: TuneOptions) {
    this.#device = device;
    this.#program = program;
    this.#apart = { ...program, chains: false };
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#end = this.#now() + (options.budgetMs ?? Number.POSITIVE_INFINITY);
    this.#keysOf = keysOfDispatches(device, program);
  }

  async run(): Promise<readonly TuneResult[]> {
    const { only: wanted = () => true, onProgress } = this.#options;
    const chains =
      this.#program.chains === false ? [] : chainKeys(this.#device, this.#program).filter(wanted);
    const keys = [...new Set(this.#keysOf.flat())].filter(wanted);
    const total = keys.length + chains.length;
    const weights = await this.#weigh(keys);
    const families = [...weights].sort(([, a], [, b]) => b - a).map(([family]) => family);
    const results: TuneResult[] = [];
    let left = [...weights.values()].reduce((a, b) => a + b, 0);
    let done = 0;
    for (const family of families) {
      if (this.#now() >= this.#end) break;
      const members = keys.filter((key) => familyOf(key) === family);
      onProgress?.(done, total, family);
      const weight = weights.get(family) ?? 0;
      // Chains, which come last, get a third.
      const rest = (this.#end - this.#now()) * (chains.length > 0 ? 2 / 3 : 1);
      // At least a little: what hardly runs here may matter elsewhere.
      const share = left > 0 ? Math.max(0.05, weight / left) : 1;
      results.push(...(await this.#tuneFamily(members, this.#now() + rest * share)));
      left -= weight;
      done += members.length;
    }
    for (const key of chains) {
      if (this.#now() >= this.#end) break;
      onProgress?.(done++, total, 'chain');
      const result = await this.#tuneChain(key);
      if (result !== undefined) results.push(result);
    }
    onProgress?.(total, total, '');
    return results;
  }

  /** What each family takes of the typical runs, in nanoseconds. */
  async #weigh(keys: readonly string[]): Promise<ReadonlyMap<string, number>> {
    const weights = new Map<string, number>(keys.map((key) => [familyOf(key), 0]));
    for (const typical of this.#options.loads) {
      const scalars = await typical();
      const ns = await this.#time(this.#apart, scalars, 1);
      ns?.forEach((t, i) => {
        for (const family of new Set((this.#keysOf[i] ?? []).map(familyOf)))
          if (weights.has(family)) weights.set(family, (weights.get(family) ?? 0) + t);
      });
    }
    return weights;
  }

  async #tuneFamily(keys: readonly string[], end: number): Promise<readonly TuneResult[]> {
    const book = this.#device.choices;
    const lists = new Map(keys.map((key) => [key, this.#candidatesOf(key)]));
    const before = new Map([...lists].map(([key, list]) => [key, list[0] ?? '']));
    const rounds = Math.max(...[...lists.values()].map((list) => list.length));
    const { loads, signal } = this.#options;
    const start = this.#now();
    const times = new Map<string, (number | undefined)[]>(keys.map((key) => [key, []]));
    let tried = rounds;
    for (const [l, typical] of loads.entries()) {
      const scalars = await typical();
      // Every typical run has its part of the time, and only candidates that all have seen are compared.
      const part = start + ((end - start) * (l + 1)) / loads.length;
      let c = 0;
      for (; c < tried && (c === 0 || this.#now() < part); c++) {
        signal?.throwIfAborted();
        for (const [key, list] of lists) book.force(key, list[c] ?? before.get(key) ?? '');
        const ns = await this.#time(this.#apart, scalars).finally(() => book.release());
        for (const [key, list] of times) {
          const own = ns?.reduce((sum, t, i) => sum + (this.#keysOf[i]?.includes(key) === true ? t : 0), 0);
          const sofar = l === 0 ? 0 : list[c];
          list[c] = own === undefined || sofar === undefined ? undefined : sofar + own;
        }
      }
      tried = Math.min(tried, c);
    }
    return keys.flatMap((key) => {
      const list = (lists.get(key) ?? []).slice(0, tried);
      const measured = list.flatMap((name, c): [string, number][] => {
        const ns = times.get(key)?.[c];
        return ns === undefined ? [] : [[name, ns]];
      });
      const result = this.#keep(key, measured, before.get(key) ?? '');
      return result === undefined ? [] : [result];
    });
  }

  /** A chain by what all of a step takes: it stands for several dispatches. The last typical run has one row. */
  async #tuneChain(key: string): Promise<TuneResult | undefined> {
    const book = this.#device.choices;
    const list = this.#candidatesOf(key, chainSizes);
    const typical = this.#options.loads.at(-1);
    if (typical === undefined) return undefined;
    const scalars = await typical();
    const measured: [string, number][] = [];
    for (const candidate of list) {
      if (measured.length > 0 && this.#now() >= this.#end) break;
      this.#options.signal?.throwIfAborted();
      book.force(key, candidate);
      const ns = await this.#time(this.#program, scalars).finally(() => book.release());
      if (ns !== undefined) measured.push([candidate, ns.reduce((a, b) => a + b, 0)]);
    }
    return this.#keep(key, measured, list[0] ?? 'off');
  }

  #keep(
    key: string,
    measured: readonly (readonly [string, number])[],
    before: string,
  ): TuneResult | undefined {
    const [best] = [...measured].sort(([, a], [, b]) => a - b);
    const was = measured.find(([candidate]) => candidate === before) ?? best;
    if (best === undefined || was === undefined) return undefined;
    // Timings scatter by a few percent, and a key that no typical run takes has no time of its own.
    const [candidate, ns] = best[1] < 0.97 * was[1] ? best : was;
    this.#device.choices.keep(key, candidate);
    return { key, candidate, ratio: was[1] > 0 ? ns / was[1] : 1, ns: Object.fromEntries(measured) };
  }

  /** The candidate in use, then the others: as many as are to be tried, spread over the list. */
  #candidatesOf(key: string, only?: readonly string[]): readonly string[] {
    const book = this.#device.choices;
    if (only === undefined) {
      const at = this.#keysOf.findIndex((list) => list.includes(key));
      keysOfDispatch(this.#device, this.#program, at);
    } else chainKeys(this.#device, this.#program);
    const all = book.asked.get(key) ?? [];
    const used = book.choose(key, all);
    const others = all.filter((c) => c !== used && (only === undefined || only.includes(c)));
    const most = (this.#options.candidates ?? Number.POSITIVE_INFINITY) - 1;
    if (others.length <= most) return [used, ...others];
    const spread = Array.from(
      { length: most },
      (_, i) => others[Math.floor((i * others.length) / most)] ?? used,
    );
    return [used, ...spread];
  }

  /** Nanoseconds of each dispatch in the fastest of some runs; undefined when a candidate does not run on this GPU. */
  async #time(
    program: DeviceProgram,
    scalars: Readonly<Record<string, number>>,
    runs = this.#options.runs ?? 3,
  ): Promise<readonly number[] | undefined> {
    const best = program.dispatches.map(() => Number.POSITIVE_INFINITY);
    const compiled = this.#device.compile(program, { profile: true });
    try {
      for (let run = 0; run < runs; run++) {
        await compiled.run(scalars);
        compiled.profile().forEach(({ ns }, i) => {
          best[i] = Math.min(best[i] ?? Number.POSITIVE_INFINITY, ns);
        });
      }
      return best.map((ns) => (Number.isFinite(ns) ? ns : 0));
    } catch (error) {
      if (error instanceof IngotError && error.code === 'device_failed') return undefined;
      throw error;
    } finally {
      compiled.dispose();
    }
  }
}

/** The keys that each dispatch asks for. Equal ones, as of the layers of a model, are asked once. */
function keysOfDispatches(device: WebGpuDevice, program: DeviceProgram): readonly (readonly string[])[] {
  const known = new Map<string, readonly string[]>();
  return program.dispatches.map(({ kernel, params, buffers }, i) => {
    const same = JSON.stringify([kernel.name, params, buffers.map((b) => b.byteLength)]);
    const keys = known.get(same) ?? keysOfDispatch(device, program, i);
    known.set(same, keys);
    return keys;
  });
}

/** The keys that one dispatch asks for. */
function keysOfDispatch(device: WebGpuDevice, program: DeviceProgram, index: number): readonly string[] {
  device.choices.asked.clear();
  const dispatch = program.dispatches[index];
  if (dispatch === undefined) return [];
  device.compile({ ...program, dispatches: [dispatch] }).dispose();
  return asked(device).filter((key) => !isChain(key));
}

/** The keys of the chains that a program could run. */
function chainKeys(device: WebGpuDevice, program: DeviceProgram): readonly string[] {
  device.choices.asked.clear();
  device.compile(program).dispose();
  return asked(device).filter(isChain);
}

const asked = ({ choices }: WebGpuDevice): readonly string[] =>
  [...choices.asked].filter(([, candidates]) => candidates.length > 1).map(([key]) => key);
