// Rotary position embedding: pairs of a head turned by an angle that grows with the position. Tables hold cos and sin by
// position and pair, so that every scaling of RoPE is one of tables.

import type { NDArray } from '../../array/array.ts';
import { arange } from '../../array/creation.ts';
import { where } from '../../array/ops/elementwise/where.ts';
import { concat } from '../../array/ops/shape/concat.ts';
import { elementwise } from '../elementwise.ts';
import { lastPart, require, sizes, width } from './common.ts';

const turn = elementwise('{ a: x * c - y * s, b: x * s + y * c }', {
  name: 'rope',
  inputs: ['x', 'y', 'c', 's'],
});
type Turned = { readonly a: NDArray; readonly b: NDArray };

/** @formula angle(p, j) = p · scale · base^(-2 j / dims)
 * @shapes -> cos, sin f32 `[length, dims / 2]`
 * @gradient none: constants
 * @source https://arxiv.org/abs/2104.09864 */
export function ropeTables(
  length: number,
  dims: number,
  { base = 10000, scale = 1 } = {},
): readonly [cos: NDArray, sin: NDArray] {
  require(dims % 2 === 0 && dims > 0, `ropeTables: ${dims} dimensions are not even`);
  const frequencies = arange(dims / 2)
    .cast('f32')
    .mul((-2 * Math.log(base)) / dims)
    .exp();
  const angles = arange(length).cast('f32').mul(scale).reshape([length, 1]).mul(frequencies);
  return [angles.cos(), angles.sin()];
}

function turned(x: NDArray, cos: NDArray, sin: NDArray, what: string): readonly [Turned, number] {
  const d = width(x, what);
  const half = width(cos, `${what}: cos`);
  require(2 * half <= d, `${what}: tables of ${half} pairs do not fit rows of ${d}`);
  return [turn(lastPart(x, 0, half), lastPart(x, half, 2 * half), cos, sin) as Turned, 2 * half];
}

/** Pairs (j, j + d/2). Fewer pairs than half of the row leave the rest as it is (partial rotary).
 * @formula y[j] = x[j] c - x[j + h] s; y[j + h] = x[j] s + x[j + h] c
 * @shapes x `[…, S, D]`, cos, sin `[S, h]`, 2 h at most D -> `[…, S, D]`
 * @gradient x
 * @source https://arxiv.org/abs/2104.09864 */
export function applyRope(x: NDArray, cos: NDArray, sin: NDArray): NDArray {
  const [{ a, b }, rotated] = turned(x, cos, sin, 'applyRope');
  const rest = rotated === x.shape.at(-1) ? [] : [lastPart(x, rotated, width(x, 'applyRope'))];
  return concat([a.cast(x.dtype), b.cast(x.dtype), ...rest], -1);
}

/** Pairs (2 j, 2 j + 1).
 * @formula y[2 j] = x[2 j] c - x[2 j + 1] s; y[2 j + 1] = x[2 j] s + x[2 j + 1] c
 * @shapes x `[…, S, D]`, cos, sin `[S, h]`, 2 h at most D -> `[…, S, D]`
 * @gradient x
 * @source https://arxiv.org/abs/2104.09864 */
export function applyRopeInterleaved(x: NDArray, cos: NDArray, sin: NDArray): NDArray {
  const d = width(x, 'applyRopeInterleaved');
  const half = width(cos, 'applyRopeInterleaved: cos');
  require(2 * half <= d, `applyRopeInterleaved: tables of ${half} pairs do not fit rows of ${d}`);
  const rows = x.shape.slice(0, -1);
  const pairs = lastPart(x, 0, 2 * half).reshape([...rows, half, 2]);
  const pick = (i: number): NDArray => lastPart(pairs, i, i + 1).reshape([...rows, half]);
  const { a, b } = turn(pick(0), pick(1), cos, sin) as Turned;
  const one = (y: NDArray): NDArray => y.cast(x.dtype).reshape([...rows, half, 1]);
  const rotated = concat([one(a), one(b)], -1).reshape([...rows, 2 * half]);
  return 2 * half === d ? rotated : concat([rotated, lastPart(x, 2 * half, d)], -1);
}

/** Queries and keys of one layer with heads beside positions.
 * @formula applyRope of each head
 * @shapes q `[B, S, H, D]`, k `[B, S, Hkv, D]`, cos, sin `[S, h]` -> q, k
 * @gradient q, k
 * @source https://arxiv.org/abs/2104.09864 */
export function ropeQueryKey(
  q: NDArray,
  k: NDArray,
  cos: NDArray,
  sin: NDArray,
): { readonly q: NDArray; readonly k: NDArray } {
  const [S, half] = sizes(cos, 2, 'ropeQueryKey: cos') as [number, number];
  const [c, s] = [cos.reshape([S, 1, half]), sin.reshape([S, 1, half])];
  return { q: applyRope(q, c, s), k: applyRope(k, c, s) };
}

