// Which tiles an adapter can compute, in the order of a first guess; the tuner measures the rest.

import { invariant } from '../../../base/errors.ts';
import type { GpuCapabilities, KernelRequest } from '../contract.ts';
import type { TileEngine, TileShape } from './tile-body.ts';
import { f32Engine } from './tile-f32.ts';
import { type MatrixShape, matrixEngine } from './tile-matrix.ts';

/** What is known of the work when the plan is made. */
export interface TileWork {
  /** For the tuner: names the kernel and its sizes. Undefined: it runs no such work, and the first guess is taken. */
  readonly key: string | undefined;
  /** Rows the choice is for, and columns of the result (of one matrix of gate and up). */
  readonly rows: number;
  readonly columns: number;
  /** Columns of x. */
  readonly K: number;
  readonly matrices: 1 | 2;
  readonly exact: boolean;
}

const tile = (m: number, n: number, k: number, ...subgroups: [number, number]): TileShape => ({
  m,
  n,
  k,
  subgroups,
  buffers: 1,
});

const oneBuffer: readonly TileShape[] = [
  tile(128, 128, 32, 2, 2),
  tile(128, 128, 32, 2, 4),
  tile(128, 128, 64, 2, 4),
  tile(128, 64, 32, 2, 2),
  tile(128, 64, 64, 2, 2),
  tile(64, 128, 64, 2, 2),
  tile(64, 64, 32, 2, 2),
  tile(64, 64, 64, 2, 2),
  tile(32, 128, 64, 1, 4),
  tile(32, 64, 64, 1, 2),
  tile(16, 128, 64, 1, 4),
  tile(16, 128, 32, 1, 4),
];
/** A first guess has one buffer; where two are faster is for the tuner to find. */
const matrixTiles: readonly TileShape[] = [
  ...oneBuffer,
  ...oneBuffer.map((shape): TileShape => ({ ...shape, buffers: 2 })),
];

const f32Tiles: readonly TileShape[] = [
  tile(128, 128, 32, 1, 1),
  tile(64, 128, 32, 1, 1),
  tile(64, 64, 32, 1, 1),
  tile(32, 64, 32, 1, 1),
  tile(16, 64, 32, 1, 1),
];

/** Workgroups that keep a large GPU busy: below, smaller tiles are the better guess. */
const enough = 256;

/** The product of f16 matrices with f32 sums that suits tiles best, or undefined. Subgroups must have one size. */
export function halfMatrix({ f16, subgroups, subgroupMatrices }: GpuCapabilities): MatrixShape | undefined {
  if (!f16 || subgroups === undefined || subgroups.min !== subgroups.max) return undefined;
  const usable = subgroupMatrices.filter(
    ({ m, n, k, component, result }) =>
      component === 'f16' &&
      result === 'f32' &&
      [8, 16].includes(m) &&
      [8, 16].includes(n) &&
      [8, 16].includes(k),
  );
  return [...usable].sort((a, b) => b.m * b.n * b.k - a.m * a.n * a.k)[0];
}

/** Picks the engine of a class of work. */
export type TileChooser = (request: KernelRequest, work: TileWork) => TileEngine;

export const chooseTile: TileChooser = (request, work) => {
  const { caps } = request;
  const matrix = work.exact ? undefined : halfMatrix(caps);
  // Whole steps of columns only; and neither rows that stay empty nor weights unpacked for a few rows each.
  const suits = ({ m, k }: TileShape): boolean =>
    (k === 32 || work.K % k === 0) && m <= Math.max(16, 2 * work.rows) && m >= Math.min(32, work.rows / 2);
  const able = (e: TileEngine): boolean =>
    e.workgroupBytes <= caps.maxWorkgroupBytes && e.threads <= caps.maxInvocations;
  const half =
    matrix === undefined
      ? []
      : matrixTiles.filter(suits).map((s) => matrixEngine(s, matrix, caps.subgroups?.max));
  const plain = f32Tiles.filter(suits).map(f32Engine).filter(able);
  const fast = half.filter(able);
  const guess = firstGuess(fast.length > 0 ? fast : plain, work);
  if (work.key === undefined) return guess;
  const choices = [guess, ...[...fast, ...plain].filter((e) => e !== guess)];
  const name = request.choose(
    `${work.key} ${work.exact ? 'exact' : 'fast'}`,
    choices.map((e) => e.name),
  );
  return choices.find((e) => e.name === name) ?? guess;
};

/** The largest tile that fills the GPU; else the one with the most workgroups. */
function firstGuess(choices: readonly TileEngine[], work: TileWork): TileEngine {
  const groups = ({ shape }: TileEngine): number =>
    Math.ceil(work.rows / shape.m) * Math.ceil((work.columns * work.matrices) / shape.n);
  const whole = choices.filter(({ shape }) => shape.m <= Math.max(16, work.rows) && shape.buffers === 1);
  const guess = whole.find((c) => groups(c) >= enough) ?? whole.at(-1) ?? choices.at(-1);
  invariant(guess !== undefined, `no tile for ${work.rows} rows fits this GPU`);
  return guess;
}
