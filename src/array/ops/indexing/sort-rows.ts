// Sorting along the last axis: the order both sort and topk share, their native parameters and references.

import { elementCount } from '../../../base/shape.ts';
import type { NDArray } from '../../array.ts';
import type { LowerContext, Operands } from '../../op.ts';
import type { Tensor } from '../../types.ts';
import { countParam, fixed, operand, output, reader, writer } from '../operands.ts';
import { pickInRows } from './take-along-axis.ts';

/** Positions 0 … n-1 ordered by value; equal values keep the lower position first. NaN is above every number. */
export function sortedOrder(n: number, value: (i: number) => number, descending: boolean): number[] {
  const sign = descending ? -1 : 1;
  return Array.from({ length: n }, (_, i) => i).sort((a, b) => sign * compare(value(a), value(b)) || a - b);
}

function compare(x: number, y: number): number {
  if (Number.isNaN(x) || Number.isNaN(y)) return Number(Number.isNaN(x)) - Number(Number.isNaN(y));
  return x < y ? -1 : x > y ? 1 : 0; // a difference of equal infinities would be NaN
}

/** First k of each sorted row: values to output 0, positions to output 1. */
export function sortReference(
  inputs: Operands<Tensor>,
  outputs: readonly Tensor[],
  k: number,
  descending: boolean,
): void {
  const x = operand(inputs, 0);
  const D = x.shape[x.shape.length - 1] as number;
  const read = reader(x);
  const value = writer(output(outputs, 0));
  const index = writer(output(outputs, 1));
  for (let row = 0; row * D < x.data.length; row++) {
    const order = sortedOrder(D, (i) => read(row * D + i), descending);
    for (let j = 0; j < k; j++) {
      value(row * k + j, read(row * D + (order[j] as number)));
      index(row * k + j, order[j] as number);
    }
  }
}

/**
 * Order of rows of integers by the sort of floats: by the lower halves of the words, then, keeping that order among equals,
 * by the upper halves. Each half is exact in f32.
 */
export function integerOrder(x: NDArray, descending: boolean): NDArray {
  if (x.dtype !== 'i32' && x.dtype !== 'u32') return argsortFloats(x.cast('f32'), descending);
  const low = argsortFloats(x.bitwiseAnd(0xffff).cast('f32'), descending);
  const high = argsortFloats(pickInRows(x.rightShift(16).cast('f32'), low), descending);
  return pickInRows(low, high);
}

const argsortFloats = (x: NDArray, descending: boolean): NDArray => x.argsort(-1, descending);

/** Emits `sort_rows` or `topk_rows`. */
export function emitSort<A>(
  context: LowerContext<A>,
  kernel: 'sort_rows' | 'topk_rows',
  k: number,
  descending: boolean,
): void {
  const x = operand(context.inputs, 0);
  const { shape } = x.type;
  context.emit(
    kernel,
    { x, values: operand(context.outputs, 0), indices: operand(context.outputs, 1) },
    {
      rows: countParam(elementCount(shape.slice(0, -1))),
      D: fixed(shape.at(-1), kernel),
      k,
      descending,
    },
  );
}