export interface RopeCacheInputs {
  /** `[B, H, D]` */
  readonly q: NDArray;
  /** `[B, Hkv, D]` */
  readonly k: NDArray;
  readonly v: NDArray;
  /** `[positions, D / 2]` */
  readonly cos: NDArray;
  readonly sin: NDArray;
  /** i32 `[B]`: where the new row of each sequence goes. */
  readonly offsets: NDArray;
}
export interface RopeCacheResult {
  readonly q: NDArray;
  readonly keys: NDArray;
  readonly values: NDArray;
}

/** A decode step: q and k turned to their positions, k and v written to the caches, whose other rows stay as they were.
 * @formula q, k turned by offset; keys[b, offset] = k, values[b, offset] = v
 * @shapes q `[B, H, D]`, k, v `[B, Hkv, D]`, keys, values `[B, positions, Hkv, D]`, offsets i32 `[B]` -> q, keys, values
 * @gradient q, k, v, keys, values
 * @source https://arxiv.org/abs/2104.09864 */
export function ropeCacheUpdate(inputs: RopeCacheInputs, keys: NDArray, values: NDArray): RopeCacheResult {
  const [B, length, heads, D] = sizes(keys, 4, 'ropeCacheUpdate: keys') as [number, number, number, number];
  const { q, k } = atOffsets(inputs);
  const here = arange(length)
    .reshape([1, length, 1, 1])
    .eq(inputs.offsets.reshape([B, 1, 1, 1]));
  const put = (cache: NDArray, row: NDArray): NDArray =>
    where(here, row.cast(cache.dtype).reshape([B, 1, heads, D]), cache);
  return { q, keys: put(keys, k), values: put(values, inputs.v) };
}

function atOffsets({ q, k, cos, sin, offsets }: RopeCacheInputs): {
  readonly q: NDArray;
  readonly k: NDArray;
} {
  const [B] = sizes(q, 3, 'rope: q') as [number];
  const row = (table: NDArray): NDArray => table.take(offsets, 0).reshape([B, 1, width(table, 'rope: cos')]);
  const [c, s] = [row(cos), row(sin)];
  return { q: applyRope(q, c, s), k: applyRope(k, c, s) };
}

/** As ropeCacheUpdate with caches in pages: the row of a sequence is at page offset / size of its list.
 * @formula q, k turned by offset; the page and place of the offset get k and v
 * @shapes q `[B, H, D]`, k, v `[B, Hkv, D]`, keys, values `[pages, size, Hkv, D]`, table i32 `[B, P]` -> q, keys, values
 * @gradient q, k, v, keys, values
 * @source https://arxiv.org/abs/2309.06180 */
export function pagedRopeCacheUpdate(
  inputs: RopeCacheInputs,
  keys: NDArray,
  values: NDArray,
  table: NDArray,
): RopeCacheResult {
  const [pages, size, heads, D] = sizes(keys, 4, 'pagedRopeCacheUpdate: keys') as [
    number,
    number,
    number,
    number,
  ];
  const [B, P] = sizes(table, 2, 'pagedRopeCacheUpdate: table') as [number, number];
  const { q, k } = atOffsets(inputs);
  const page = inputs.offsets.floorDivide(size);
  const own = table.reshape([B * P]).take(arange(B).mul(P).add(page), 0);
  const slot = own.mul(size).add(inputs.offsets.mod(size));
  const n = pages * size;
  // The last of the sequences that write a row gives it; pages belong to one sequence, so there is one.
  const hit = arange(n)
    .reshape([n, 1])
    .eq(slot.reshape([1, B]));
  const writer = where(hit, arange(B).reshape([1, B]), -1).max(1);
  const put = (cache: NDArray, row: NDArray): NDArray => {
    const rows = row.cast(cache.dtype).take(writer.maximum(0), 0);
    const flat = where(writer.ge(0).reshape([n, 1, 1]), rows, cache.reshape([n, heads, D]));
    return flat.reshape(cache.shape);
  };
  return { q, keys: put(keys, k), values: put(values, inputs.v) };
}

/** A decode step of latent attention: parts without position beside parts that are turned.
 * @formula queries = [qNope, rope(qRope)], keys = [kNope, rope(kRope)], pairs (2 j, 2 j + 1)
 * @shapes qNope `[B, H, T, Dn]`, qRope `[B, H, T, Dr]`, kNope `[B, 1, T, Dn]`, kRope `[B, 1, T, Dr]`, cos, sin `[T, Dr / 2]` -> queries, keys
 * @gradient all four
 * @source https://arxiv.org/abs/2405.04434 */
export function ropeConcat(
  parts: {
    readonly qNope: NDArray;
    readonly qRope: NDArray;
    readonly kNope: NDArray;
    readonly kRope: NDArray;
  },
  cos: NDArray,
  sin: NDArray,
): { readonly queries: NDArray; readonly keys: NDArray } {
  const join = (plain: NDArray, x: NDArray): NDArray =>
    concat([plain, applyRopeInterleaved(x, cos, sin)], -1);
  return { queries: join(parts.qNope, parts.qRope), keys: join(parts.kNope, parts.kRope) };
}
