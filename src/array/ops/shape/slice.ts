// slice: every step-th element of a range per axis. A contiguous piece is a view; other pieces are copied.

import { bytesPerElement } from '../../../base/dtype.ts';
import { IngotError } from '../../../base/errors.ts';
import {
  type Count,
  type Dim,
  formatShape,
  isDynamic,
  rowMajorStrides,
  type Shape,
  sameDim,
} from '../../../base/shape.ts';
import type { NDArray } from '../../array.ts';
import { defineOp } from '../../op.ts';
import { emitCopy, scaleCount } from '../memory/copy.ts';
import { fixed, operand, output, shapeError } from '../operands.ts';

export interface SliceAttrs {
  readonly starts: readonly number[];
  /** Sizes of the result. */
  readonly sizes: Shape;
  readonly steps: readonly number[];
}

export const sliceOp = defineOp<SliceAttrs>({
  name: 'slice',
  infer: (inputs, { starts, sizes, steps }) => {
    const x = operand(inputs, 0);
    if (starts.length !== x.shape.length) shapeError('slice', 'one range per axis is needed');
    x.shape.forEach((d, i) => {
      checkRange(d, operand(starts, i), operand(sizes, i), operand(steps, i), i);
    });
    return [{ shape: sizes, dtype: x.dtype }];
  },
  reference: (inputs, outputs, { starts, steps }) => {
    const x = operand(inputs, 0);
    const out = output(outputs);
    const strides = rowMajorStrides(x.shape).map((c) => c.mul);
    for (let i = 0; i < out.data.length; i++) {
      let rest = i;
      let from = 0;
      for (let axis = out.shape.length - 1; axis >= 0; axis--) {
        const size = out.shape[axis] as number;
        from +=
          ((starts[axis] as number) + (rest % size) * (steps[axis] as number)) * (strides[axis] as number);
        rest = Math.floor(rest / size);
      }
      out.data[i] = x.data[from] as number;
    }
  },
  view: (inputs, attrs) => {
    const { shape } = operand(inputs, 0);
    if (attrs.sizes.includes(0)) return 0; // nothing of it is read, and its start may be past the end
    // Contiguous when only the first axis longer than 1 is cut, without steps, at an offset known now.
    const first = shape.findIndex((d) => d !== 1);
    const whole = shape.every(
      (d, i) => i <= first || (sameDim(d, operand(attrs.sizes, i)) && (d === 1 || attrs.steps[i] === 1)),
    );
    if (!whole || attrs.steps[Math.max(first, 0)] !== 1) return null;
    const offset = pieceOffset(shape, attrs);
    return offset.dyn === undefined ? offset.mul : null;
  },
  vjp: ({ inputs, grads, attrs }) => [unslice(operand(grads, 0), operand(inputs, 0), attrs)],
  batch: ({ inputs, size, attrs: { starts, sizes, steps }, again }) =>
    again(inputs, { starts: [0, ...starts], sizes: [size, ...sizes], steps: [1, ...steps] }),
  kernel: {
    halfFloats: true,
    emit: (context) => {
      const x = operand(context.inputs, 0);
      const out = operand(context.outputs, 0);
      const { sizes, steps } = context.attrs;
      emitCopy(context, x, out, {
        bytes: bytesPerElement(x.type.dtype),
        sizes,
        from: rowMajorStrides(x.type.shape).map((c, i) => scaleCount(c, operand(steps, i))),
        to: rowMajorStrides(out.type.shape),
        fromOffset: pieceOffset(x.type.shape, context.attrs),
      });
    },
  },
  tolerance: () => ({ absolute: 0, relative: 0 }),
  cases: [
    { name: 'rows', inputs: [{ shape: [6, 5] }], attrs: { starts: [2, 0], sizes: [3, 5], steps: [1, 1] } },
    { name: 'columns', inputs: [{ shape: [4, 9] }], attrs: { starts: [0, 3], sizes: [4, 5], steps: [1, 1] } },
    {
      name: 'steps',
      inputs: [{ shape: [7, 8], dtype: 'i32' }],
      attrs: { starts: [1, 0], sizes: [3, 4], steps: [2, 2] },
    },
    { name: 'reversed', inputs: [{ shape: [5] }], attrs: { starts: [4], sizes: [5], steps: [-1] } },
    {
      name: 'second axis reversed',
      inputs: [{ shape: [2, 3] }],
      attrs: { starts: [0, 2], sizes: [2, 3], steps: [1, -1] },
    },
    {
      name: 'last of three axes reversed and cut',
      inputs: [{ shape: [2, 3, 5], dtype: 'u8' }],
      attrs: { starts: [1, 0, 4], sizes: [1, 3, 2], steps: [1, 1, -2] },
    },
    { name: 'nothing at the end', inputs: [{ shape: [4] }], attrs: { starts: [4], sizes: [0], steps: [1] } },
    {
      name: 'nothing of the last axis',
      inputs: [{ shape: [3, 4] }],
      attrs: { starts: [3, 4], sizes: [0, 0], steps: [1, 1] },
    },
  ],
});

