// The tuner: runs a whole program with each candidate of its kernels and keeps what the GPU's timestamps say is fastest.
// One family of keys (the first word of a key) varies at a time, so that a dispatch's time tells about one choice. A
// whole program is run, not single kernels, so that weights come from memory as they do in use.

import { IngotError } from '../../base/errors.ts';
import type { Choices } from '../../kernel/tune/choices.ts';
import type { DeviceProgram } from '../device.ts';
import type { WebGpuDevice } from './device.ts';

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
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, total: number, key: string) => void) | undefined;
}

const familyOf = (key: string): string => key.split(' ')[0] ?? key;

/**
 * Tunes the kernels of a program on the device; its states are overwritten. The choices go into the device's book.
 * @throws IngotError `unsupported` without timestamps.
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
  const book = device.choices;
  const keysOf = program.dispatches.map((_, i) => keysOfDispatch(device, program, i));
  const keys = [...new Set(keysOf.flat())];
  const families = [...new Set(keys.map(familyOf))];
  const results: TuneResult[] = [];
  let done = 0;
  for (const family of families) {
    const members = keys.filter((key) => familyOf(key) === family);
    options.onProgress?.(done, keys.length, family);
    results.push(...(await tuneFamily(device, program, members, keysOf, options)));
    done += members.length;
  }
  options.onProgress?.(done, keys.length, '');
  return { results, choices: book.measured() };
}

/** The keys that one dispatch asks for. */
function keysOfDispatch(device: WebGpuDevice, program: DeviceProgram, index: number): readonly string[] {
  device.choices.asked.clear();
  const dispatch = program.dispatches[index];
  if (dispatch === undefined) return [];
  device.compile({ ...program, dispatches: [dispatch] }).dispose();
  return [...device.choices.asked].filter(([, candidates]) => candidates.length > 1).map(([key]) => key);
}

async function tuneFamily(
  device: WebGpuDevice,
  program: DeviceProgram,
  keys: readonly string[],
  keysOf: readonly (readonly string[])[],
  options: TuneOptions,
): Promise<readonly TuneResult[]> {
  const book = device.choices;
  const candidates = new Map(keys.map((key) => [key, candidatesOf(device, program, keysOf, key)]));
  const before = new Map(keys.map((key) => [key, book.choose(key, candidates.get(key) ?? [])]));
  const times = new Map<string, Map<string, number>>(keys.map((key) => [key, new Map()]));
  const rounds = Math.max(...[...candidates.values()].map((list) => list.length));
  for (let c = 0; c < rounds; c++) {
    options.signal?.throwIfAborted();
    for (const key of keys) {
      const list = candidates.get(key) ?? [];
      book.force(key, list[c] ?? before.get(key) ?? '');
    }
    const ns = await timeDispatches(device, program, options).finally(() => book.release());
    for (const key of keys) {
      const candidate = candidates.get(key)?.[c];
      if (candidate === undefined || ns === undefined) continue;
      const total = ns.reduce((sum, t, i) => sum + (keysOf[i]?.includes(key) === true ? t : 0), 0);
      times.get(key)?.set(candidate, total);
    }
  }
  return keys.flatMap((key) => {
    const measured = [...(times.get(key) ?? [])].sort(([, a], [, b]) => a - b);
    const [best] = measured;
    const was = measured.find(([candidate]) => candidate === before.get(key)) ?? best;
    if (best === undefined || was === undefined) return [];
    // Timings scatter by a few percent, and a key that no typical run takes has no time of its own.
    const [candidate, ns] = best[1] < 0.97 * was[1] ? best : was;
    book.keep(key, candidate);
    return [{ key, candidate, ratio: ns / was[1], ns: Object.fromEntries(measured) }];
  });
}

function candidatesOf(
  device: WebGpuDevice,
  program: DeviceProgram,
  keysOf: readonly (readonly string[])[],
  key: string,
): readonly string[] {
  keysOfDispatch(
    device,
    program,
    keysOf.findIndex((list) => list.includes(key)),
  );
  return device.choices.asked.get(key) ?? [];
}

/** Nanoseconds of each dispatch, summed over the typical runs; undefined when a candidate does not run on this GPU. */
async function timeDispatches(
  device: WebGpuDevice,
  program: DeviceProgram,
  { loads, runs = 3 }: TuneOptions,
): Promise<readonly number[] | undefined> {
  const total = program.dispatches.map(() => 0);
  const compiled = device.compile(program, { profile: true });
  try {
    for (const typical of loads) {
      const scalars = await typical();
      const best = program.dispatches.map(() => Number.POSITIVE_INFINITY);
      for (let run = 0; run < runs; run++) {
        await compiled.run(scalars);
        compiled.profile().forEach(({ ns }, i) => {
          best[i] = Math.min(best[i] ?? Number.POSITIVE_INFINITY, ns);
        });
      }
      best.forEach((ns, i) => {
        total[i] = (total[i] ?? 0) + ns;
      });
    }
    return total;
  } catch (error) {
    if (error instanceof IngotError && error.code === 'device_failed') return undefined;
    throw error;
  } finally {
    compiled.dispose();
  }
}
