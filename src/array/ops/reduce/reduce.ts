// Builder for reductions over axes: rules, reference, native lowering, and the transpose that makes axes adjacent.

import { type DType, isFloat } from '../../../base/dtype.ts';
import { IngotError } from '../../../base/errors.ts';
import {
  elementCount,
  formatShape,
  maxElements,
  normalizeAxis,
  rowMajorStrides,
  type Shape,
} from '../../../base/shape.ts';
import type { ReductionKind } from '../../../kernel/signature.ts';
import type { NDArray } from '../../array.ts';
import type { CaseOperand, OpDef, Operands, Tolerance, Vjp } from '../../op.ts';
import type { Tensor } from '../../types.ts';
import { countParam, numel, operand, output, reader, writer } from '../operands.ts';

export interface ReduceAttrs {
  /** Sorted, from the front. */
  readonly axes: readonly number[];
  readonly keepDims: boolean;
}

interface ReduceSpec {
  readonly name: ReductionKind;
  readonly dtypes: readonly DType[];
  result(dtype: DType): DType;
  /** Value of the elements along the reduced axes, given in row-major order; `integers` wrap to 32 bits. */
  fold(values: Float64Array, integers: boolean): number;
  /** True when there is no result without elements. */
  readonly needsElements?: boolean;
  readonly vjp: Vjp<ReduceAttrs> | 'none';
  /** Roundings that add up: the sum of n terms. */
  readonly accumulates?: boolean;
  readonly fill?: CaseOperand['fill'];
}

/** Shape after reducing. */
export const reducedShape = (shape: Shape, { axes, keepDims }: ReduceAttrs): Shape =>
  keepDims ? shape.map((d, i) => (axes.includes(i) ? 1 : d)) : shape.filter((_, i) => !axes.includes(i));

const adjacent = (axes: readonly number[]): boolean => axes.every((a, i) => a === (axes[0] as number) + i);

export function reduceOp(spec: ReduceSpec): OpDef<ReduceAttrs> {
  const { name } = spec;
  return {
    name,
    infer: (inputs, attrs) => {
      const x = operand(inputs, 0);
      if (!spec.dtypes.includes(x.dtype) || x.layout !== undefined) {
        throw new IngotError(
          'invalid_argument',
          `${name} is not defined for ${x.dtype}; convert with cast()`,
        );
      }
      if (typeof attrs.keepDims !== 'boolean') {
        throw new IngotError(
          'invalid_argument',
          `${name}: keepDims is true or false, got ${JSON.stringify(attrs.keepDims)}`,
          { details: { argument: 'keepDims' } },
        );
      }
      if (spec.needsElements) checkElements(name, x.shape, attrs.axes);
      return [{ shape: reducedShape(x.shape, attrs), dtype: spec.result(x.dtype) }];
    },
    reference: (inputs, outputs, { axes }) =>
      reduceReference(operand(inputs, 0), output(outputs), axes, (v) =>
        spec.fold(v, !isFloat(operand(inputs, 0).dtype)),
      ),
    composite: (inputs, attrs) => [withAdjacentAxes(operand(inputs, 0), attrs, name)],
    vjp: spec.vjp,
    batch: ({ inputs, attrs: { axes, keepDims }, again }) =>
      again(inputs, { axes: axes.map((a) => a + 1), keepDims }),
    kernel: {
      supports: (_, __, { axes }) => adjacent(axes),
      halfFloats: true,
      emit: (context) => {
        const x = operand(context.inputs, 0);
        const { axes } = context.attrs;
        const first = axes[0] ?? x.type.shape.length;
        const last = first + axes.length;
        context.emit(
          'reduce',
          { x, y: operand(context.outputs, 0) },
          {
            outer: countParam(elementCount(x.type.shape.slice(0, first))),
            D: countParam(elementCount(x.type.shape.slice(first, last))),
            inner: countParam(elementCount(x.type.shape.slice(last))),
            kind: name,
            dtype: x.type.dtype,
          },
        );
      },
    },
    tolerance: (inputs, outputs) => reduceTolerance(inputs, outputs, spec),
    flops: (inputs) => maxElements(operand(inputs, 0).shape),
    cases: reduceCases(spec),
  };
}

/** Throws shape_mismatch when a reduced axis has no elements. */
function checkElements(name: ReductionKind, shape: Shape, axes: readonly number[]): void {
  const empty = axes.find((a) => shape[a] === 0);
  if (empty === undefined) return;
  throw new IngotError(
    'shape_mismatch',
    `${name}: axis ${empty} of ${formatShape(shape)} has no elements to choose from`,
  );
}

/** Place of the first element that is better than all before it; NaN is better than every number. */
export function firstBest(values: Float64Array, better: (x: number, best: number) => boolean): number {
  const nan = values.findIndex((x) => Number.isNaN(x));
  return nan >= 0 ? nan : values.reduce((best, x, i) => (better(x, values[best] as number) ? i : best), 0);
}