function checkRange(d: Dim, start: number, size: Dim, step: number, axis: number): void {
  if (isDynamic(d) || isDynamic(size)) {
    if (sameDim(d, size) && start === 0 && step === 1) return;
    shapeError('slice', `axis ${axis} has a dynamic length and cannot be cut; gather from it with take()`);
  }
  const last = start + (size - 1) * step;
  if (step === 0 || (size > 0 && (start < 0 || start >= d || last < 0 || last >= d))) {
    shapeError('slice', `axis ${axis}: ${size} elements from ${start} by ${step} leave a size of ${d}`);
  }
}

/** Offset of the first element of the piece. At most one axis is dynamic, so at most one kind of term is. */
function pieceOffset(shape: Shape, { starts }: SliceAttrs): Count {
  let offset: Count = { mul: 0 };
  rowMajorStrides(shape).forEach((stride, i) => {
    const term = scaleCount(stride, operand(starts, i));
    if (term.mul === 0) return;
    if (offset.mul !== 0 && offset.dyn !== term.dyn) {
      shapeError('slice', 'cuts on both sides of a dynamic axis; slice in two steps');
    }
    offset = { ...term, mul: offset.mul + term.mul };
  });
  return offset;
}

/** The gradient of a slice: the gradient of the piece where it was, zeros elsewhere. */
export function unslice(g: NDArray, x: NDArray, { starts, sizes, steps }: SliceAttrs): NDArray {
  return x.shape.reduce<NDArray>((piece, d, axis) => {
    const [start, step] = [operand(starts, axis), operand(steps, axis)];
    if (sameDim(d, operand(sizes, axis)) && step === 1) return piece;
    const [n, size] = [fixed(d, 'slice'), fixed(operand(sizes, axis), 'slice')];
    const spread = spreadOut(
      step < 0 ? alongAxis(piece, axis, [size - 1, -size - 1, -1]) : piece,
      axis,
      step,
    );
    const first = size === 0 ? 0 : Math.min(start, start + (size - 1) * step);
    return spread.pad(axis, first, n - first - fixed(spread.shape[axis], 'slice'));
  }, g);
}

/** `x` with |step| - 1 zeros between neighbours along an axis. */
export function spreadOut(x: NDArray, axis: number, step: number): NDArray {
  const size = fixed(x.shape[axis], 'slice');
  const gap = Math.abs(step);
  if (gap === 1 || size < 2) return x;
  const [before, after] = [x.shape.slice(0, axis), x.shape.slice(axis + 1)];
  const apart = x.reshape([...before, size, 1, ...after]).pad(axis + 1, 0, gap - 1);
  return alongAxis(apart.reshape([...before, size * gap, ...after]), axis, [0, (size - 1) * gap + 1]);
}

const alongAxis = (x: NDArray, axis: number, range: Range): NDArray =>
  slice(x, ...x.shape.map((_, k) => (k === axis ? range : null)));

/** Range of one axis: `[start, stop)`, `[start, stop, step]`, or null for the whole axis. Negative numbers count from the end. */
export type Range = readonly [start: number, stop: number, step?: number] | null;

/**
 * What to take along an axis: a range; a number, which takes the axis away; `'...'` for as many whole axes as are left over; or
 * `'newaxis'`, an axis of size 1.
 */
export type Index = Range | number | '...' | 'newaxis';

/**
 * The piece of `x` at these indices; missing trailing ones are whole. Dynamic axes must be whole. Throws invalid_argument for what is
 * no index, shape_mismatch for a number outside its axis and for more indices than axes.
 */
