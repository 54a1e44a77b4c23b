// Builder for running results along an axis: rules, reference, native lowering, and the passes that devices without a kernel make.

import { type DType, epsilon, isFloat } from '../../../base/dtype.ts';
import { elementCount, maxElements, normalizeAxis, rowMajorStrides } from '../../../base/shape.ts';
import type { RunningKind } from '../../../kernel/signature.ts';
import { knownOptions } from '../../arguments.ts';
import type { NDArray } from '../../array.ts';
import type { CaseOperand, OpCase, OpDef, Vjp } from '../../op.ts';
import type { Tensor } from '../../types.ts';
import { fullOp } from '../creation/full.ts';
import { countParam, expectDtype, fixed, numel, operand, output, reader, writer } from '../operands.ts';
import { widened } from '../reduce/reduce.ts';
import { concat } from '../shape/concat.ts';

export interface ScanAttrs {
  /** From the front. */
  readonly axis: number;
  readonly reverse: boolean;
  readonly inclusive: boolean;
}

export interface ScanOptions {
  /** From the end. */
  readonly reverse?: boolean;
  /** False leaves each element out of its own result, which begins with that of nothing. Default true. */
  readonly inclusive?: boolean;
}
export interface SumScanOptions extends ScanOptions {
  /** Elements are cast to it first; default: theirs, of 8-bit integers and truth values 32-bit integers. */
  readonly dtype?: DType;
}

/** Elements in the dtype in which they are summed or multiplied. */
export const summable = (x: NDArray, { dtype }: SumScanOptions): NDArray =>
  dtype === undefined ? widened(x) : x.cast(dtype);

interface ScanSpec {
  readonly name: RunningKind;
  readonly dtypes: readonly DType[];
  /** The result of nothing. */
  empty(dtype: DType): number;
  /** What came before joined with an element. */
  fold(before: number, x: number, integers: boolean): number;
  join(before: NDArray, x: NDArray): NDArray;
  readonly vjp: Vjp<ScanAttrs> | 'composite';
  /** How far results may be off, in roundings of elements (of size at most `largest`) that are joined `steps` after each other. */
  error(steps: number, largest: number): { readonly absolute: number; readonly relative: number };
  readonly fill?: CaseOperand['fill'];
}

/** Dtypes that the native kernel reads. */
const kernelDtypes: readonly DType[] = ['f32', 'f16', 'bf16', 'i32', 'u32'];

export function scanOp(spec: ScanSpec): OpDef<ScanAttrs> {
  const { name } = spec;
  return {
    name,
    infer: (inputs, { axis }) => {
      const x = operand(inputs, 0);
      expectDtype(x, spec.dtypes, name);
      fixed(x.shape[axis], name);
      return [{ shape: x.shape, dtype: x.dtype }];
    },
    reference: (inputs, outputs, attrs) => scanReference(operand(inputs, 0), output(outputs), attrs, spec),
    composite: (inputs, attrs) => [scanByDoubling(operand(inputs, 0), attrs, spec)],
    vjp: spec.vjp,
    batch: ({ inputs, attrs, again }) => again(inputs, { ...attrs, axis: attrs.axis + 1 }),
    kernel: {
      halfFloats: true,
      supports: (inputs) => kernelDtypes.includes(operand(inputs, 0).dtype),
      emit: (context) => {
        const x = operand(context.inputs, 0);
        const { shape, dtype } = x.type;
        const { axis, reverse, inclusive } = context.attrs;
        context.emit(
          'scan',
          { x, y: operand(context.outputs, 0) },
          {
            outer: countParam(elementCount(shape.slice(0, axis))),
            D: fixed(shape[axis], name),
            inner: countParam(elementCount(shape.slice(axis + 1))),
            kind: name,
            dtype,
            reverse,
            exclusive: !inclusive,
          },
        );
      },
    },
    tolerance: (inputs, outputs, { axis }) => {
      const x = operand(inputs, 0);
      if (!isFloat(x.dtype)) return { absolute: 0, relative: 0 };
      const read = reader(x);
      let largest = 0;
      for (let i = 0; i < x.data.length; i++) largest = Math.max(largest, Math.abs(read(i)));
      const { absolute, relative } = spec.error(x.shape[axis] as number, largest);
      const rounding = epsilon(output(outputs).dtype);
      return { absolute: absolute * rounding, relative: relative * rounding };
    },
    flops: (inputs) => maxElements(operand(inputs, 0).shape),
    cases: scanCases(spec),
  };
}

