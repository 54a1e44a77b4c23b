// What flows through a graph: the type of a value, concrete tensors for references, scalars that a plan reads at run time.

import type { DType, TypedArray } from '../base/dtype.ts';
import type { Shape } from '../base/shape.ts';
import type { WeightLayout } from '../quant/layout.ts';

/** Static type of a value. `layout` marks a packed matrix (`[N, K]` or `[E, N, K]`), `state` a version of a State. */
export interface ValueType {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly layout?: WeightLayout;
  readonly state?: true;
}

/** A value with numbers: what references compute on. For packed weights `data` holds the packed bytes. */
export interface Tensor {
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly data: TypedArray;
  readonly layout?: WeightLayout;
}

export type ScalarType = 'i32' | 'u32' | 'f32';

/** A number read from the plan's scalars at run time, usable where an attribute says `Scalar`. */
export interface ScalarRef {
  readonly scalar: string;
  readonly type: ScalarType;
}

/** An attribute that is fixed at trace time or read at run time. */
export type Scalar = number | ScalarRef;

export const isScalarRef = (v: unknown): v is ScalarRef =>
  typeof v === 'object' && v !== null && 'scalar' in v;
