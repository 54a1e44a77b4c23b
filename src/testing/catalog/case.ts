// A case of a kernel of the catalog: operands, the kernel on them, and the same in other operations.

import type { NDArray } from '../../array/array.ts';
import type { Outputs } from '../../array/compile.ts';
import type { CaseOperand } from '../../array/op.ts';

export interface CatalogCase {
  readonly operands: readonly CaseOperand[];
  run(...xs: NDArray[]): Outputs;
  /** Independent of `run`: plain operations, or constants. */
  want(...xs: NDArray[]): Outputs;
  /** Operands whose gradients (of the first result) are compared as well. Default: all that are f32; none where it says so. */
  readonly gradient?: readonly number[];
  /** Bound of errors, absolute and relative; default 2e-5. */
  readonly bound?: number;
}

export type Cases = Readonly<Record<string, CatalogCase>>;

/** An operand of normal numbers. */
export const x = (...shape: number[]): CaseOperand => ({ shape });
export const positive = (...shape: number[]): CaseOperand => ({ shape, fill: 'positive' });
export const ids = (below: number, ...shape: number[]): CaseOperand => ({
  shape,
  dtype: 'i32',
  fill: 'index',
  below,
});
export const values = (
  list: readonly number[],
  dtype: CaseOperand['dtype'] = 'f32',
  shape: readonly number[] = [list.length],
): CaseOperand => ({
  shape,
  dtype,
  values: list,
});
