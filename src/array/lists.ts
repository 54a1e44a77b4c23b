// Numbers in nested lists, as users write arrays, to typed arrays and back.

import { bytesPerElement, type DType, isFloat, type TypedArray } from '../base/dtype.ts';
import { IngotError } from '../base/errors.ts';
import { formatShape } from '../base/shape.ts';
import { constantValue } from './ops/creation/full.ts';
import { typedView, writer } from './ops/operands.ts';

/** Numbers and truth values in lists of lists, one level for each axis. */
export type NestedNumbers = readonly (number | boolean | NestedNumbers)[];

/**
 * The elements of nested lists, row-major. The dtype is by default bool for truth values only, else f32. Throws shape_mismatch
 * where lists of one level have unequal lengths, invalid_argument for an element that is no number or does not fit.
 */
export function flattenLists(
  lists: NestedNumbers,
  wanted?: DType,
): { readonly elements: TypedArray; readonly dtype: DType; readonly shape: readonly number[] } {
  const shape = shapeOf(lists);
  const flat: (number | boolean)[] = [];
  collect(lists, shape, [], flat);
  const allBool = flat.length > 0 && flat.every((x) => typeof x === 'boolean');
  const dtype = wanted ?? (allBool ? 'bool' : 'f32');
  const elements = typedView(dtype, new Uint8Array(flat.length * bytesPerElement(dtype)));
  const write = writer({ shape, dtype, data: elements });
  flat.forEach((x, i) => {
    write(i, isFloat(dtype) ? Number(x) : constantValue(x, dtype, 'fromData'));
  });
  return { elements, dtype, shape };
}

/** Deepest nesting: more is a mistake, or a list that holds itself. */
const maxDepth = 32;

/** Lengths of the first list of each level. */
function shapeOf(lists: NestedNumbers): readonly number[] {
  const shape: number[] = [];
  let at: number | boolean | NestedNumbers | undefined = lists;
  while (Array.isArray(at)) {
    if (shape.length === maxDepth) {
      throw new IngotError('invalid_argument', `lists are nested more than ${maxDepth} deep`);
    }
    shape.push(at.length);
    at = at[0];
  }
  return shape;
}

function collect(
  list: NestedNumbers,
  shape: readonly number[],
  path: readonly number[],
  into: (number | boolean)[],
): void {
  if (list.length !== shape[path.length]) {
    throw new IngotError(
      'shape_mismatch',
      `lists of unequal length: the one at [${path.join('][')}] has ${list.length} elements, the first of its level ${shape[path.length]}`,
    );
  }
  const innermost = path.length === shape.length - 1;
  list.forEach((x, i) => {
    const isList = Array.isArray(x);
    if (isList && !innermost) collect(x, shape, [...path, i], into);
    else if (!isList && innermost && (typeof x === 'number' || typeof x === 'boolean')) into.push(x);
    else refuse(x, [...path, i], shape);
  });
}

function refuse(x: unknown, path: readonly number[], shape: readonly number[]): never {
  const place = `[${path.join('][')}]`;
  if (Array.isArray(x) || typeof x === 'number' || typeof x === 'boolean') {
    throw new IngotError(
      'shape_mismatch',
      `lists of unequal depth: element ${place} is ${Array.isArray(x) ? 'a list' : x} in lists of shape ${formatShape(shape)}`,
    );
  }
  throw new IngotError(
    'invalid_argument',
    `element ${place} is ${x === null ? 'null' : typeof x}, not a number`,
  );
}
