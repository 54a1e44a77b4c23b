// Arrays as text and as lists.

import { bytesPerElement, type DType, type TypedArray } from '../base/dtype.ts';
import { formatShape, maxElements, type Shape } from '../base/shape.ts';
import { type Value, valueType } from './graph/node.ts';
import { reader, typedView } from './ops/operands.ts';

/** Numbers or truth values, in lists of lists for arrays with axes. */
export type NestedList = number | boolean | readonly NestedList[];

/** Elements as lists of this shape, where dynamic sizes follow from the number of elements. */
export function nestedList(data: ArrayLike<number>, shape: Shape, dtype: DType): NestedList {
  let next = 0;
  const element = (): number | boolean => {
    const x = data[next++] as number;
    return dtype === 'bool' ? x !== 0 : x;
  };
  const level = (axis: number): NestedList => {
    const d = shape[axis];
    if (d === undefined) return element();
    return Array.from({ length: typeof d === 'number' ? d : d.max }, () => level(axis + 1));
  };
  return level(0);
}

/** More elements than this are shown by the first and last three along each axis. */
const limit = 100;
const edge = 3;

/** `array f32 [2, 2] [[1, 2], [3, 4]]`, or without elements where they are not known. */
export function printArray(v: Value): string {
  const { shape, dtype, layout } = valueType(v);
  const head = `array ${dtype} ${formatShape(shape)}`;
  if (v.node.kind !== 'buffer' || layout !== undefined) return `${head} (not computed: await data())`;
  const bytes = v.node.device.peek?.(v.node.buffer, maxElements(shape) * bytesPerElement(dtype));
  if (bytes === undefined) return `${head} (on device ${v.node.device.name}: await data())`;
  const data: TypedArray = typedView(dtype, bytes);
  const sizes = shape.map((d) => (typeof d === 'number' ? d : d.max));
  const read = reader({ shape: sizes, dtype, data });
  return `${head} ${printLevel(read, sizes, 0, 0, dtype, data.length > limit)}`;
}

function printLevel(
  read: (i: number) => number,
  shape: readonly number[],
  axis: number,
  start: number,
  dtype: DType,
  short: boolean,
): string {
  const size = shape[axis];
  if (size === undefined) {
    const x = read(start);
    return dtype === 'bool'
      ? String(x !== 0)
      : Number.isInteger(x)
        ? String(x)
        : String(Number(x.toPrecision(6)));
  }
  const inner = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  const part = (i: number): string => printLevel(read, shape, axis + 1, start + i * inner, dtype, short);
  const range = (from: number, to: number): string[] =>
    Array.from({ length: to - from }, (_, i) => part(from + i));
  if (!short || size <= 2 * edge) return `[${range(0, size).join(', ')}]`;
  return `[${[...range(0, edge), '…', ...range(size - edge, size)].join(', ')}]`;
}
