// Packed weights inside ops: checks, kernel parameters, and plain-TypeScript products panel by panel.

import { formatShape, maxElements } from '../../../base/shape.ts';
import { erf } from '../../../kernel/scalar-functions.ts';
import type { GateForm, Glu, KernelPrecision } from '../../../kernel/signature.ts';
import { layoutCode, packedBytes, panelBytes, panelRows, type WeightLayout } from '../../../quant/layout.ts';
import { gatherRow, unpackReference } from '../../../quant/reference.ts';
import type { Tensor, ValueType } from '../../types.ts';
import { fixed, shapeError } from '../operands.ts';

export interface PackedShape {
  readonly layout: WeightLayout;
  /** Matrices in the stack: 1 for a plain matrix. */
  readonly experts: number;
  readonly rows: number;
  readonly columns: number;
}

/** Sizes of a packed weight `[N, K]` or `[E, N, K]`. Throws shape_mismatch for anything else. */
export function packedShape(t: ValueType | Tensor, rank: 2 | 3, what: string): PackedShape {
  if (t.layout === undefined || t.shape.length !== rank) {
    shapeError(what, `expected a packed weight of ${rank} axes, got ${formatShape(t.shape)}`);
  }
  const [columns = 0, rows = 0, experts = 1] = [...t.shape].reverse().map((d) => fixed(d, what));
  return { layout: t.layout, experts, rows, columns };
}

/** How kernels are told a layout. */
export const layoutParams = (layout: WeightLayout) => ({
  layout: layoutCode(layout),
  group: layout.group,
  metaDtype: layout.metaDtype,
});

/** What both expert kernels are told of ids `[n, k]` and weights `[E, N, K]`. */
export function expertParams(ids: ValueType, w: ValueType, what: string) {
  const { layout, experts, rows } = packedShape(w, 3, what);
  return { topk: fixed(ids.shape[1], what), E: experts, N: rows, ...layoutParams(layout) };
}

const bytesOf = (t: Tensor): Uint8Array =>
  new Uint8Array(t.data.buffer, t.data.byteOffset, t.data.byteLength);

/** Row `row` of a packed matrix, dequantised. */
export const packedRow = (w: Tensor, row: number): Float32Array => {
  const { layout, rows, columns } = packedShape(w, 2, 'embedding');
  return gatherRow(layout, bytesOf(w), rows, columns, row);
};

/**
 * `out[r * outStride + n] = sum_k x[r, k] w[expert, n, k]` for `rows` rows of x. Unpacks one panel at a time, so
 * memory stays small, and accumulates in double.
 */
export function multiplyPacked(
  w: Tensor,
  expert: number,
  x: Float32Array,
  rows: number,
  write: (row: number, n: number, sum: number) => void,
): void {
  const { layout, rows: N, columns: K } = packedShape(w, w.shape.length === 3 ? 3 : 2, 'linear');
  const panel = panelBytes(layout, K);
  const bytes = bytesOf(w).subarray(expert * packedBytes(layout, N, K));
  for (let first = 0; first < N; first += panelRows) {
    const at = (first / panelRows) * panel;
    const values = unpackReference(layout, bytes.subarray(at, at + panel), panelRows, K);
    const last = Math.min(panelRows, N - first);
    for (let r = 0; r < rows; r++) {
      for (let lane = 0; lane < last; lane++) {
        let sum = 0;
        for (let k = 0; k < K; k++) sum += (x[r * K + k] as number) * (values[lane * K + k] as number);
        write(r, first + lane, sum);
      }
    }
  }
}

/** act(gate) * up. */
export function gluValue(glu: Glu, gate: number, up: number, erf: (x: number) => number): number {
  switch (glu) {
    case 'none':
      return gate;
    case 'silu':
      return (gate / (1 + Math.exp(-gate))) * up;
    case 'gelu_tanh':
      return 0.5 * gate * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (gate + 0.044715 * gate ** 3))) * up;
    case 'gelu_erf':
      return 0.5 * gate * (1 + erf(gate * Math.SQRT1_2)) * up;
  }
}

/** What a gate of this form lets through. */
export function gatedValue(
  glu: Glu,
  { limit = 0, alpha = 0, offset = 0 }: GateForm,
  gate: number,
  up: number,
): number {
  const open = limit === 0 ? gate : Math.min(gate, limit);
  const through = (limit === 0 ? up : Math.max(Math.min(up, limit), -limit)) + offset;
  return alpha === 0 ? gluValue(glu, open, through, erf) : (open / (1 + Math.exp(-alpha * open))) * through;
}

/** How large a packed weight's values are. */
export interface Magnitude {
  readonly max: number;
  readonly rms: number;
}

/**
 * Bound on the error of one output of a product over K terms. Exact: rounding of partial sums in f32. Fast: activations
 * in int8, each off by at most half a step of 1/127 of the largest of its group (taken over the row here), evenly spread,
 * so that the sum is off by a normal deviate of which six sigma are allowed.
 */
export function productError(K: number, maxX: number, w: Magnitude, precision: KernelPrecision): number {
  const accumulate = K * 2 ** -24 * maxX * w.max * Math.sqrt(K);
  return precision === 'exact' ? accumulate : accumulate + (6 * Math.sqrt(K / 3) * maxX * w.rms) / 254;
}

/** Largest magnitude of a list. */
export const maxAbs = (x: ArrayLike<number>): number => {
  let m = 0;
  for (let i = 0; i < x.length; i++) m = Math.max(m, Math.abs(x[i] as number));
  return m;
};

/** Magnitude of the values of packed weights, the largest of several. */
export function magnitude(...weights: readonly Tensor[]): Magnitude {
  let [max, rms] = [0, 0];
  for (const w of weights) {
    const { layout, experts, rows, columns } = packedShape(w, w.shape.length === 3 ? 3 : 2, 'linear');
    const size = packedBytes(layout, rows, columns);
    for (let e = 0; e < experts; e++) {
      const values = unpackReference(layout, bytesOf(w).subarray(e * size, (e + 1) * size), rows, columns);
      const squares = values.reduce((sum, v) => sum + v * v, 0);
      max = Math.max(max, maxAbs(values));
      rms = Math.max(rms, Math.sqrt(squares / values.length));
    }
  }
  return { max, rms };
}

/** Bytes of the experts that `ids` picks, each counted once; all of them when there are more picks than experts. */
export function expertBytes(w: ValueType, ids: ValueType): number {
  const { layout, experts, rows, columns } = packedShape(w, 3, 'experts');
  return Math.min(experts, maxElements(ids.shape)) * packedBytes(layout, rows, columns);
}
