// rope: rotary position embedding of heads, with an RMS norm per head before it when fused. https://arxiv.org/abs/2104.09864

import { elementCount, formatShape, maxElements } from '../../../base/shape.ts';
import type { NDArray } from '../../array.ts';
import { defineOp, type OpCase, type OpDef } from '../../op.ts';
import { maxAbs } from '../linear/packed.ts';
import {
  countParam,
  expectDtype,
  expectFloat,
  expectShape,
  fixed,
  floats,
  operand,
  optional,
  output,
  shapeError,
  writeFloats,
} from '../operands.ts';
import { normalizeRows } from './rms-norm.ts';

export interface RopeAttrs {
  /** Leading components of a head that are rotated; the others pass. */
  readonly rotaryDim: number;
  /** Pairs are (2i, 2i+1) instead of (i, i + rotaryDim/2). */
  readonly interleaved: boolean;
  /** Multiplies sine and cosine (yarn). */
  readonly attentionScale: number;
  /** RMS norm over each head with operand 3 before the rotation. */
  readonly norm: { readonly eps: number } | null;
}

/** Rotates heads `[rows, H, Dh]` in place; angles are rounded to f32 like the products that models are trained with. */
export function rotate(
  x: Float32Array,
  heads: number,
  headDim: number,
  positions: ArrayLike<number>,
  invFreq: Float32Array,
  { rotaryDim, interleaved, attentionScale }: RopeAttrs,
): void {
  const half = rotaryDim / 2;
  for (let row = 0; row < positions.length; row++) {
    for (let i = 0; i < half; i++) {
      const angle = Math.fround((positions[row] as number) * (invFreq[i] as number));
      const cos = Math.cos(angle) * attentionScale;
      const sin = Math.sin(angle) * attentionScale;
      const [first, second] = interleaved ? [2 * i, 2 * i + 1] : [i, i + half];
      for (let h = 0; h < heads; h++) {
        const base = (row * heads + h) * headDim;
        const a = x[base + first] as number;
        const b = x[base + second] as number;
        x[base + first] = a * cos - b * sin;
        x[base + second] = b * cos + a * sin;
      }
    }
  }
}

