// Plan scalars as attributes of ops: a number, or an array made by scalar().

import { IngotError } from '../../base/errors.ts';
import type { NDArray } from '../array.ts';
import { isOp } from '../graph/node.ts';
import { isScalarRef, type Scalar, type ScalarType } from '../types.ts';
import { fullOp } from './full.ts';

/** What ops take where they say `Scalar`. */
export type ScalarInput = number | NDArray;

/** The attribute for a number or a plan scalar. Throws invalid_argument for any other array or a type that does not fit. */
export function scalarOf(x: ScalarInput, type: ScalarType): Scalar {
  if (typeof x === 'number') return x;
  const { node } = x.value;
  if (isOp(node, fullOp) && isScalarRef(node.attrs.value)) {
    if (node.attrs.value.type === type) return node.attrs.value;
    throw new IngotError(
      'invalid_argument',
      `scalar ${node.attrs.value.scalar} is ${node.attrs.value.type}; ${type} is needed here`,
    );
  }
  throw new IngotError(
    'invalid_argument',
    'a number or a plan scalar made by scalar(name, type) is needed here',
  );
}
