// What dtypes and shapes become together, and new arrays of them.

import type { TypedArray } from '../../base/dtype.ts';
import { type DType, isFloat, isUnsigned } from '../../base/dtype.ts';
import { type Shape, broadcastShapes as two } from '../../base/shape.ts';
import type { NDArray } from '../array.ts';
import { type FromDataOptions, fromData, full } from '../creation.ts';
import type { NestedNumbers } from '../lists.ts';
import { promote } from '../ops/elementwise/elementwise.ts';

const dtypeOf = (x: NDArray | DType): DType => (typeof x === 'string' ? x : x.dtype);

/** The dtype in which arrays and dtypes meet (docs/arrays.md). */
export const resultType = (...of: readonly (NDArray | DType)[]): DType =>
  of.map(dtypeOf).reduce((a, b) => promote(a, b));

/** Kinds of dtypes, from narrow to wide. */
export type DTypeCategory =
  | 'bool'
  | 'signedinteger'
  | 'unsignedinteger'
  | 'integer'
  | 'floating'
  | 'inexact'
  | 'number'
  | 'generic';

/** Whether a dtype is another one, or of a kind. */
export function issubdtype(a: DType, b: DType | DTypeCategory): boolean {
  if (a === b || b === 'generic') return true;
  const integer = !isFloat(a) && a !== 'bool';
  if (b === 'floating' || b === 'inexact') return isFloat(a);
  if (b === 'integer') return integer;
  if (b === 'unsignedinteger') return integer && isUnsigned(a);
  if (b === 'signedinteger') return integer && !isUnsigned(a);
  return b === 'number' && a !== 'bool';
}

/** The shape that shapes broadcast to. Throws shape_mismatch. */
export const broadcastShapes = (...shapes: readonly Shape[]): Shape =>
  shapes.reduce((a, b) => two(a, b, 'broadcastShapes'), []);

/** An array for the elements that come: zeros. */
export const empty = (shape: Shape | number, dtype: DType = 'f32'): NDArray => full(shape, 0, dtype);
export const emptyLike = (x: NDArray, dtype: DType = x.dtype): NDArray => full(x.shape, 0, dtype);

/** An array of a number, lists, a typed array, or an array in another dtype. */
export function array(x: number | boolean | NestedNumbers | TypedArray | NDArray, dtype?: DType): NDArray {
  const options: FromDataOptions = dtype === undefined ? {} : { dtype };
  if (typeof x === 'number' || typeof x === 'boolean') {
    return full([], x, dtype ?? (typeof x === 'boolean' ? 'bool' : 'f32'));
  }
  if (Array.isArray(x)) return fromData(x as NestedNumbers, undefined, options);
  if (ArrayBuffer.isView(x)) {
    const plain = fromData(x as TypedArray);
    return dtype === undefined ? plain : plain.cast(dtype);
  }
  return dtype === undefined ? (x as NDArray) : (x as NDArray).cast(dtype);
}
export const asarray = array;

/** Whether a dtype becomes another by promotion alone. */
export const canCast = (from: NDArray | DType, to: DType): boolean => promote(dtypeOf(from), to) === to;

const kinds: Readonly<Record<string, (dtype: DType) => boolean>> = {
  bool: (d) => d === 'bool',
  'signed integer': (d) => issubdtype(d, 'signedinteger'),
  'unsigned integer': (d) => issubdtype(d, 'unsignedinteger'),
  integral: (d) => issubdtype(d, 'integer'),
  'real floating': isFloat,
  'complex floating': () => false,
  numeric: (d) => d !== 'bool',
};
/** Whether a dtype is one of these, or of a kind of the array API standard, such as 'integral' or 'real floating'. */
export const isdtype = (dtype: DType, kind: string | readonly string[]): boolean =>
  [kind].flat().some((k) => kinds[k]?.(dtype) ?? k === dtype);
/** The dtype in which two meet. */
export const promoteTypes = (a: DType, b: DType): DType => promote(a, b);

/** Row-major in memory, as all arrays are when they are read. */
export const contiguous = (x: NDArray): NDArray => x;
export const copy = contiguous;
export const ascontiguousarray = contiguous;