export const ropeOp: OpDef<RopeAttrs> = defineOp<RopeAttrs>({
  name: 'rope',
  infer: (inputs, { rotaryDim }) => {
    const [x, positions, invFreq] = [operand(inputs, 0), operand(inputs, 1), operand(inputs, 2)];
    const weight = optional(inputs, 3);
    expectFloat(x, 'rope');
    if (x.shape.length !== 3)
      shapeError('rope', `expected [rows, heads, headDim], got ${formatShape(x.shape)}`);
    const headDim = fixed(x.shape[2], 'rope');
    if (rotaryDim % 2 !== 0 || rotaryDim > headDim) {
      shapeError('rope', `rotaryDim ${rotaryDim} must be even and at most headDim ${headDim}`);
    }
    expectDtype(positions, ['i32'], 'rope: positions');
    expectShape(positions, x.shape.slice(0, 1), 'rope: positions');
    expectShape(invFreq, [rotaryDim / 2], 'rope: invFreq');
    if (weight !== null) expectShape(weight, [headDim], 'rope: norm weight');
    return [{ shape: x.shape, dtype: x.dtype }];
  },
  reference: (inputs, outputs, attrs) => {
    const [x, positions, invFreq] = [operand(inputs, 0), operand(inputs, 1), operand(inputs, 2)];
    const weight = optional(inputs, 3);
    const [, heads = 0, headDim = 0] = x.shape;
    writeFloats(output(outputs), (out) => {
      const w = weight === null ? null : floats(weight);
      out.set(attrs.norm === null ? floats(x) : normalizeRows(floats(x), headDim, w, attrs.norm.eps, 0));
      rotate(out, heads, headDim, positions.data, floats(invFreq), attrs);
    });
  },
  composite: (inputs, attrs) => {
    // Only the fused norm can be taken apart; the rotation itself is lowered everywhere.
    const [x, positions, invFreq] = [operand(inputs, 0), operand(inputs, 1), operand(inputs, 2)];
    const y = attrs.norm === null ? x : x.rmsNorm(optional(inputs, 3), attrs.norm.eps);
    return [y.apply(ropeOp, [y, positions, invFreq, null], { ...attrs, norm: null })];
  },
  vjp: ({ inputs, grads, attrs }) => {
    // The rotation is orthogonal: its transpose is the rotation by the negative angle.
    if (attrs.norm !== null) shapeError('rope', 'only the unfused form has a gradient');
    const [positions, invFreq] = [operand(inputs, 1), operand(inputs, 2)];
    const g = operand(grads, 0);
    return [g.apply(ropeOp, [g, positions, invFreq.neg(), null], attrs), null, null, null];
  },
  kernel: {
    emit: (context) => {
      const [x, positions, invFreq] = [
        operand(context.inputs, 0),
        operand(context.inputs, 1),
        operand(context.inputs, 2),
      ];
      const { rotaryDim, interleaved, attentionScale, norm } = context.attrs;
      context.emit(
        'rope',
        { x, positions, invFreq, y: operand(context.outputs, 0), normWeight: optional(context.inputs, 3) },
        {
          rows: countParam(elementCount(x.type.shape.slice(0, 1))),
          H: fixed(x.type.shape[1], 'rope'),
          Dh: fixed(x.type.shape[2], 'rope'),
          rot: rotaryDim,
          interleaved,
          attentionScale,
          normEps: norm?.eps ?? 0,
          hasNorm: norm !== null,
        },
      );
    },
  },
  tolerance: (inputs, outputs) => {
    // An angle is off by its rounding, which grows with the position.
    const angle = maxAbs(operand(inputs, 1).data) * maxAbs(floats(operand(inputs, 2)));
    const error = (16 + 2 * angle) * 2 ** -24 * (1 + maxAbs(floats(output(outputs))));
    return { absolute: error, relative: 0 };
  },
  flops: (inputs) => 6 * maxElements(operand(inputs, 0).shape),
  cases: ropeCases(),
});

function ropeCases(): readonly OpCase<RopeAttrs>[] {
  const positions = { shape: [5], dtype: 'i32' as const, fill: 'index' as const, below: 300 };
  const invFreq = (n: number) => ({ shape: [n], fill: 'unit' as const });
  const attrs: RopeAttrs = { rotaryDim: 64, interleaved: false, attentionScale: 1, norm: null };
  return [
    { name: 'halves', inputs: [{ shape: [5, 3, 64] }, positions, invFreq(32), null], attrs },
    {
      name: 'interleaved',
      inputs: [{ shape: [5, 2, 64] }, positions, invFreq(32), null],
      attrs: { ...attrs, interleaved: true },
    },
    {
      name: 'partial, scaled',
      inputs: [{ shape: [5, 2, 64] }, positions, invFreq(16), null],
      attrs: { ...attrs, rotaryDim: 32, attentionScale: 1.2 },
    },
    {
      name: 'with norm',
      inputs: [{ shape: [5, 4, 64] }, positions, invFreq(32), { shape: [64], fill: 'positive' }],
      attrs: { ...attrs, norm: { eps: 1e-6 } },
    },
  ];
}

export interface RopeOptions {
  /** Default: twice the number of frequencies. */
  readonly rotaryDim?: number | undefined;
  readonly interleaved?: boolean | undefined;
  readonly attentionScale?: number | undefined;
}

/** Rotates `x [n, H, Dh]` by `positions` (i32 `[n]`) times `invFreq` (f32 `[rotaryDim / 2]`). */
export const rope = (x: NDArray, positions: NDArray, invFreq: NDArray, options: RopeOptions = {}): NDArray =>
  x.apply(ropeOp, [x, positions, invFreq, null], {
    rotaryDim: options.rotaryDim ?? 2 * fixed(invFreq.shape[0], 'rope: invFreq'),
    interleaved: options.interleaved ?? false,
    attentionScale: options.attentionScale ?? 1,
    norm: null,
  });
