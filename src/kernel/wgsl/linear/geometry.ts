// How the work of a product with few rows is laid over threads: the ways to choose among, by name.

import type { KernelPrecision } from '../../signature.ts';
import type { GpuCapabilities } from '../contract.ts';
import { octetBytes, stagingBytes, type XMode } from './activations.ts';
import { reductionBytes } from './reduce.ts';
import type { WeightReader } from './unpack.ts';

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
  readonly precision: KernelPrecision;
  /** Rows of x. */
  readonly rows: number;
  readonly octets: number;
  /** Panels that may run at once. */
  readonly panels: number;
  /** Matrices multiplied at once: 2 for gate and up. */
  readonly streams: number;
  /** All weights are quantised. */
  readonly quantized: boolean;
  /** Fewest octets that share a scale. */
  readonly groupOctets: number;
  /** Loads of 16 bytes that an octet takes, of the layout with the most. */
  readonly octetLoads: number;
}

/** What a geometry has to know of the weights. */
export const weightWork = (
  readers: readonly WeightReader[],
): Pick<RowWork, 'quantized' | 'groupOctets' | 'octetLoads'> => ({
  quantized: readers.every((r) => r.quantized),
  groupOctets: Math.min(...readers.map((r) => r.groupOctets)),
  octetLoads: Math.max(...readers.map((r) => r.octetLoads)),
});

/** Threads, teams and rounds. */
const layouts: readonly (readonly [threads: number, teams: number, rounds: number])[] = [
  [128, 1, 1],
  [256, 1, 1],
  [512, 1, 1],
  [1024, 1, 1],
  [256, 2, 1],
  [256, 4, 1],
  [256, 8, 1],
  [256, 8, 2],
  [256, 4, 4],
];

/** Candidates of the mode that is expected to win, and of the other one. */
const most = { first: 12, other: 2 } as const;

/** What is worth a try, the best guess first. Never empty where 16 KiB of workgroup memory are. */
export function geometries(work: RowWork, caps: GpuCapabilities): readonly Geometry[] {
  return modesFor(work, caps).flatMap((mode, i) =>
    layouts
      .flatMap((layout) => shapesOf(mode, layout, work))
      .filter((g) => fits(g, work, caps))
      .map((g) => ({ g, cost: guessedCost(g, work) }))
      .sort((a, b) => a.cost - b.cost)
      .slice(0, i === 0 ? most.first : most.other)
      .map(({ g }) => g),
  );
}

/** Ways to go over the columns: octet by octet or by groups that share a scale, with fewer or more loads in flight. */
function shapesOf(
  mode: XMode,
  [threads, teams, rounds]: (typeof layouts)[number],
  work: RowWork,
): readonly Geometry[] {
  const runs = mode === 'f32' || work.groupOctets === 1 ? [1] : [1, Math.min(4, work.groupOctets)];
  return runs.flatMap((run) => {
    const unroll = Math.max(1, Math.floor(4 / (work.rows * work.streams * work.octetLoads * run)));
    const steps = Math.ceil((work.octets * 4 * teams) / (run * threads));
    const deeper = work.rows === 1 && work.octetLoads <= 2 ? [unroll, 2 * unroll] : [unroll];
    const depths = [...new Set(deeper.map((u) => Math.min(u, steps)))];
    return depths.map((u): Geometry => ({ mode, threads, teams, rounds, unroll: u, run }));
  });
}

/** int8 keeps up with the memory on processors where f32 does not; f32 follows as something to compare with. */
function modesFor({ precision, quantized }: RowWork, caps: GpuCapabilities): readonly XMode[] {
  if (precision === 'exact' || !quantized || !caps.dot4) return ['f32'];
  return [precision === 'fast' ? 'int8' : 'int8x2', 'f32'];
}

/**
 * How far a geometry is from what large GPUs like: a few workgroups for each of some hundred processors, and a few loads for
 * each thread. Only orders the candidates.
 */
function guessedCost({ threads, teams, rounds, unroll, run }: Geometry, work: RowWork): number {
  const groups = Math.ceil(work.panels / (teams * rounds));
  const loads = (work.octets * 4 * work.octetLoads) / (threads / teams);
  const idle = work.octets * 4 < (run * threads) / teams ? 2 : 0;
  const plain = run === 1 ? 0 : 0.05;
  return Math.abs(Math.log2(groups / 528)) + Math.abs(Math.log2(loads / 4)) / 2 + idle + plain + unroll / 100;
}

function fits(g: Geometry, work: RowWork, caps: GpuCapabilities): boolean {
  if (g.threads > caps.maxInvocations) return false;
  const segment = segmentOctets(g, work, caps);
  if (segment === undefined) return false;
  return g.rounds === 1 || segment >= work.octets;
}

/** How the values of a thread are summed over its team. */
export function reductionOf(g: Geometry, work: RowWork, caps: GpuCapabilities) {
  const lanes = g.threads / g.teams;
  const base = { threads: g.threads, lanes, values: work.rows * work.streams };
  const subgroups = caps.subgroups !== undefined && caps.subgroups.max <= lanes ? caps.subgroups : undefined;
  const fast = { ...base, subgroups };
  // Small subgroups leave many partial sums; x needs the room.
  return reductionBytes(fast) <= caps.maxWorkgroupBytes / 3 ? fast : { ...base, subgroups: undefined };
}

/** What staging may use: subgroups that a workgroup has whole. */
export const stagingSubgroups = ({ threads }: Geometry, { subgroups }: GpuCapabilities) =>
  subgroups !== undefined && subgroups.max <= threads ? subgroups : undefined;

/** Octets of x to stage at a time, or undefined where workgroup memory is too small. */
export function segmentOctets(g: Geometry, work: RowWork, caps: GpuCapabilities): number | undefined {
  const { rows, octets } = work;
  const fixed =
    stagingBytes({ threads: g.threads, rows, subgroups: stagingSubgroups(g, caps) }) +
    reductionBytes(reductionOf(g, work, caps)) +
    256;
  const room = Math.floor((caps.maxWorkgroupBytes - fixed) / (rows * octetBytes(g.mode)));
  const whole = Math.ceil(octets / 4) * 4;
  if (whole <= room) return whole;
  const pieces = Math.ceil(whole / Math.floor(room / 4) / 4);
  const segment = Math.ceil(whole / pieces / 4) * 4;
  return room >= 32 ? Math.min(segment, Math.floor(room / 4) * 4) : undefined;
}
