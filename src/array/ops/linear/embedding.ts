// embedding: rows of a packed matrix, dequantised.

import { IngotError } from '../../../base/errors.ts';
import { elementCount } from '../../../base/shape.ts';
import { quantizedSpec } from '../../../quant/layout.ts';
import type { NDArray, Operand } from '../../array.ts';
import { defineOp } from '../../op.ts';
import type { Weight } from '../../weight.ts';
import { type ArangeAttrs, arangeOp } from '../creation/arange.ts';
import { countParam, expectDtype, operand, output } from '../operands.ts';
import { layoutParams, magnitude, packedRow, packedShape } from './packed.ts';

export interface EmbeddingAttrs {
  readonly scale: number;
}

export const embeddingOp = defineOp<EmbeddingAttrs>({
  name: 'embedding',
  infer: (inputs) => {
    const [ids, w] = [operand(inputs, 0), operand(inputs, 1)];
    expectDtype(ids, ['i32'], 'embedding: ids');
    return [{ shape: [...ids.shape, packedShape(w, 2, 'embedding').columns], dtype: 'f32' }];
  },
  reference: (inputs, outputs, { scale }) => {
    const [ids, w] = [operand(inputs, 0), operand(inputs, 1)];
    const out = output(outputs);
    const { rows, columns } = packedShape(w, 2, 'embedding');
    ids.data.forEach((id, i) => {
      if (id < 0 || id >= rows) {
        throw new IngotError('invalid_argument', `embedding: id ${id} is outside a table of ${rows} rows`);
      }
      const row = packedRow(w, id);
      for (let k = 0; k < columns; k++) out.data[i * columns + k] = (row[k] as number) * scale;
    });
  },
  vjp: ({ inputs }) => inputs.map(() => null), // of packed tables, which are constants, by integers
  kernel: {
    emit: (context) => {
      const [ids, w] = [operand(context.inputs, 0), operand(context.inputs, 1)];
      const { layout, rows, columns } = packedShape(w.type, 2, 'embedding');
      context.emit(
        'embed',
        { ids, w, y: operand(context.outputs, 0) },
        {
          rows: countParam(elementCount(ids.type.shape)),
          N: rows,
          K: columns,
          ...layoutParams(layout),
          scale: context.attrs.scale,
        },
      );
    },
  },
  tolerance: (inputs, _outputs, { scale }) => {
    const w = operand(inputs, 1);
    const minimum = quantizedSpec(packedShape(w, 2, 'embedding').layout.kind)?.minimum === true;
    // Code times scale plus minimum rounds once or twice, and numbers of up to twice the largest weight may cancel.
    return {
      absolute: minimum ? 4 * 2 ** -24 * 2 * magnitude(w).max * scale : 0,
      relative: 4 * 2 ** -24,
    };
  },
  cases: (
    ['f32', 'f16', 'bf16', 'q4', 'q4a', 'q8', 'q4k', 'q6k', 'q5', 'q3k', 'q2k', 'q6a', 'mxfp4', 'f8'] as const
  ).map((weight) => ({
    name: weight,
    inputs: [
      { shape: [5], dtype: 'i32' as const, fill: 'index' as const, below: 19 },
      { shape: [19, 256], weight },
    ],
    attrs: { scale: weight === 'q8' ? 1.5 : 1 },
  })),
});

/** Rows `ids` (i32, any shape) of a packed table `[V, K]` as f32: `[..., K]`, times `scale`. */
export const embedding = (ids: NDArray, w: Weight, options: { readonly scale?: number } = {}): NDArray =>
  ids.apply(embeddingOp, [ids, w], { scale: options.scale ?? 1 });

/** All rows of a packed matrix as a dense f32 array `[N, K]`. */
export function dequantize(w: NDArray): NDArray {
  const { rows } = packedShape(
    { shape: w.shape, dtype: w.dtype, ...(w.layout && { layout: w.layout }) },
    2,
    'dequantize',
  );
  const ids = w.apply<ArangeAttrs>(arangeOp, [], { start: 0, step: 1, length: rows, dtype: 'i32' });
  return w.apply(embeddingOp, [ids, w as Operand], { scale: 1 });
}