/** The op along `axis` of `x`; over the elements in their order without one. */
export function scanAlong(
  op: OpDef<ScanAttrs>,
  x: NDArray,
  axis: number | null | undefined,
  options: ScanOptions,
): NDArray {
  knownOptions(op.name, options, ['reverse', 'inclusive', 'dtype']);
  const { reverse = false, inclusive = true } = options;
  const y = axis == null ? x.reshape([-1]) : x;
  return y.apply(op, [y], {
    axis: axis == null ? 0 : normalizeAxis(axis, y.shape.length, op.name),
    reverse,
    inclusive,
  });
}

function scanReference(x: Tensor, out: Tensor, attrs: ScanAttrs, spec: ScanSpec): void {
  const { axis, reverse, inclusive } = attrs;
  const n = x.shape[axis] as number;
  const stride = (rowMajorStrides(x.shape)[axis] as { mul: number }).mul;
  const [read, write, integers] = [reader(x), writer(out), !isFloat(x.dtype)];
  const rows = n === 0 ? 0 : numel(x.shape) / n;
  for (let row = 0; row < rows; row++) {
    const first = Math.floor(row / stride) * n * stride + (row % stride);
    let value = spec.empty(x.dtype);
    for (let k = 0; k < n; k++) {
      const at = first + (reverse ? n - 1 - k : k) * stride;
      const next = spec.fold(value, read(at), integers);
      write(at, inclusive ? next : value);
      value = next;
    }
  }
}

/** log2 n passes, each joining every element with the one 2^k before it: as in a tree, errors grow with log n. */
function scanByDoubling(x: NDArray, { axis, reverse, inclusive }: ScanAttrs, spec: ScanSpec): NDArray {
  const n = fixed(x.shape[axis], spec.name);
  if (n === 0) return x;
  const part = (y: NDArray, range: readonly [number, number, number?]): NDArray =>
    y.slice(...y.shape.map((_, i) => (i === axis ? range : null)));
  /** Elements `step` places further along, with what joins to nothing before them. */
  const moved = (y: NDArray, step: number): NDArray => {
    const shape = y.shape.map((d, i) => (i === axis ? step : d));
    const fill = y.apply(fullOp, [], { shape, dtype: y.dtype, value: spec.empty(y.dtype) });
    return concat([fill, part(y, [0, n - step])], axis);
  };
  const flip = (y: NDArray): NDArray => (reverse ? part(y, [n - 1, -n - 1, -1]) : y);
  let result = flip(x);
  for (let step = 1; step < n; step *= 2) result = spec.join(moved(result, step), result);
  return flip(inclusive ? result : moved(result, 1));
}

export const lowest = (dtype: DType): number =>
  isFloat(dtype) ? Number.NEGATIVE_INFINITY : dtype === 'i32' ? -(2 ** 31) : dtype === 'i8' ? -128 : 0;
export const highest = (dtype: DType): number =>
  isFloat(dtype)
    ? Number.POSITIVE_INFINITY
    : { i32: 2 ** 31 - 1, u32: 2 ** 32 - 1, i8: 127, u8: 255, bool: 1 }[dtype];

function scanCases({ dtypes, fill = 'normal', empty }: ScanSpec): readonly OpCase<ScanAttrs>[] {
  const attrs = { axis: 1, reverse: false, inclusive: true };
  const floats = (shape: readonly number[], more: Partial<ScanAttrs>): OpCase<ScanAttrs> => ({
    name: `[${shape}] ${JSON.stringify(more)}`,
    // Differences of infinities are no derivative: such cases are of f16, which no gradient is compared for.
    inputs: [
      { shape, fill, dtype: more.inclusive !== false || Number.isFinite(empty('f32')) ? 'f32' : 'f16' },
    ],
    attrs: { ...attrs, ...more },
  });
  return [
    floats([3, 37], {}),
    floats([5, 16], { reverse: true }),
    floats([2, 21], { inclusive: false }),
    floats([4, 3, 5], { reverse: true, inclusive: false }),
    floats([9, 19], { axis: 0 }),
    ...dtypes
      .filter((d) => d !== 'f32')
      .map((dtype) => ({
        name: dtype,
        inputs: [{ shape: [2, 11], dtype, fill: dtype === 'bool' ? ('bool' as const) : fill }],
        attrs,
      })),
  ];
}
