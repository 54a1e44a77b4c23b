// Operands of kernels: terms by the names of inputs, brought to one shape and to the kinds that programs compute in.

import type { NDArray } from '../array/array.ts';
import { promote, type Term } from '../array/ops/elementwise/elementwise.ts';
import { type DType, dtypes, isFloat } from '../base/dtype.ts';
import { IngotError } from '../base/errors.ts';
import { broadcastShapes, formatShape, maxElements, type Shape } from '../base/shape.ts';
import { registerKind } from '../kernel/expr.ts';
import type { RegisterKind } from '../kernel/tile-opcodes.ts';

/** The arrays among the operands, and the numbers, by name. */
export interface Operands {
  readonly arrays: readonly { readonly name: string; readonly x: NDArray; readonly kind: RegisterKind }[];
  readonly numbers: readonly { readonly name: string; readonly value: number | boolean }[];
  /** What the arrays broadcast to. */
  readonly shape: Shape;
}

/** Throws invalid_argument for a wrong number of operands and shape_mismatch for shapes that do not broadcast, by name. */
export function readOperands(what: string, names: readonly string[], terms: readonly Term[]): Operands {
  if (terms.length !== names.length) {
    throw new IngotError(
      'invalid_argument',
      `${what} takes ${names.length} operand${names.length === 1 ? '' : 's'} (${names.join(', ')}), got ${terms.length}`,
    );
  }
  const arrays: { name: string; x: NDArray; kind: RegisterKind }[] = [];
  const numbers: { name: string; value: number | boolean }[] = [];
  terms.forEach((x, i) => {
    const name = names[i] as string;
    if (typeof x === 'number' || typeof x === 'boolean') numbers.push({ name, value: x });
    else if (x?.value === undefined || x.layout !== undefined) {
      const found = x?.layout !== undefined ? 'packed weights' : x === null ? 'null' : typeof x;
      throw new IngotError('invalid_argument', `${what}: ${name} must be an array or a number, got ${found}`);
    } else arrays.push({ name, x, kind: registerKind(x.dtype) });
  });
  const [first, ...rest] = arrays;
  if (first === undefined) {
    throw new IngotError('invalid_argument', `${what}: no operand is an array; make one with full()`);
  }
  let shape = first.x.shape;
  for (const { name, x } of rest) {
    try {
      shape = broadcastShapes(shape, x.shape, what);
    } catch {
      const all = arrays.map((a) => `${a.name} ${formatShape(a.x.shape)}`).join(', ');
      throw new IngotError(
        'shape_mismatch',
        `${what}: ${name} ${formatShape(x.shape)} does not broadcast with ${formatShape(shape)}; the operands are ${all}. Sizes along an axis are equal or 1`,
      );
    }
  }
  return { arrays, numbers, shape };
}

/**
 * An array as programs read it: in registers of its kind, repeated to the shape, which costs nothing inside a program. A single
 * element stays one, so that what is made of such alone is computed once.
 */
export const widened = (x: NDArray, shape: Shape): NDArray =>
  (maxElements(x.shape) === 1 ? x : x.broadcastTo(shape)).cast(registerKind(x.dtype));

/** Throws `invalid_argument` for what is no dtype. */
export function checkResultDtype(what: string, dtype: unknown): void {
  if (dtype === undefined || (dtypes as readonly unknown[]).includes(dtype)) return;
  throw new IngotError(
    'invalid_argument',
    `${what}: dtype must be one of ${dtypes.join(', ')}, got ${String(dtype)}`,
  );
}

/** The dtype that results of a kind are stored in: floats in that of the float operands, f32 without any. */
export function storedDtype(kind: RegisterKind, operands: Operands): DType {
  if (kind !== 'f32') return kind;
  return (
    operands.arrays.reduce<DType | undefined>((found, { x }) => {
      if (!isFloat(x.dtype)) return found;
      return found === undefined ? x.dtype : promote(found, x.dtype);
    }, undefined) ?? 'f32'
  );
}
