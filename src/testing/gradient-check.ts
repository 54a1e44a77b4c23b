// Checks an op's gradient rule against differences of its reference, in f64, along random directions.

import { NDArray } from '../array/array.ts';
import { fromData } from '../array/creation.ts';
import { opNode } from '../array/graph/node.ts';
import { tidy } from '../array/lifetime.ts';
import type { OpCase, OpDef } from '../array/op.ts';
import { compositeGradients } from '../array/transform/backward.ts';
import type { Tensor } from '../array/types.ts';
import { Weight } from '../array/weight.ts';
import { isFloat } from '../base/dtype.ts';
import { IngotError } from '../base/errors.ts';
import type { Device } from '../device/device.ts';
import { caseTensor } from './case-data.ts';
import { referenceResult } from './device-conformance.ts';

/** Difference along one operand: what the rule says and what the reference shows. */
export interface GradientDifference {
  readonly operand: number;
  readonly rule: number;
  readonly difference: number;
  /** Error of the difference quotient and of f32. */
  readonly bound: number;
}

/** Directional derivatives for every f32 operand of a case that the rule gives a gradient for. */
export async function checkGradient(
  device: Device,
  op: OpDef,
  c: OpCase<object>,
  seed: number,
): Promise<readonly GradientDifference[]> {
  const inputs = c.inputs.map((spec, i) => (spec === null ? null : caseTensor(spec, seed * 31 + i)));
  const outputs = referenceResult(op, c.attrs, inputs);
  if (outputs.some((t) => t.dtype !== 'f32')) return []; // differences of rounded results say nothing
  const cotangents = outputs.map((t, i) => caseTensor({ shape: t.shape }, seed * 77 + i));
  const grads = await ruleGradients(device, op, c, inputs, cotangents);
  const results: GradientDifference[] = [];
  grads.forEach((gradient, i) => {
    const x = inputs[i];
    if (gradient === null || x == null || x.dtype !== 'f32' || x.layout !== undefined) return;
    const direction = caseTensor({ shape: x.shape }, seed * 131 + i);
    const rule = dot(gradient, direction.data);
    const at = (step: number): number => {
      const moved = Float64Array.from(x.data, (v, k) => v + step * (direction.data[k] as number));
      const result = resultInF64(op, c.attrs, inputs, { operand: i, data: moved });
      return result.reduce((sum, t, k) => sum + dot(t.data, cotangents[k]?.data ?? []), 0);
    };
    const h = 2 ** -12;
    const fine = (at(h) - at(-h)) / (2 * h);
    const coarse = (at(2 * h) - at(-2 * h)) / (4 * h);
    // Halving the step shows the curvature; what is left is rounding of the rule, which is computed in f32.
    const scale = outputs.reduce((sum, t, k) => sum + absDot(t.data, cotangents[k]?.data ?? []), 1);
    const size = absDot(gradient, direction.data);
    const packed = inputs.some((t) => t?.layout !== undefined);
    const rounding = packed ? (scale * 2 ** -20) / h : 0; // packed weights are multiplied in f32
    const bound = 4 * Math.abs(fine - coarse) + 2 ** -16 * (size + scale) + rounding;
    results.push({ operand: i, rule, difference: fine, bound });
  });
  return results;
}

interface Moved {
  readonly operand: number;
  readonly data: Float64Array;
}

/**
 * The reference with f64 in place of f32, one operand moved: references are written over Float32Array and Math.fround, which are exchanged
 * while it runs. Packed weights are bits that f32 arrays read: with these it runs as it is.
 */
function resultInF64(
  op: OpDef,
  attrs: object,
  inputs: readonly (Tensor | null)[],
  { operand, data }: Moved,
): readonly Tensor[] {
  const wide = (x: ArrayLike<number>): Tensor['data'] => Float64Array.from(x) as unknown as Tensor['data'];
  if (inputs.some((t) => t?.layout !== undefined)) {
    const moved = inputs.map((t, k) =>
      t !== null && k === operand ? { ...t, data: Float32Array.from(data) } : t,
    );
    return referenceResult(op, attrs, moved);
  }
  const widened = inputs.map((t, k): Tensor | null => {
    if (t === null || t.dtype !== 'f32') return t;
    return { ...t, data: wide(k === operand ? data : t.data) };
  });
  const outputs = referenceResult(op, attrs, inputs).map((t) =>
    t.dtype === 'f32' ? { ...t, data: wide(t.data) } : t,
  );
  const saved = { Float32Array: globalThis.Float32Array, fround: Math.fround };
  try {
    Object.assign(globalThis, { Float32Array: Float64Array });
    Math.fround = (x) => x;
    op.reference(widened, outputs, attrs);
  } finally {
    Object.assign(globalThis, { Float32Array: saved.Float32Array });
    Math.fround = saved.fround;
  }
  return outputs;
}

async function ruleGradients(
  device: Device,
  op: OpDef,
  c: OpCase<object>,
  inputs: readonly (Tensor | null)[],
  cotangents: readonly Tensor[],
): Promise<readonly (ArrayLike<number> | null)[]> {
  const { vjp } = op;
  if (vjp === 'none') throw new IngotError('invalid_argument', `${op.name} has no gradient rule`);
  const owned: { dispose(): void }[] = [];
  const keep = <T extends { dispose(): void }>(x: T): T => {
    owned.push(x);
    return x;
  };
  const handles = inputs.map((t) => {
    if (t === null) return null;
    if (t.layout === undefined) return keep(fromData(t.data, t.shape, { device, dtype: t.dtype }));
    const w = keep(
      Weight.fromPacked(device, t.data as Uint8Array, t.layout, t.shape as readonly [number, number]),
    );
    return keep(new NDArray(w.value));
  });
  const grads = tidy(() => {
    const node = opNode(
      op,
      handles.map((h) => h?.value ?? null),
      c.attrs,
    );
    const results = node.outputs.map((_, index) => new NDArray({ node, index }));
    const seeds = cotangents.map((t, i) =>
      fromData(t.data, t.shape, { device }).cast(results[i]?.dtype ?? 'f32'),
    );
    const call = { inputs: handles, outputs: results, grads: seeds, attrs: c.attrs };
    return [...(vjp === 'composite' ? compositeGradients(op, call) : vjp(call))];
  });
  try {
    return await Promise.all(
      grads.map((g) => (g !== null && isFloat(g.dtype) ? g.cast('f32').data() : Promise.resolve(null))),
    );
  } finally {
    for (const x of [...grads, ...owned]) x?.dispose();
  }
}

const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] as number) * (b[i] as number);
  return sum;
};
const absDot = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += Math.abs((a[i] as number) * (b[i] as number));
  return sum;
};
