// What a product with few rows is made of.

import type { GpuCapabilities } from '../contract.ts';
import type { Staging } from './activations.ts';
import type { Geometry, RowWork } from './geometry.ts';
import type { Reduction } from './reduce.ts';
import type { WeightReader } from './unpack.ts';

/** A matrix, or gate and up together, whose rows are outputs. */
export interface RowOutput {
  /** Readers of the matrices by the name of their binding. */
  readonly streams: readonly { readonly name: string; readonly reader: WeightReader }[];
  /** Panels of this pass. */
  readonly panels: number;
  /** Statement that stores column `n` of `row` from the values `v0` and `v1`. */
  readonly store: string;
}

export interface RowProgram {
  readonly geometry: Geometry;
  readonly work: RowWork;
  readonly caps: GpuCapabilities;
  readonly outputs: readonly RowOutput[];
  /** Module-scope WGSL with `x_octet(row, octet) -> Eight`, `norm_octet` with a norm, and what `store` calls. */
  readonly input: string;
  readonly norm: { readonly K: number; readonly eps: string } | undefined;
  /** u32 expression: rows of the run. */
  readonly rowCount: string;
  /** Statements before anything else, given `first_row` and `t`; may leave the function in uniform control flow. */
  readonly prologue?: string;
  /** As in Staging. */
  readonly mail?: boolean;
  /** Where the weights of panel `p` of the pass for octet `o` of x are, as expressions. Default: there. */
  readonly locate?: (p: string, o: string) => { readonly panel: string; readonly octet: string };
}

/** A program with what follows from its geometry. */
export interface RowPlan extends RowProgram {
  readonly reduction: Reduction;
  readonly staging: Staging;
}
