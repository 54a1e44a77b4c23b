// Images as `[N, H, W, C]`.

import type { NDArray } from '../../array/array.ts';
import { fromData } from '../../array/creation.ts';
import {
  avgPool2d as avgPoolOf,
  maxPool2d as maxPoolOf,
  type PoolOptions,
} from '../../array/functions/convolution.ts';
import { pad } from '../../array/functions/shape.ts';
import { elementwise } from '../elementwise.ts';
import { require, sizes } from './common.ts';

/** Places and weights of the two neighbours of every target pixel along an axis. */
function neighbours(from: number, to: number) {
  const low: number[] = [];
  const high: number[] = [];
  const weight: number[] = [];
  for (let i = 0; i < to; i++) {
    const at = Math.max(0, ((i + 0.5) * from) / to - 0.5);
    const base = Math.min(Math.floor(at), from - 1);
    low.push(base);
    high.push(Math.min(base + 1, from - 1));
    weight.push(at - base);
  }
  return { low, high, weight };
}

const ids = (list: readonly number[]): NDArray => fromData(Int32Array.from(list), [list.length]);
const blend = elementwise('let top = mix(a, b, u); let bottom = mix(c, d, u); mix(top, bottom, v)', {
  name: 'resizeBilinear',
  inputs: ['a', 'b', 'c', 'd', 'u', 'v'],
});

/** Half-pixel centres (align_corners false), edges clamped.
 * @formula weighted mean of the four neighbours of ((i + 0.5) H / H' - 0.5, (j + 0.5) W / W' - 0.5)
 * @shapes x `[N, H, W, C]` -> `[N, H', W', C]`
 * @gradient x
 * @source PyTorch's interpolate, mode bilinear */
export function resizeBilinear(x: NDArray, height: number, width: number): NDArray {
  const [, H, W] = sizes(x, 4, 'resizeBilinear: x') as [number, number, number];
  require(height > 0 && width > 0, `resizeBilinear: ${height} x ${width} is no size`);
  const [rows, columns] = [neighbours(H, height), neighbours(W, width)];
  const pick = (r: readonly number[], c: readonly number[]): NDArray => x.take(ids(r), 1).take(ids(c), 2);
  const u = fromData(Float32Array.from(columns.weight), [width, 1]);
  const v = fromData(Float32Array.from(rows.weight), [height, 1, 1]);
  const { low, high } = rows;
  return blend(
    pick(low, columns.low),
    pick(low, columns.high),
    pick(high, columns.low),
    pick(high, columns.high),
    u,
    v,
  ).cast(x.dtype);
}

/** @formula the pixel at floor(i H / H'), floor(j W / W')
 * @shapes x `[N, H, W, C]` -> `[N, H', W', C]`
 * @gradient x
 * @source PyTorch's interpolate, mode nearest */
export function resizeNearest(x: NDArray, height: number, width: number): NDArray {
  const [, H, W] = sizes(x, 4, 'resizeNearest: x') as [number, number, number];
  require(height > 0 && width > 0, `resizeNearest: ${height} x ${width} is no size`);
  const places = (from: number, to: number) =>
    Array.from({ length: to }, (_, i) => Math.floor((i * from) / to));
  return x.take(ids(places(H, height)), 1).take(ids(places(W, width)), 2);
}

const nine = Array.from({ length: 9 }, (_, i) => i);
const stencil = elementwise(nine.map((i) => `x${i} * w${i}`).join(' + '), {
  name: 'depthwiseConv3x3',
  inputs: [...nine.map((i) => `x${i}`), ...nine.map((i) => `w${i}`)],
});
/** Stride 1, zeros around, no mixing of channels.
 * @formula y[h, w, c] = Σ x[h + i - 1, w + j - 1, c] k[i, j, c]
 * @shapes x `[N, H, W, C]`, k `[3, 3, C]` -> `[N, H, W, C]`
 * @gradient x, k
 * @source https://arxiv.org/abs/1704.04861 */
export function depthwiseConv3x3(x: NDArray, k: NDArray): NDArray {
  const [, H, W, C] = sizes(x, 4, 'depthwiseConv3x3: x') as [number, number, number, number];
  require(k.shape.join() ===
    `3,3,${C}`, `depthwiseConv3x3: the kernel is [3, 3, ${C}], got [${k.shape.join(', ')}]`);
  const wide = pad(x, [
    [0, 0],
    [1, 1],
    [1, 1],
    [0, 0],
  ]);
  const views = nine.map((i) =>
    wide.slice(null, [Math.floor(i / 3), Math.floor(i / 3) + H], [i % 3, (i % 3) + W]),
  );
  const taps = nine.map((i) =>
    k.slice([Math.floor(i / 3), Math.floor(i / 3) + 1], [i % 3, (i % 3) + 1]).reshape([C]),
  );
  return stencil(...views, ...taps).cast(x.dtype);
}

/** @formula the largest of each window
 * @shapes x `[N, H, W, C]` -> `[N, H', W', C]`
 * @gradient x
 * @source PyTorch's max_pool2d */
export const maxPool2d = (
  x: NDArray,
  window: number | readonly number[],
  options: PoolOptions = {},
): NDArray => maxPoolOf(x, window, options);
/** @formula the mean of each window
 * @shapes x `[N, H, W, C]` -> `[N, H', W', C]`
 * @gradient x
 * @source PyTorch's avg_pool2d */
export const avgPool2d = (
  x: NDArray,
  window: number | readonly number[],
  options: PoolOptions = {},
): NDArray => avgPoolOf(x, window, options);

/** Channels into space, as upscaling networks end.
 * @formula y[h r + i, w r + j, c] = x[h, w, (c r + i) r + j]
 * @shapes x `[N, H, W, C r²]` -> `[N, H r, W r, C]`
 * @gradient x
 * @source https://arxiv.org/abs/1609.05158 */
export function pixelShuffle(x: NDArray, r: number): NDArray {
  const [N, H, W, all] = sizes(x, 4, 'pixelShuffle: x') as [number, number, number, number];
  require(all % (r * r) === 0, `pixelShuffle: ${all} channels do not divide by ${r * r}`);
  const C = all / (r * r);
  return x
    .reshape([N, H, W, C, r, r])
    .transpose([0, 1, 4, 2, 5, 3])
    .reshape([N, H * r, W * r, C]);
}
