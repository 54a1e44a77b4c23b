// Sorting along the last axis: the order both sort and topk share, their native parameters and references.

import { elementCount } from '../../base/shape.ts';
import type { LowerContext, Operands } from '../op.ts';
import type { Tensor } from '../types.ts';
import { countParam, fixed, operand, output, reader, writer } from './operands.ts';

/** Positions 0 … n-1 ordered by value; equal values keep the lower position first. */
export function sortedOrder(n: number, value: (i: number) => number, descending: boolean): number[] {
  const sign = descending ? -1 : 1;
  return Array.from({ length: n }, (_, i) => i).sort((a, b) => sign * (value(a) - value(b)) || a - b);
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
