// Inputs of tile programs: where the elements of a broadcast operand are, and how a thread reads four of them.

import { bytesPerElement, type DType } from '../../base/dtype.ts';
import { registerKind } from '../expr.ts';
import type { Param } from '../signature.ts';
import type { GpuBinding, KernelRequest } from './contract.ts';
import { valueType } from './emit.ts';
import { isMultiple, product, sameParam } from './params.ts';
import { elementArray, loadElement, loadQuad, quadArray } from './storage.ts';

/** How an input is read: four neighbours of the flat order, of its own rows, one value for all four, or each by itself. */
type Access = 'flat' | 'row' | 'splat' | 'each';

export interface TileInput {
  readonly dtype: DType;
  readonly strides: readonly Param[];
  readonly access: Access;
  /** Number of the dispatch's buffer, or place in the staging scratch. */
  readonly from: { readonly buffer: number } | { readonly staged: number };
}

/** How to read an operand with these strides. */
export function accessOf(sizes: readonly Param[], strides: readonly Param[]): Access {
  const last = strides.length - 1;
  const inner = sizes[last];
  if (inner === undefined || strides.every((s) => s === 0)) return 'splat';
  let expected: Param | undefined = 1;
  const flat = strides.toReversed().every((stride, k) => {
    const same = sameParam(stride, expected);
    expected = expected === undefined ? undefined : product(expected, sizes[last - k] ?? 1);
    return same;
  });
  if (flat) return 'flat';
  if (!isMultiple(inner, 4)) return 'each';
  if (strides[last] === 0) return 'splat';
  return strides[last] === 1 && strides.slice(0, -1).every((s) => isMultiple(s, 4)) ? 'row' : 'each';
}

/** The four registers of an input for elements e … e+3 of the piece. */
export function loadInput({ dtype, access, from }: TileInput, i: number, staged: number): string {
  const kind = registerKind(dtype);
  const type = valueType[kind];
  if ('staged' in from) {
    const bits = `staged[q * ${staged}u + ${from.staged}u]`;
    return kind === 'bool' ? `(${bits} != U(0u))` : `bitcast<${type}>(${bits})`;
  }
  const element = (place: string): string => `element_${i}(place_${i}(start + ${place}))`;
  switch (access) {
    case 'flat':
      return loadQuad(dtype, `x${i}`, 'q');
    case 'row':
      return loadQuad(dtype, `x${i}`, `place_${i}(start + e) >> 2u`);
    case 'splat':
      return `${type}(${element('e')})`;
    case 'each': {
      const lanes = [0, 1, 2, 3].map((j) => element(`min(e + ${j}u, count - 1u)`));
      return `${type}(${lanes.join(', ')})`;
    }
    default:
      return access satisfies never;
  }
}

/** `place_i(e)`, where input i has the element that lands at flat place e; and `element_i(place)`. */
export function inputFunctions(
  request: KernelRequest<'tile'>,
  sizes: readonly Param[],
  inputs: readonly TileInput[],
): string {
  return inputs
    .map((input, i) => {
      if (input.access === 'flat' || 'staged' in input.from) return '';
      const place = placeFunction(request, sizes, input, i);
      if (input.access === 'row') return place;
      const kind = registerKind(input.dtype);
      return `${place}fn element_${i}(at: u32) -> ${kind} { return ${loadElement(input.dtype, `x${i}`, 'at')}; }\n`;
    })
    .join('');
}

function placeFunction(
  request: KernelRequest<'tile'>,
  sizes: readonly Param[],
  { strides }: TileInput,
  i: number,
): string {
  const outermost = strides.findIndex((s) => s !== 0);
  if (outermost < 0) return `fn place_${i}(e: u32) -> u32 { return 0u; }\n`;
  const lines: string[] = [];
  for (let axis = sizes.length - 1; axis >= outermost; axis--) {
    const stride = strides[axis] ?? 0;
    const size = `u32(${request.intOf(sizes[axis] ?? 1)})`;
    const index = axis === 0 ? 'rest' : `(rest % ${size})`;
    if (stride !== 0) lines.push(`at += ${index} * u32(${request.intOf(stride)});`);
    if (axis > outermost) lines.push(`rest /= ${size};`);
  }
  return `fn place_${i}(e: u32) -> u32 {
  var rest = e;
  var at = 0u;
  ${lines.join('\n  ')}
  return at;
}
`;
}

/** A piece of `length` elements from `start`, in whole fours. */
export const pieceWindow = (dtype: DType, start: number, length: number) => ({
  offset: start * bytesPerElement(dtype),
  byteLength: Math.ceil(length / 4) * 4 * bytesPerElement(dtype),
});

/** Flat inputs are bound by pieces, others whole; staged ones not at all. */
export function inputBinding(
  { dtype, access, from }: TileInput,
  i: number,
  start: number,
  length: number,
): readonly GpuBinding[] {
  if ('staged' in from) return [];
  const whole = { buffer: from.buffer, name: `x${i}`, access: 'read' } as const;
  if (access === 'flat')
    return [{ ...whole, type: quadArray(dtype), window: pieceWindow(dtype, start, length) }];
  return [{ ...whole, type: access === 'row' ? quadArray(dtype) : elementArray(dtype) }];
}
