// matmul: batched matrix product of dense arrays; batch axes broadcast.

import {
  broadcastShapes,
  type Count,
  elementCount,
  formatShape,
  isDynamic,
  maxElements,
  type Shape,
  sameDim,
  sameShape,
} from '../../../base/shape.ts';
import type { NDArray } from '../../array.ts';
import { defineOp, type OpDef } from '../../op.ts';
import type { ValueType } from '../../types.ts';
import { broadcastingBatch } from '../batch.ts';
import { promote } from '../elementwise/elementwise.ts';
import {
  countParam,
  expectFloat,
  floats,
  numel,
  operand,
  output,
  shapeError,
  writeFloats,
} from '../operands.ts';
import { sumTo } from '../reduce/sum.ts';

export interface MatmulAttrs {
  /** b is `[…, N, K]`. */
  readonly transposeB: boolean;
}

const batchOf = (t: { readonly shape: Shape }): Shape => t.shape.slice(0, -2);
const isSingle = (s: Shape): boolean => s.every((d) => d === 1);

export const matmulOp: OpDef<MatmulAttrs> = defineOp<MatmulAttrs>({
  name: 'matmul',
  infer: (inputs, { transposeB }) => {
    const [a, b] = [operand(inputs, 0), operand(inputs, 1)];
    expectFloat(a, 'matmul');
    if (a.shape.length < 2 || b.shape.length < 2 || a.dtype !== b.dtype) {
      shapeError(
        'matmul',
        `needs two matrices of one dtype, got ${formatShape(a.shape)} and ${formatShape(b.shape)}`,
      );
    }
    const [M, K] = [operand(a.shape, a.shape.length - 2), operand(a.shape, a.shape.length - 1)];
    const [p, q] = [operand(b.shape, b.shape.length - 2), operand(b.shape, b.shape.length - 1)];
    if (!sameDim(K, transposeB ? q : p)) {
      shapeError('matmul', `inner sizes of ${formatShape(a.shape)} and ${formatShape(b.shape)} differ`);
    }
    const batch = broadcastShapes(batchOf(a), batchOf(b), 'matmul');
    return [{ shape: [...batch, M, transposeB ? p : q], dtype: a.dtype }];
  },
  reference: (inputs, outputs, { transposeB }) => {
    const [a, b] = [operand(inputs, 0), operand(inputs, 1)];
    const out = output(outputs);
    const [M, N] = out.shape.slice(-2) as [number, number];
    const K = a.shape[a.shape.length - 1] as number;
    const [x, y] = [floats(a), floats(b)];
    const batch = out.shape.slice(0, -2);
    const pick = (shape: readonly number[]) => batchIndex(shape.slice(0, -2), batch);
    const [batchA, batchB] = [pick(a.shape), pick(b.shape)];
    writeFloats(out, (z) => {
      for (let i = 0; i < z.length; i++) {
        const g = Math.floor(i / (M * N));
        const row = batchA(g) * M * K + (Math.floor(i / N) % M) * K;
        const column = batchB(g) * K * N + (transposeB ? (i % N) * K : i % N);
        const step = transposeB ? 1 : N;
        let sum = 0;
        for (let k = 0; k < K; k++) sum += (x[row + k] as number) * (y[column + k * step] as number);
        z[i] = sum;
      }
    });
  },
  composite: (inputs, attrs) => {
    const [a, b] = [operand(inputs, 0), operand(inputs, 1)];
    const batch = broadcastShapes(batchOf(a), batchOf(b), 'matmul');
    const full = (x: NDArray): NDArray => x.broadcastTo([...batch, ...x.shape.slice(-2)]);
    return [a.apply(matmulOp, [full(a), full(b)], attrs)];
  },
  vjp: ({ inputs, grads, attrs: { transposeB } }) => {
    const [a, b] = [operand(inputs, 0), operand(inputs, 1)];
    const g = operand(grads, 0);
    if (a.shape.length > 2 && b.shape.length === 2 && !a.shape.some(isDynamic)) {
      // one matrix for all rows: its gradient is one product over them, not a sum of one for each batch
      const count = maxElements(a.shape.slice(0, -1));
      const flat = (x: NDArray): NDArray => x.reshape([count, operand(x.shape, x.shape.length - 1)]);
      const [rows, grad] = [flat(a), flat(g)];
      const da = transposeB ? matmul(grad, b) : matmulTransposed(grad, b);
      const db = transposeB ? matmul(swapLast(grad), rows) : matmul(swapLast(rows), grad);
      return [da.reshape(a.shape), db];
    }
    const da = transposeB ? matmul(g, b) : matmulTransposed(g, b);
    const db = transposeB ? matmul(swapLast(g), a) : matmul(swapLast(a), g);
    return [sumTo(da, a.shape), sumTo(db, b.shape)];
  },
  batch: (call) => {
    const rank = Math.max(...call.inputs.map((x, i) => (x?.shape.length ?? 0) - (call.batched[i] ? 1 : 0)));
    return call.again(broadcastingBatch(call, rank));
  },
  kernel: {
    supports: (inputs, [out]) =>
      [0, 1].every((i) => {
        const own = batchOf(operand(inputs, i));
        return isSingle(own) || (out !== undefined && sameShape(own, batchOf(out)));
      }),
    emit: (context) => {
      const [a, b] = [operand(context.inputs, 0), operand(context.inputs, 1)];
      const out = operand(context.outputs, 0);
      const rank = out.type.shape.length;
      const single = isSingle(batchOf(b.type)); // the rows of all batches are one matrix
      context.emit(
        'matmul',
        { a, b, y: out },
        {
          batch: single ? 1 : countParam(elementCount(batchOf(out.type))),
          M: countParam(elementCount(out.type.shape.slice(single ? 0 : rank - 2, rank - 1))),
          K: countParam(elementCount(a.type.shape.slice(-1))),
          N: countParam(elementCount(out.type.shape.slice(rank - 1))),
          transposeB: context.attrs.transposeB,
          aStride: countParam(batchStride(a.type)),
          bStride: countParam(batchStride(b.type)),
        },
      );
    },
  },
  tolerance: (inputs, outputs) => {
    const [a, b] = [floats(operand(inputs, 0)), floats(operand(inputs, 1))];
    const K = operand(inputs, 0).shape.at(-1) ?? 1;
    const half = output(outputs).dtype === 'f32' ? 0 : 2 ** -8;
    return { absolute: K * 2 ** -23 * maxAbs(a) * maxAbs(b) * Math.sqrt(K), relative: half };
  },
  flops: (inputs, outputs) =>
    2 * maxElements(operand(outputs, 0).shape) * maxElements(operand(inputs, 0).shape.slice(-1)),
  cases: [
    { name: 'small', inputs: [{ shape: [5, 7] }, { shape: [7, 3] }], attrs: { transposeB: false } },
    { name: 'blocks', inputs: [{ shape: [33, 70] }, { shape: [70, 49] }], attrs: { transposeB: false } },
    { name: 'transposed', inputs: [{ shape: [6, 64] }, { shape: [19, 64] }], attrs: { transposeB: true } },
    { name: 'batched', inputs: [{ shape: [3, 4, 8] }, { shape: [3, 8, 5] }], attrs: { transposeB: false } },
    {
      name: 'broadcast b',
      inputs: [{ shape: [2, 3, 4, 8] }, { shape: [8, 5] }],
      attrs: { transposeB: false },
    },
    {
      name: 'broadcast both',
      inputs: [{ shape: [2, 1, 4, 8] }, { shape: [3, 8, 5] }],
      attrs: { transposeB: false },
    },
    { name: 'one row', inputs: [{ shape: [1, 128] }, { shape: [128, 20] }], attrs: { transposeB: false } },
    {
      name: 'f16',
      inputs: [
        { shape: [4, 16], dtype: 'f16' },
        { shape: [16, 6], dtype: 'f16' },
      ],
      attrs: { transposeB: false },
    },
  ],
});

