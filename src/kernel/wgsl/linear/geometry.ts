// How the work of a product with few rows is laid over threads: the ways to choose among, by name.

import type { GpuCapabilities } from '../contract.ts';
import { octetBytes, stagingBytes, type XMode } from './activations.ts';
import { reductionBytes } from './reduce.ts';
import type { Precision } from './shape.ts';

export interface Geometry {
  readonly mode: XMode;
  readonly threads: number;
  /** Panels at a time: a team of threads / teams threads shares one. */
  readonly teams: number;
  /** Panels one after the other. */
  readonly rounds: number;
  /** Units whose loads are issued before the first is multiplied. */
  readonly unroll: number;
  /** Neighbouring octets of a unit: 1, or the octets of a group of columns. */
  readonly run: number;
}

export const geometryName = (g: Geometry): string =>
  `${g.mode} t${g.threads} s${g.teams} r${g.rounds} u${g.unroll} o${g.run}`;

/** What a geometry has to serve. */
export interface RowWork {
  readonly precision: Precision;
  /** Rows of x. */
  readonly rows: number;
  readonly octets: number;
  readonly panels: number;
  /** Matrices multiplied at once: 2 for gate and up. */
  readonly streams: number;
  /** All weights are quantised. */
  readonly quantized: boolean;
  /** Fewest octets that share a scale. */
  readonly groupOctets: number;
}

/** Threads, teams and rounds; the first that suits the shape is the default. */
const layouts: readonly (readonly [threads: number, teams: number, rounds: number])[] = [
  [256, 1, 1],
  [128, 1, 1],
  [512, 1, 1],
  [256, 2, 1],
  [256, 4, 1],
  [256, 8, 1],
  [256, 8, 2],
  [256, 4, 4],
];

/** Everything that can run, the best guess first. */
export function geometries(work: RowWork, caps: GpuCapabilities): readonly Geometry[] {
  const run = Math.min(4, work.groupOctets);
  const all = modesFor(work, caps).flatMap((mode) =>
    layouts.flatMap(([threads, teams, rounds]) =>
      [...new Set(mode === 'f32' ? [1] : [1, run])].map(
        (octets): Geometry => ({ mode, threads, teams, rounds, unroll: unrollOf(work, octets), run: octets }),
      ),
    ),
  );
  const able = all.filter((g) => fits(g, work, caps));
  const preferred = able.filter((g) => suits(g, work));
  return [...preferred, ...able.filter((g) => !preferred.includes(g))];
}

/** Enough loads in flight with one row; more rows have more to do per load, and code grows with both. */
const unrollOf = ({ rows, streams }: RowWork, run: number): number =>
  Math.max(1, Math.floor((run === 1 ? 4 : 2) / (rows * streams)));

/** int8 keeps up with the memory on processors where f32 does not; f32 follows as something to compare with. */
function modesFor({ precision, quantized }: RowWork, caps: GpuCapabilities): readonly XMode[] {
  if (precision === 'exact' || !quantized || !caps.dot4) return ['f32'];
  return [precision === 'fast' ? 'int8' : 'int8x2', 'f32'];
}

function fits(g: Geometry, work: RowWork, caps: GpuCapabilities): boolean {
  if (g.threads > caps.maxInvocations) return false;
  const segment = segmentOctets(g, work, caps);
  if (segment === undefined) return false;
  return g.rounds === 1 || segment >= work.octets;
}

/** Whether the panels fill a large GPU, and the threads have a few loads each. */
function suits({ threads, teams, rounds, run }: Geometry, { panels, octets }: RowWork): boolean {
  const groups = Math.ceil(panels / (teams * rounds));
  const units = (octets * 4) / run / (threads / teams);
  return groups >= Math.min(panels, 264) && units >= 1;
}

/** How the values of a thread are summed over its team. */
export function reductionOf(g: Geometry, work: RowWork, caps: GpuCapabilities) {
  const lanes = g.threads / g.teams;
  const base = { threads: g.threads, lanes, values: work.rows * work.streams };
  const subgroups = caps.subgroups !== undefined && caps.subgroups.max <= lanes ? caps.subgroups : undefined;
  const fast = { ...base, subgroups };
  return reductionBytes(fast) <= 16384 ? fast : { ...base, subgroups: undefined };
}

/** What staging may use: subgroups that a workgroup has whole. */
export const stagingSubgroups = ({ threads }: Geometry, { subgroups }: GpuCapabilities) =>
  subgroups !== undefined && subgroups.max <= threads ? subgroups : undefined;

/** Octets of x to stage at a time, or undefined where workgroup memory is too small. */
export function segmentOctets(g: Geometry, work: RowWork, caps: GpuCapabilities): number | undefined {
  const { rows, octets } = work;
  const fixed = stagingBytes(g.threads, rows) + reductionBytes(reductionOf(g, work, caps)) + 256;
  const most = Math.floor((caps.maxWorkgroupBytes - fixed) / (rows * octetBytes(g.mode)));
  const whole = Math.ceil(octets / 4) * 4;
  if (whole <= most) return whole;
  const pieces = Math.ceil(whole / Math.floor(most / 4) / 4);
  const segment = Math.ceil(whole / pieces / 4) * 4;
  return most >= 32 ? Math.min(segment, Math.floor(most / 4) * 4) : undefined;
}
