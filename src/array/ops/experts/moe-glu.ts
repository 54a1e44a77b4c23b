// moeGlu: act(gate) * up of the chosen experts of each row, with the biases, limits and forms that families have.

import { elementCount, formatShape, maxElements } from '../../../base/shape.ts';
import type { GateForm, Glu, KernelPrecision } from '../../../kernel/signature.ts';
import { sameLayout } from '../../../quant/layout.ts';
import type { NDArray } from '../../array.ts';
import { type CaseWeight, defineOp, type OpCase } from '../../op.ts';
import type { Weight } from '../../weight.ts';
import {
  expertBytes,
  expertParams,
  gatedValue,
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

export interface MoeGluAttrs extends GateForm {
  readonly precision: KernelPrecision;
  readonly glu: Exclude<Glu, 'none'>;
}

/** Operands: x `[n, K]`, ids `[n, k]`, gate and up `[E, N, K]`, their biases `[E, N]` or null. Output `[n, k, N]`. */
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
    const { layout, experts, rows, columns } = packedShape(gate, 3, 'moeGlu: gate');
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
    for (const bias of [optional(inputs, 4), optional(inputs, 5)])
      if (bias !== null) expectShape(bias, [experts, rows], 'moeGlu: bias');
    return [{ shape: [operand(x.shape, 0), operand(ids.shape, 1), rows], dtype: x.dtype }];
  },
  reference: (inputs, outputs, { glu, ...form }) => {
    const [x, ids, gate, up] = [
      operand(inputs, 0),
      operand(inputs, 1),
      operand(inputs, 2),
      operand(inputs, 3),
    ];
    const { rows: N, columns: K } = packedShape(gate, 3, 'moeGlu');
    const topk = ids.shape[1] as number;
    const values = floats(x);
    const biases = [optional(inputs, 4), optional(inputs, 5)].map((b) => (b === null ? null : floats(b)));
    const product = (w: typeof gate, expert: number, row: number): Float32Array => {
      const y = new Float32Array(N);
      const bias = biases[w === gate ? 0 : 1];
      multiplyPacked(w, expert, values.subarray(row * K, (row + 1) * K), 1, (_, n, sum) => {
        y[n] = sum + (bias?.[expert * N + n] ?? 0);
      });
      return y;
    };
    writeFloats(output(outputs), (out) => {
      ids.data.forEach((expert, slot) => {
        const row = Math.floor(slot / topk);
        const g = product(gate, expert, row);
        const u = product(up, expert, row);
        for (let n = 0; n < N; n++) out[slot * N + n] = gatedValue(glu, form, g[n] as number, u[n] as number);
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
        {
          x,
          ids,
          gate,
          up,
          gateBias: optional(inputs, 4),
          upBias: optional(inputs, 5),
          experts: null,
          h: operand(context.outputs, 0),
        },
        {
          rows: countParam(elementCount(x.type.shape.slice(0, 1))),
          K: columns,
          precision: attrs.precision,
          glu: attrs.glu,
          limit: attrs.limit ?? 0,
          alpha: attrs.alpha ?? 0,
          offset: attrs.offset ?? 0,
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
  cases: [
    ...(['exact', 'fast'] as const).flatMap((precision) =>
      (
        [
          ['q4', 1],
          ['q4', 9],
          ['q8', 3],
        ] as const
      ).map(([weight, rows]) => moeGluCase(weight, rows, { precision, glu: 'silu' })),
    ),
    ...[1, 9].map((rows) =>
      moeGluCase('mxfp4', rows, { precision: 'exact', glu: 'silu', limit: 1.5, alpha: 1.7, offset: 1 }, true),
    ),
    moeGluCase('q4', 5, { precision: 'exact', glu: 'silu', limit: 0.5 }),
  ],
});

function moeGluCase(
  weight: CaseWeight,
  rows: number,
  attrs: MoeGluAttrs,
  biased = false,
): OpCase<MoeGluAttrs> {
  const w = { shape: [6, 48, 64], weight };
  const bias = { shape: [6, 48] };
  const { precision, glu: _, ...form } = attrs;
  return {
    name: `${weight} ${rows} rows ${precision}${biased ? ' bias' : ''} ${Object.keys(form).join(' ')}`.trimEnd(),
    inputs: [
      { shape: [rows, 64] },
      { shape: [rows, 2], dtype: 'i32', fill: 'index', below: 6 },
      w,
      w,
      ...(biased ? [bias, bias] : []),
    ],
    attrs,
  };
}

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
