// moeGlu: act(gate) * up of the chosen experts of each row.

import { elementCount, formatShape, maxElements } from '../../../base/shape.ts';
import { erf } from '../../../kernel/scalar-functions.ts';
import type { Glu, KernelPrecision } from '../../../kernel/signature.ts';
import { sameLayout } from '../../../quant/layout.ts';
import type { NDArray } from '../../array.ts';
import { defineOp } from '../../op.ts';
import type { Weight } from '../../weight.ts';
import {
  expertBytes,
  expertParams,
  gluValue,
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
  output,
  shapeError,
  writeFloats,
} from '../operands.ts';

export interface MoeGluAttrs {
  readonly precision: KernelPrecision;
  readonly glu: Exclude<Glu, 'none'>;
}

/** Operands: x `[n, K]`, ids `[n, k]`, gate and up `[E, N, K]`. Output `[n, k, N]`. */
export const moeGluOp = defineOp<MoeGluAttrs>({
  name: 'moeGlu',
  infer: (inputs) => {
    const [x, ids, gate, up] = [
      operand(inputs, 0),
      operand(inputs, 1),
      operand(inputs, 2),
      operand(inputs, 3),
    ];
    expectFloat(x, 'moeGlu');
    expectDtype(ids, ['i32'], 'moeGlu: ids');
    const { layout, rows, columns } = packedShape(gate, 3, 'moeGlu: gate');
    expectShape(up, gate.shape, 'moeGlu: up');
    if (!sameLayout(layout, packedShape(up, 3, 'moeGlu: up').layout)) {
      shapeError('moeGlu', 'gate and up must be packed in one layout');
    }
    if (x.shape.length !== 2 || ids.shape.length !== 2 || x.shape[1] !== columns) {
      shapeError(
        'moeGlu',
        `x ${formatShape(x.shape)} and ids ${formatShape(ids.shape)} do not fit ${formatShape(gate.shape)}`,
      );
    }
    return [{ shape: [operand(x.shape, 0), operand(ids.shape, 1), rows], dtype: x.dtype }];
  },
  reference: (inputs, outputs, { glu }) => {
    const [x, ids, gate, up] = [
      operand(inputs, 0),
      operand(inputs, 1),
      operand(inputs, 2),
      operand(inputs, 3),
    ];
    const { rows: N, columns: K } = packedShape(gate, 3, 'moeGlu');
    const topk = ids.shape[1] as number;
    const values = floats(x);
    const product = (w: typeof gate, expert: number, row: number): Float32Array => {
      const y = new Float32Array(N);
      multiplyPacked(w, expert, values.subarray(row * K, (row + 1) * K), 1, (_, n, sum) => {
        y[n] = sum;
      });
      return y;
    };
    writeFloats(output(outputs), (out) => {
      ids.data.forEach((expert, slot) => {
        const row = Math.floor(slot / topk);
        const g = product(gate, expert, row);
        const u = product(up, expert, row);
        for (let n = 0; n < N; n++) out[slot * N + n] = gluValue(glu, g[n] as number, u[n] as number, erf);
      });
    });
  },
  vjp: 'none', // packed experts run models; MixtureOfExperts of ingot/nn is what trains
  kernel: {
    emit: (context) => {
      const { inputs, attrs } = context;
      const [x, ids, gate, up] = [
        operand(inputs, 0),
        operand(inputs, 1),
        operand(inputs, 2),
        operand(inputs, 3),
      ];
      const { columns } = packedShape(gate.type, 3, 'moeGlu');
      context.emit(
        'moe_glu',
        { x, ids, gate, up, h: operand(context.outputs, 0) },
        {
          rows: countParam(elementCount(x.type.shape.slice(0, 1))),
          K: columns,
          precision: attrs.precision,
          glu: attrs.glu,
          ...expertParams(ids.type, gate.type, 'moeGlu'),
        },
      );
    },
  },
  tolerance: (inputs, outputs, { precision }) => {
    const [x, gate, up] = [operand(inputs, 0), operand(inputs, 2), operand(inputs, 3)];
    const K = x.shape[1] ?? 1;
    const size = magnitude(gate, up);
    const error = productError(K, maxAbs(floats(x)), size, precision);
    return {
      absolute: error * 2 * (1 + 4 * Math.sqrt(K) * size.rms + maxAbs(floats(output(outputs)))),
      relative: 0,
    };
  },
  bytes: (inputs) => 2 * expertBytes(operand(inputs, 2), operand(inputs, 1)),
  flops: (inputs) => {
    const { rows, columns } = packedShape(operand(inputs, 2), 3, 'moeGlu');
    return 4 * maxElements(operand(inputs, 1).shape) * rows * columns;
  },
  cases: (['exact', 'fast'] as const).flatMap((precision) =>
    (
      [
        ['q4', 1],
        ['q4', 9],
        ['q8', 3],
      ] as const
    ).map(([weight, rows]) => ({
      name: `${weight} ${rows} rows ${precision}`,
      inputs: [
        { shape: [rows, 64] },
        { shape: [rows, 2], dtype: 'i32' as const, fill: 'index' as const, below: 6 },
        { shape: [6, 48, 64], weight },
        { shape: [6, 48, 64], weight },
      ],
      attrs: { precision, glu: 'silu' as const },
    })),
  ),
});

export interface MoeOptions {
  readonly precision?: KernelPrecision | undefined;
}

/** act(x gateᵀ) * (x upᵀ) for each of the experts `ids [n, k]` of each row: `[n, k, N]`. */
export const moeGlu = (
  x: NDArray,
  ids: NDArray,
  gate: Weight,
  up: Weight,
  options: MoeOptions & { readonly glu?: MoeGluAttrs['glu'] | undefined } = {},
): NDArray =>
  x.apply(moeGluOp, [x, ids, gate, up], {
    precision: options.precision ?? 'fast',
    glu: options.glu ?? 'silu',
  });
