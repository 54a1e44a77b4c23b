// What the ways to compute a tile of `y = x Wᵀ` share: its size, and where its operands come from and its results go.

import type { GateForm, Glu } from '../../signature.ts';
import type { GpuEnable } from '../contract.ts';
import { gluFunction } from './epilogue.ts';
import type { TileMath } from './tile-weights.ts';

/** Rows of x and rows of W (of gate and up together) that a workgroup multiplies, and how its subgroups share them. */
export interface TileShape {
  readonly m: number;
  readonly n: number;
  /** Columns of x and W that are in workgroup memory at a time: a multiple of 32. */
  readonly k: number;
  /** Subgroups side by side over the rows of x and of W. */
  readonly subgroups: readonly [m: number, n: number];
  /** Two: some subgroups unpack the next columns while others multiply these, for twice the workgroup memory. */
  readonly buffers: 1 | 2;
}

/** The name the tuner knows, such as `64x128x32/2x4` or, with two buffers, `64x128x32/2x4x2`. */
export const tileName = ({ m, n, k, subgroups, buffers }: TileShape): string =>
  `${m}x${n}x${k}/${subgroups.join('x')}${buffers === 2 ? 'x2' : ''}`;

/** Results that are stored at a time. */
export type ResultWidth = 1 | 4;

/** The widest that an engine and N columns allow. */
export const resultWidth = ({ halves }: TileEngine, N: number): ResultWidth =>
  halves && N % 4 === 0 ? 4 : 1;

export const resultType = (width: ResultWidth): string => (width === 4 ? 'vec4<f32>' : 'f32');

/** Parameters of `finish`: the results of one matrix or two. */
export const resultParams = (matrices: number, width: ResultWidth): string =>
  ['a', 'b']
    .slice(0, matrices)
    .map((name) => `${name}: ${resultType(width)}`)
    .join(', ');

/** One matrix, or gate and up, as functions of the module. */
export interface TileOperands {
  /** Ending of the names of this body's functions. */
  readonly suffix: string;
  /** `fetch(base, n, c)` of each matrix, raw words of one row and eight columns. */
  readonly fetch: readonly string[];
  /** `decode(raw, n, c) -> Pairs` of each: gate and up may have layouts of their own. */
  readonly decode: readonly string[];
  /** Rows of each matrix, as a u32 expression. */
  readonly N: string;
  /** The last row that can be read. */
  readonly lastRow: string;
  /** Steps of `k` columns, as a u32 expression. */
  readonly steps: string;
  /**
   * `finish(slot, n, value)`, or `(slot, n, gate, up)` for two matrices: stores a result, or four as a `vec4<f32>` from column
   * 4n on.
   */
  readonly finish: string;
  readonly width: ResultWidth;
}

/** A way to compute tiles: module-scope code, and a function per operands. */
export interface TileEngine {
  /** The number type and `tileName` of its shape. */
  readonly name: string;
  readonly shape: TileShape;
  readonly threads: number;
  readonly workgroupBytes: number;
  readonly enables: readonly GpuEnable[];
  /** Number of a subgroup in its workgroup: a parameter of `main`, if any, and the expression. */
  readonly subgroup: { readonly param: string; readonly value: string };
  /** The number type weights are unpacked in. */
  readonly math: TileMath;
  /** Takes x as halves in the order of `Pairs`, `array<vec4<u32>>`, and stores four results at a time; else x is f32. */
  readonly halves: boolean;
  /** Columns of the result that a workgroup computes, by the number of matrices. */
  columns(matrices: number): number;
  /** Types, workgroup memory and functions that all bodies use. */
  readonly prelude: string;
  /**
   * `fn tile_SUFFIX(start, count, x_base, w_base, n_tile, t, subgroup)`: rows `start … start + count` of a list of slots times the
   * columns of `n_tile`. Reads the row `x_row(slot)` of x: `x_chunk(x_base, row, c)`, or words of the binding `x`, `x_stride` a row.
   * Called in uniform control flow.
   */
  body(operands: TileOperands): string;
}

/** `glu_1(gate, up)` and `glu_4`, for results of either width; nothing for 'none'. */
export const gluFunctions = (glu: Glu, form: GateForm<string> = {}): string =>
  glu === 'none'
    ? ''
    : `${gluFunction(glu, form)}fn glu_1(gate: f32, up: f32) -> f32 { return glu(gate, up); }
fn glu_4(gate: vec4<f32>, up: vec4<f32>) -> vec4<f32> {
  return vec4<f32>(glu(gate.x, up.x), glu(gate.y, up.y), glu(gate.z, up.z), glu(gate.w, up.w));
}
`;

/** Lines of WGSL for i = 0 … n-1. */
export const lines = (n: number, text: (i: number) => string): string =>
  Array.from({ length: n }, (_, i) => text(i)).join('\n');
