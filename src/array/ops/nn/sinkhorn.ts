// sinkhorn: square matrices made doubly stochastic by turns of normalising columns and rows (manifold-constrained hyper-connections).

import { elementCount, formatShape } from '../../../base/shape.ts';
import type { NDArray } from '../../array.ts';
import { defineOp } from '../../op.ts';
import { countParam, expectDtype, fixed, floats, operand, output, shapeError } from '../operands.ts';

export interface SinkhornAttrs {
  readonly iterations: number;
  readonly eps: number;
}

/** Matrices that a thread holds. */
const maxSize = 8;

/** Operand x `[n, h, h]`, output the same. */
export const sinkhornOp = defineOp<SinkhornAttrs>({
  name: 'sinkhorn',
  infer: (inputs, { iterations }) => {
    const x = operand(inputs, 0);
    const size = x.shape[2];
    if (x.shape.length !== 3 || x.shape[1] !== size || typeof size !== 'number' || size > maxSize)
      shapeError('sinkhorn', `x must be [n, h, h] with h up to ${maxSize}, got ${formatShape(x.shape)}`);
    if (!Number.isInteger(iterations) || iterations < 1)
      shapeError('sinkhorn', `iterations must be at least 1, got ${iterations}`);
    expectDtype(x, ['f32'], 'sinkhorn');
    return [{ shape: x.shape, dtype: 'f32' }];
  },
  reference: (inputs, outputs, { iterations, eps }) => {
    const x = operand(inputs, 0);
    const [n = 0, h = 0] = x.shape;
    const values = floats(x);
    const out = output(outputs).data;
    for (let i = 0; i < n; i++) {
      const m = Array.from({ length: h }, (_, r) => {
        const row = Array.from({ length: h }, (_, c) => values[(i * h + r) * h + c] as number);
        const max = Math.max(...row);
        const weights = row.map((value) => Math.exp(value - max));
        const sum = weights.reduce((a, b) => a + b, 0);
        return weights.map((weight) => weight / sum + eps);
      });
      for (let turn = 0; turn < 2 * iterations - 1; turn++) {
        const total = (a: number): number =>
          m.reduce((sum, row, b) => sum + ((turn % 2 === 0 ? row[a] : m[a]?.[b]) ?? 0), eps);
        const totals = Array.from({ length: h }, (_, a) => total(a));
        for (const [r, row] of m.entries())
          for (let c = 0; c < h; c++) row[c] = (row[c] ?? 0) / (totals[turn % 2 === 0 ? c : r] ?? 1);
      }
      m.flat().forEach((value, j) => {
        out[i * h * h + j] = value;
      });
    }
  },
  composite: (inputs, { iterations, eps }) => {
    const x = operand(inputs, 0);
    const normalised = (m: NDArray, axis: number): NDArray => m.div(m.sum(axis, true).add(eps));
    let m = normalised(x.softmax(-1).add(eps), 1);
    for (let i = 1; i < iterations; i++) m = normalised(normalised(m, 2), 1);
    return [m];
  },
  vjp: 'composite',
  kernel: {
    emit: (context) => {
      const x = operand(context.inputs, 0);
      const { iterations, eps } = context.attrs;
      context.emit(
        'sinkhorn',
        { x, y: operand(context.outputs, 0) },
        {
          rows: countParam(elementCount(x.type.shape.slice(0, 1))),
          size: fixed(x.type.shape[2], 'sinkhorn'),
          iterations,
          eps,
        },
      );
    },
  },
  // Entries are at most 1; each turn adds a few roundings of what went before.
  tolerance: (_, __, { iterations }) => ({ absolute: 16 * (iterations + 4) * 2 ** -24, relative: 0 }),
  cases: [
    { name: '4 streams', inputs: [{ shape: [5, 4, 4] }], attrs: { iterations: 20, eps: 1e-6 } },
    { name: '2 streams, once', inputs: [{ shape: [3, 2, 2] }], attrs: { iterations: 1, eps: 1e-6 } },
  ],
});

/**
 * Rows of x `[n, h, h]` as softmax + eps, then columns and rows in turn divided by their sum + eps: columns `iterations` times,
 * rows once less (https://arxiv.org/abs/2512.24880). `[n, h, h]`.
 */
export const sinkhorn = (x: NDArray, iterations: number, eps: number): NDArray =>
  x.apply(sinkhornOp, [x], { iterations, eps });