const batchStride = (t: ValueType): Count =>
  isSingle(batchOf(t)) ? { mul: 0 } : elementCount(t.shape.slice(-2));

/** Index of the batch of an operand for batch g of the result. */
function batchIndex(own: readonly number[], batch: readonly number[]): (g: number) => number {
  if (numel(own) === numel(batch)) return (g) => g;
  return (g) => {
    let rest = g;
    let at = 0;
    let stride = 1;
    for (let k = batch.length - 1, o = own.length - 1; k >= 0; k--, o--) {
      const size = batch[k] as number;
      const mine = own[o] ?? 1;
      if (mine !== 1) at += (rest % size) * stride;
      stride *= mine;
      rest = Math.floor(rest / size);
    }
    return at;
  };
}

const maxAbs = (x: Float32Array): number => x.reduce((m, v) => Math.max(m, Math.abs(v)), 0);

const swapLast = (x: NDArray): NDArray => {
  const axes = x.shape.map((_, i) => i);
  return x.transpose([...axes.slice(0, -2), ...axes.slice(-2).reverse()]);
};

/** `a bᵀ` over the last two axes, without transposing b in memory. */
export const matmulTransposed = (a: NDArray, b: NDArray): NDArray =>
  a.apply(matmulOp, [a, b], { transposeB: true });

/** Matrix product with NumPy's rules: batch axes broadcast, a vector is a row on the left and a column on the right. */
export function matmul(a: NDArray, b: NDArray): NDArray {
  const dtype = promote(a.dtype, b.dtype);
  const [x, y] = [a.cast(dtype), b.cast(dtype)];
  const row = x.shape.length === 1;
  const column = y.shape.length === 1;
  const product = x.apply(
    matmulOp,
    [row ? x.reshape([1, ...x.shape]) : x, column ? y.reshape([...y.shape, 1]) : y],
    { transposeB: false },
  );
  const { shape } = product;
  if (row && column) return product.reshape(shape.slice(0, -2));
  if (row) return product.reshape([...shape.slice(0, -2), ...shape.slice(-1)]);
  return column ? product.reshape(shape.slice(0, -1)) : product;
}