export function slice(x: NDArray, ...indices: readonly Index[]): NDArray {
  const { ranges, shape } = resolveIndices(x, indices);
  const piece = cut(x, ranges);
  return shape === null ? piece : piece.reshape(shape(piece.shape));
}

export interface Resolved {
  readonly ranges: readonly Range[];
  /** The shape of the result from that of the piece; null where they are the same. */
  readonly shape: ((piece: Shape) => Shape) | null;
}

/** Indices as one range for each axis, and what becomes of the axes. */
export function resolveIndices(x: NDArray, indices: readonly Index[]): Resolved {
  const rank = x.shape.length;
  const used = indices.filter((i) => i !== '...' && i !== 'newaxis').length;
  if (used > rank) shapeError('slice', `${used} indices for the ${rank} axes of ${formatShape(x.shape)}`);
  if (indices.filter((i) => i === '...').length > 1) {
    throw new IngotError('invalid_argument', "slice: '...' may stand once");
  }
  const left: readonly Index[] = Array.from({ length: rank - used }, () => null);
  const at = indices.indexOf('...');
  const all = at < 0 ? [...indices, ...left] : [...indices.slice(0, at), ...left, ...indices.slice(at + 1)];
  const ranges: Range[] = [];
  const axes: (number | 'newaxis')[] = [];
  for (const index of all) {
    if (index === 'newaxis') axes.push(index);
    else if (typeof index === 'number') ranges.push(oneOf(x, index, ranges.length));
    else {
      axes.push(ranges.length);
      ranges.push(checkedRange(index as Range));
    }
  }
  const same = axes.length === rank && axes.every((axis, i) => axis === i);
  const shape = (piece: Shape): Shape => axes.map((axis) => (axis === 'newaxis' ? 1 : (piece[axis] as Dim)));
  return { ranges, shape: same ? null : shape };
}

function oneOf(x: NDArray, index: number, axis: number): Range {
  const n = fixed(x.shape[axis], 'slice: a cut axis');
  const at = index < 0 ? index + n : index;
  if (!Number.isInteger(index) || at < 0 || at >= n) {
    shapeError('slice', `index ${index} is outside axis ${axis} of ${formatShape(x.shape)}`);
  }
  return [at, at + 1];
}

function checkedRange(range: Range): Range {
  if (range === null) return range;
  const numbers: readonly unknown[] = Array.isArray(range) ? range : [];
  if (
    numbers.length >= 2 &&
    numbers.length <= 3 &&
    numbers.every((v) => v === undefined || Number.isInteger(v))
  )
    return range;
  throw new IngotError(
    'invalid_argument',
    `slice: ${JSON.stringify(range)} is no index: [start, stop], [start, stop, step], a number, null, '...' or 'newaxis' is`,
  );
}

function cut(x: NDArray, ranges: readonly Range[]): NDArray {
  const attrs = sliceAttrs(x, ranges);
  const whole = x.shape.every((d, i) => sameDim(d, operand(attrs.sizes, i)) && attrs.steps[i] === 1);
  return whole ? x : x.apply(sliceOp, [x], attrs);
}

/** Ranges as starts, sizes and steps. */
export function sliceAttrs(x: NDArray, ranges: readonly Range[]): SliceAttrs {
  const parts = x.shape.map((d, axis) => resolveRange(d, ranges[axis] ?? null));
  return {
    starts: parts.map((p) => p.start),
    sizes: parts.map((p) => p.size),
    steps: parts.map((p) => p.step),
  };
}

function resolveRange(d: Dim, range: Range): { start: number; size: Dim; step: number } {
  if (range === null) return { start: 0, size: d, step: 1 };
  const n = fixed(d, 'slice: a cut axis');
  const [from, to, step = 1] = range;
  if (step === 0) throw new IngotError('invalid_argument', 'slice: step 0');
  const clamp = (v: number, low: number, high: number): number =>
    Math.min(Math.max(v < 0 ? v + n : v, low), high);
  const start = step > 0 ? clamp(from, 0, n) : clamp(from, -1, n - 1);
  const stop = step > 0 ? clamp(to, 0, n) : clamp(to, -1, n - 1);
  const size = Math.max(0, Math.ceil((stop - start) / step));
  return { start, size, step };
}
