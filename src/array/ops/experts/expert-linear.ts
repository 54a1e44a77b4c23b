// expertLinear: each row times the matrices of the experts it chose. With an activation between two of them and a sum over
// the slots it is a mixture of experts; fusion makes moeGlu and moeDown of those.

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

export interface ExpertLinearAttrs {
  readonly precision: KernelPrecision;
}

/**
 * Operands: x `[n, K]`, or `[n, k, K]` with a row for each slot; ids `[n, k]`; weights `[n, k]` or null; matrices `[E, N, K]`;
 * bias `[E, N]` or null. Output `[n, k, N]`.
 */
export const expertLinearOp: OpDef<ExpertLinearAttrs> = defineOp<ExpertLinearAttrs>({
  name: 'expertLinear',
  infer: (inputs) => {
    const [x, ids, w] = [operand(inputs, 0), operand(inputs, 1), operand(inputs, 3)];
    const [weights, bias] = [optional(inputs, 2), optional(inputs, 4)];
    expectFloat(x, 'expertLinear');
    expectDtype(ids, ['i32'], 'expertLinear: ids');
    const { experts, rows, columns } = packedShape(w, 3, 'expertLinear');
    const own = x.shape.length === 3 ? ids.shape : ids.shape.slice(0, 1);
    if (ids.shape.length !== 2 || x.shape.at(-1) !== columns || x.shape.length !== own.length + 1) {
      shapeError(
        'expertLinear',
        `x ${formatShape(x.shape)} and ids ${formatShape(ids.shape)} do not fit ${formatShape(w.shape)}`,
      );
    }
    expectShape(x, [...own, columns], 'expertLinear: x');
    if (weights !== null) expectShape(weights, ids.shape, 'expertLinear: weights');
    if (bias !== null) expectShape(bias, [experts, rows], 'expertLinear: bias');
    return [{ shape: [...ids.shape, rows], dtype: x.dtype }];
  },
  reference: (inputs, outputs) => {
    const [x, ids, w] = [operand(inputs, 0), operand(inputs, 1), operand(inputs, 3)];
    const weights = optional(inputs, 2);
    const bias = optional(inputs, 4);
    const { rows: N, columns: K } = packedShape(w, 3, 'expertLinear');
    const [, topk = 1] = ids.shape;
    const added = bias === null ? null : floats(bias);
    const values = floats(x);
    writeFloats(output(outputs), (out) => {
      ids.data.forEach((expert, slot) => {
        const row = x.shape.length === 3 ? slot : Math.floor(slot / topk);
        const weight = weights === null ? 1 : (weights.data[slot] as number);
        multiplyPacked(w, expert, values.subarray(row * K, (row + 1) * K), 1, (_, n, sum) => {
          out[slot * N + n] = (sum + (added?.[expert * N + n] ?? 0)) * weight;
        });
      });
    });
  },
  composite: (inputs, attrs) => {
    const [x, ids, w] = [operand(inputs, 0), operand(inputs, 1), operand(inputs, 3)];
    const weights = optional(inputs, 2) ?? ids.cast('f32').mul(0).add(1);
    return [x.apply(expertLinearOp, [eachSlot(x, ids), ids, weights, w, optional(inputs, 4)], attrs)];
  },
  vjp: 'none', // packed experts run models; MixtureOfExperts of ingot/nn is what trains
  kernel: {
    // The kernel has a row and a weight for each slot; the composite makes them.
    supports: (inputs) => operand(inputs, 0).shape.length === 3 && optional(inputs, 2) !== null,
    emit: (context) => {
      const { inputs, attrs } = context;
      const [x, ids, w] = [operand(inputs, 0), operand(inputs, 1), operand(inputs, 3)];
      const { columns } = packedShape(w.type, 3, 'expertLinear');
      // The sum over one slot of each row is that slot.
      context.emit(
        'moe_down',
        {
          h: x,
          ids,
          weights: operand(inputs, 2),
          down: w,
          bias: optional(inputs, 4),
          experts: null,
          residual: null,
          y: operand(context.outputs, 0),
        },
        {
          ...expertParams(ids.type, w.type, 'expertLinear'),
          rows: countParam(elementCount(ids.type.shape)),
          topk: 1,
          K: columns,
          precision: attrs.precision,
        },
      );
    },
  },
  tolerance: (inputs, _, { precision }) => {
    const [x, w, weights] = [operand(inputs, 0), operand(inputs, 3), optional(inputs, 2)];
    const error = productError(x.shape.at(-1) ?? 1, maxAbs(floats(x)), magnitude(w), precision);
    return { absolute: error * (weights === null ? 1 : maxAbs(weights.data)), relative: 2 ** -21 };
  },
  bytes: (inputs) => expertBytes(operand(inputs, 3), operand(inputs, 1)),
  flops: (inputs) => {
    const { rows, columns } = packedShape(operand(inputs, 3), 3, 'expertLinear');
    return 2 * maxElements(operand(inputs, 1).shape) * rows * columns;
  },
  cases: (['exact', 'fast'] as const).flatMap((precision) =>
    (
      [
        ['q4', 1, 2, false, false],
        ['q4k', 5, 2, true, false],
        ['q8', 9, 3, true, true],
        ['bf16', 3, 3, false, true],
      ] as const
    ).map(([weight, rows, rank, scaled, biased]) => ({
      name: `${weight} ${rows} rows ${precision}${rank === 3 ? ' by slot' : ''}${scaled ? ' scaled' : ''}${biased ? ' bias' : ''}`,
      inputs: [
        { shape: rank === 3 ? [rows, 2, 256] : [rows, 256] },
        { shape: [rows, 2], dtype: 'i32' as const, fill: 'index' as const, below: 6 },
        scaled ? { shape: [rows, 2], fill: 'positive' as const } : null,
        { shape: [6, 24, 256], weight },
        biased ? { shape: [6, 24] } : null,
      ],
      attrs: { precision },
    })),
  ),
});

/** x `[n, K]` once for each slot of ids: `[n, k, K]`. */
function eachSlot(x: NDArray, ids: NDArray): NDArray {
  if (x.shape.length === 3) return x;
  const [rows = 0, columns = 0] = x.shape;
  return x.reshape([rows, 1, columns]).broadcastTo([...ids.shape, columns]);
}

export interface ExpertLinearOptions {
  /** Default `fast`. */
  readonly precision?: KernelPrecision | undefined;
  /** `[E, N]` */
  readonly bias?: NDArray | undefined;
  /** `[n, k]`: multiplies each slot's result, bias included. */
  readonly weights?: NDArray | undefined;
}

/** `weights · (x Wᵀ + bias)` with the W `[N, K]` of each of the experts `ids [n, k]` (i32): `[n, k, N]`. x is `[n, K]` or `[n, k, K]`. */
export const expertLinear = (
  x: NDArray,
  ids: NDArray,
  w: Weight,
  { precision = 'fast', bias, weights }: ExpertLinearOptions = {},
): NDArray => x.apply(expertLinearOp, [x, ids, weights ?? null, w, bias ?? null], { precision });
