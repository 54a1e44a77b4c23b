// moeDown: weighted sum of the chosen experts' down projections, plus a residual.

import { elementCount, formatShape, maxElements } from '../../../base/shape.ts';
import type { KernelPrecision } from '../../../kernel/signature.ts';
import type { NDArray } from '../../array.ts';
import { defineOp, type OpDef } from '../../op.ts';
import type { Weight } from '../../weight.ts';
import {
  expertBytes,
  expertParams,
  magnitude,
  maxAbs,
  multiplyPacked,
  packedShape,
  productError,
} from '../linear/packed.ts';
import {
  countParam,
  expectDtype,
  expectFloat,
  expectShape,
  floats,
  operand,
  optional,
  output,
  shapeError,
  writeFloats,
} from '../operands.ts';
import type { MoeOptions } from './moe-glu.ts';

export interface MoeDownAttrs {
  readonly precision: KernelPrecision;
}

/** Operands: h `[n, k, K]`, ids and weights `[n, k]`, down `[E, N, K]`, residual `[n, N]` or null, bias `[E, N]` or null. */
export const moeDownOp: OpDef<MoeDownAttrs> = defineOp<MoeDownAttrs>({
  name: 'moeDown',
  infer: (inputs) => {
    const [h, ids, weights, down] = [
      operand(inputs, 0),
      operand(inputs, 1),
      operand(inputs, 2),
      operand(inputs, 3),
    ];
    const [residual, bias] = [optional(inputs, 4), optional(inputs, 5)];
    expectFloat(h, 'moeDown');
    const { experts, rows, columns } = packedShape(down, 3, 'moeDown');
    if (h.shape.length !== 3 || h.shape[2] !== columns) {
      shapeError('moeDown', `h ${formatShape(h.shape)} does not fit ${formatShape(down.shape)}`);
    }
    expectDtype(ids, ['i32'], 'moeDown: ids');
    expectDtype(weights, ['f32'], 'moeDown: weights');
    expectShape(ids, h.shape.slice(0, 2), 'moeDown: ids');
    expectShape(weights, h.shape.slice(0, 2), 'moeDown: weights');
    const shape = [operand(h.shape, 0), rows];
    if (residual !== null) expectShape(residual, shape, 'moeDown: residual');
    if (bias !== null) expectShape(bias, [experts, rows], 'moeDown: bias');
    return [{ shape, dtype: h.dtype }];
  },
  reference: (inputs, outputs) => {
    const [h, ids, weights, down] = [
      operand(inputs, 0),
      operand(inputs, 1),
      operand(inputs, 2),
      operand(inputs, 3),
    ];
    const residual = optional(inputs, 4);
    const { rows: N, columns: K } = packedShape(down, 3, 'moeDown');
    const topk = ids.shape[1] as number;
    const x = floats(h);
    const bias = optional(inputs, 5);
    const added = bias === null ? null : floats(bias);
    writeFloats(output(outputs), (out) => {
      if (residual === null) out.fill(0);
      else out.set(floats(residual));
      ids.data.forEach((expert, slot) => {
        const to = Math.floor(slot / topk) * N;
        multiplyPacked(down, expert, x.subarray(slot * K, (slot + 1) * K), 1, (_, n, sum) => {
          const product = sum + (added?.[expert * N + n] ?? 0);
          out[to + n] = (out[to + n] as number) + product * (weights.data[slot] as number);
        });
      });
    });
  },
  composite: (inputs, attrs) => {
    const residual = optional(inputs, 4);
    const y = operand(inputs, 0).apply(moeDownOp, [...inputs.slice(0, 4), null, optional(inputs, 5)], attrs);
    return [residual === null ? y : y.add(residual)];
  },
  vjp: 'none', // packed experts run models; MixtureOfExperts of ingot/nn is what trains
  kernel: {
    emit: (context) => {
      const { inputs, attrs } = context;
      const [h, ids, weights, down] = [
        operand(inputs, 0),
        operand(inputs, 1),
        operand(inputs, 2),
        operand(inputs, 3),
      ];
      const { columns } = packedShape(down.type, 3, 'moeDown');
      context.emit(
        'moe_down',
        {
          h,
          ids,
          weights,
          down,
          bias: optional(inputs, 5),
          experts: null,
          residual: optional(inputs, 4),
          y: operand(context.outputs, 0),
        },
        {
          rows: countParam(elementCount(h.type.shape.slice(0, 1))),
          K: columns,
          precision: attrs.precision,
          ...expertParams(ids.type, down.type, 'moeDown'),
        },
      );
    },
  },
  tolerance: (inputs, _, { precision }) => {
    const [h, weights, down] = [operand(inputs, 0), operand(inputs, 2), operand(inputs, 3)];
    const [, topk = 1, K = 1] = h.shape;
    const error = productError(K, maxAbs(floats(h)), magnitude(down), precision);
    return { absolute: error * topk * Math.max(1, maxAbs(weights.data)), relative: 2 ** -22 };
  },
  bytes: (inputs) => expertBytes(operand(inputs, 3), operand(inputs, 1)),
  flops: (inputs) => {
    const { rows, columns } = packedShape(operand(inputs, 3), 3, 'moeDown');
    return 2 * maxElements(operand(inputs, 1).shape) * rows * columns;
  },
  cases: (['exact', 'fast'] as const).flatMap((precision) =>
    (
      [
        ['q4', 1, false, false],
        ['q4', 9, true, false],
        ['q8', 3, true, true],
        ['q4', 9, false, true],
      ] as const
    ).map(([weight, rows, residual, bias]) => ({
      name: `${weight} ${rows} rows ${precision}${residual ? ' residual' : ''}${bias ? ' bias' : ''}`,
      inputs: [
        { shape: [rows, 2, 64] },
        { shape: [rows, 2], dtype: 'i32' as const, fill: 'index' as const, below: 6 },
        { shape: [rows, 2], fill: 'positive' as const },
        { shape: [6, 48, 64], weight },
        residual ? { shape: [rows, 48] } : null,
        bias ? { shape: [6, 48] } : null,
      ],
      attrs: { precision },
    })),
  ),
});

/** Sum over the experts of a row of `weights · (h downᵀ)`: `[n, k, K]` to `[n, N]`. */
export const moeDown = (
  h: NDArray,
  ids: NDArray,
  weights: NDArray,
  down: Weight,
  options: MoeOptions = {},
): NDArray =>
  h.apply(moeDownOp, [h, ids, weights, down, null, null], { precision: options.precision ?? 'fast' });