/** Elements in a dtype that reductions keep: 8-bit integers and truth values as 32-bit integers. */
export const widened = (x: NDArray): NDArray => {
  if (x.dtype === 'u8') return x.cast('u32');
  return x.dtype === 'bool' || x.dtype === 'i8' ? x.cast('i32') : x;
};

/** Reductions over axes that are not neighbours: move them to the end first. */
function withAdjacentAxes(x: NDArray, { axes, keepDims }: ReduceAttrs, name: ReductionKind): NDArray {
  const kept = x.shape.map((_, i) => i).filter((i) => !axes.includes(i));
  const moved = x.transpose([...kept, ...axes]);
  const last = axes.map((_, i) => kept.length + i);
  const reduced = moved.reduce(name, last);
  return keepDims ? reduced.reshape(reducedShape(x.shape, { axes, keepDims })) : reduced;
}

function reduceReference(
  x: Tensor,
  out: Tensor,
  axes: readonly number[],
  fold: (values: Float64Array) => number,
): void {
  const strides = rowMajorStrides(x.shape).map((c) => c.mul);
  const kept = x.shape.map((_, i) => i).filter((i) => !axes.includes(i));
  const offsets = (list: readonly number[]): number[] =>
    list.reduce<number[]>(
      (all, axis) =>
        all.flatMap((base) =>
          Array.from({ length: x.shape[axis] as number }, (_, k) => base + k * (strides[axis] as number)),
        ),
      [0],
    );
  const read = reader(x);
  const write = writer(out);
  const inner = offsets(axes);
  const values = new Float64Array(inner.length);
  offsets(kept).forEach((base, i) => {
    inner.forEach((offset, k) => {
      values[k] = read(base + offset);
    });
    write(i, fold(values));
  });
}

function reduceTolerance(inputs: Operands<Tensor>, outputs: readonly Tensor[], spec: ReduceSpec): Tolerance {
  const x = operand(inputs, 0);
  if (!spec.accumulates || !isFloat(output(outputs).dtype)) return { absolute: 0, relative: 2 ** -23 };
  const terms = numel(x.shape) / Math.max(1, output(outputs).data.length);
  const read = reader(x);
  let largest = 0;
  for (let i = 0; i < x.data.length; i++) largest = Math.max(largest, Math.abs(read(i)));
  const scale = spec.name === 'mean' ? 1 : terms;
  // n roundings of partial sums, each at most n times the largest term; `prod` multiplies relative errors instead.
  const halves = output(outputs).dtype === 'f32' ? 0 : 2 ** -8;
  return { absolute: terms * 2 ** -24 * largest * scale, relative: terms * 2 ** -23 + halves };
}

function reduceCases({ dtypes, fill = 'normal' }: ReduceSpec): OpDef<ReduceAttrs>['cases'] {
  const shapes: readonly [readonly number[], readonly number[]][] = [
    [[300], [0]],
    [[4, 33], [1]],
    [[9, 5], [0]],
    [[3, 7, 5], [1]],
    [
      [2, 3, 4],
      [0, 2],
    ],
    [
      [2, 3, 4],
      [0, 1, 2],
    ],
  ];
  return dtypes.flatMap((dtype) =>
    (dtype === dtypes[0] ? shapes : shapes.slice(1, 2)).map(([shape, axes]) => ({
      name: `${dtype} [${shape}] over [${axes}]`,
      inputs: [{ shape, dtype, fill: dtype === 'bool' ? ('bool' as const) : fill }],
      attrs: { axes, keepDims: false },
    })),
  );
}

/** Axes as given by users: one, several, or none (undefined, null) for all. */
export type Axes = number | readonly number[] | null | undefined;

export function reduceAxes(x: NDArray, axes: Axes, what: string): readonly number[] {
  const rank = x.shape.length;
  const list = axes == null ? x.shape.map((_, i) => i) : typeof axes === 'number' ? [axes] : axes;
  if (!Array.isArray(list)) {
    throw new IngotError(
      'invalid_argument',
      `${what}: axes are a number or a list of numbers, got ${JSON.stringify(list)}`,
      { details: { argument: 'axes' } },
    );
  }
  const unique = new Set(list.map((a) => normalizeAxis(a, rank, what)));
  if (unique.size < list.length) {
    throw new IngotError('invalid_argument', `${what}: axes [${list}] of ${formatShape(x.shape)} repeat`);
  }
  return [...unique].sort((a, b) => a - b);
}

/** `g` with the reduced axes back as size 1, ready to broadcast over the operand. */
export const expandReduced = (g: NDArray, x: NDArray, { axes }: ReduceAttrs): NDArray =>
  g.reshape(reducedShape(x.shape, { axes, keepDims: true }));
