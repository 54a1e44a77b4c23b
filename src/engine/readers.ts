// How many threads read a streamed model's experts: measured on the disk that has them, once, and remembered in the cache folder.

import { statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Env, env } from '../base/env.ts';
import { loadAddon } from '../device/cpu/addon.ts';
import { expertSizes, streamedLayers } from '../experts/layers.ts';
import { defaultReaders } from '../experts/store.ts';
import { writeAtomically } from '../weights/atomic-file.ts';
import type { ExpertTensors } from '../weights/experts.ts';
import { isJsonObject } from '../weights/json.ts';

/** What the reads of experts look like to a disk. */
export interface ReadShape {
  readonly path: string;
  readonly size: number;
  /** Bytes of one read, and how many follow each other in a thread's job: gate and up are one job, down is another. */
  readonly piece: number;
  readonly readsPerJob: number;
  /** Jobs that start together: of a layer of which some experts are missing. */
  readonly jobs: number;
}

/** Reads at a time that are tried. */
export const readerCounts = [1, 2, 4, 8, 16] as const;

/** Files smaller than this are read in no time, and not measured. */
const LEAST_BYTES = 64 * 2 ** 20;

export function readShape(layers: readonly ExpertTensors[], expertsPerToken: number): ReadShape | undefined {
  const [first] = layers;
  const [file] = streamedLayers(layers).files;
  if (first === undefined || file === undefined || file.byteLength < LEAST_BYTES) return undefined;
  const packed = first.tensors.gate.kind === 'packed';
  const block = Math.max(...expertSizes(layers).map(({ blockBytes }) => blockBytes));
  return {
    path: file.path,
    size: file.byteLength,
    piece: Math.floor(block / (packed ? 2 : 3)),
    readsPerJob: packed ? 1 : 2,
    jobs: 2 * Math.min(4, expertsPerToken),
  };
}

/** Seconds that the jobs take with so many readers. */
export type TimeReads = (shape: ReadShape, readers: number) => number;

const timeReads: TimeReads = ({ path, size, piece, readsPerJob, jobs }, readers) =>
  loadAddon().measureReadRounds(path, size, piece, readsPerJob, jobs, readers, 0.1);

/**
 * The fewest readers that are within 5 % of the fastest number: reads that share the disk all end late, and an expert that is there
 * early is multiplied while the next one is read.
 */
export function fastestReaders(shape: ReadShape, time: TimeReads = timeReads): number {
  const best = new Map<number, number>();
  for (let round = 0; round < 2; round++)
    for (const readers of readerCounts)
      best.set(readers, Math.min(time(shape, readers), best.get(readers) ?? Number.POSITIVE_INFINITY));
  const fastest = Math.min(...best.values());
  return readerCounts.find((readers) => (best.get(readers) ?? 0) <= 1.05 * fastest) ?? defaultReaders;
}

/** What is remembered; a file that cannot be read counts as none. */
async function recall(path: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    const known: unknown = JSON.parse(await readFile(path, 'utf8'));
    return isJsonObject(known) ? known : {};
  } catch {
    return {};
  }
}

/**
 * Readers for a model's experts: what is remembered of this disk and such reads, else what is measured now, in two seconds. Undefined for
 * experts that are not worth it, and where nothing can be measured. What cannot be remembered is measured again.
 */
export async function readersFor(
  shape: ReadShape | undefined,
  { cacheDir }: Pick<Env, 'cacheDir'> = env,
  measure: (shape: ReadShape) => number = fastestReaders,
): Promise<number | undefined> {
  if (shape === undefined) return undefined;
  const path = join(cacheDir, 'readers.json');
  const { dev } = statSync(shape.path);
  const key = `disk ${dev}: ${shape.jobs} x ${shape.readsPerJob} reads of 2^${Math.round(Math.log2(shape.piece))}`;
  const known = (await recall(path))[key];
  if (typeof known === 'number' && Number.isInteger(known) && known >= 1 && known <= 256) return known;
  let readers: number;
  try {
    readers = measure(shape);
  } catch {
    return undefined; // no native addon; or a file that cannot be read, which whoever reads it says better
  }
  const all = { ...(await recall(path)), [key]: readers };
  const text = new TextEncoder().encode(`${JSON.stringify(all, null, 1)}\n`);
  await writeAtomically(path, (sink) => sink.write(text)).catch(() => undefined);
  return readers;
}
