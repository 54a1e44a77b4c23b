// Norms over the last axis: statistics in f32, one rounding when the result is stored. Variances are of the distances from the mean.

import type { NDArray } from '../../array/array.ts';
import { addLayerNorm as addLayerNormOf, addRmsNorm as addRmsNormOf } from '../../array/ops/nn/add-norm.ts';
import { layerNorm as layerNormOf } from '../../array/ops/nn/layer-norm.ts';
import { rmsNorm as rmsNormOf } from '../../array/ops/nn/rms-norm.ts';
import { broadcastShapes } from '../../base/shape.ts';
import { mapReduce } from '../reduce.ts';
import { perNumber, require, sizes } from './common.ts';

/** @formula x / √(mean x² + eps) · w
 * @shapes x `[…, D]`, w `[D]` or null -> `[…, D]`
 * @gradient x, w
 * @source https://arxiv.org/abs/1910.07467 */
export const rmsNorm = (x: NDArray, w: NDArray | null = null, eps = 1e-6): NDArray => rmsNormOf(x, w, eps);
/** @formula (x - μ) / √(σ² + eps) · w + b
 * @shapes x `[…, D]`, w and b `[D]` or null -> `[…, D]`
 * @gradient x, w, b
 * @source https://arxiv.org/abs/1607.06450 */
export const layerNorm = (
  x: NDArray,
  w: NDArray | null = null,
  b: NDArray | null = null,
  eps = 1e-5,
): NDArray => layerNormOf(x, w, b, eps);

/** Sum of squares of an expression. */
const squares = (of: string) =>
  ({ init: 0, update: `acc + square(${of})`, combine: 'a + b', finalize: 'acc / n' }) as const;
const mean = (of: string) =>
  ({ init: 0, update: `acc + ${of}`, combine: 'a + b', finalize: 'acc / n' }) as const;

/** Both in the shape they broadcast to. */
const alike = (x: NDArray, r: NDArray): [NDArray, NDArray] => {
  const shape = broadcastShapes(x.shape, r.shape, 'norm');
  return [x.broadcastTo(shape), r.broadcastTo(shape)];
};

const addRms = perNumber((eps) =>
  mapReduce({
    name: 'addRmsNorm',
    inputs: ['x', 'r', 'w'],
    passes: { power: squares('x + r') },
    write: { y: `(x + r) * rsqrt(power + ${eps}) * w`, h: 'x + r' },
    composite: (x, r, w) => {
      const [y, h] = addRmsNormOf(...alike(x as NDArray, r as NDArray), w as NDArray, eps);
      return { y, h };
    },
  }),
);
/** Residual and norm in one kernel: the sum h is kept, and normed before it is rounded.
 * @formula h = x + r; y = h / √(mean h² + eps) · w
 * @shapes x, r `[…, D]`, w `[D]` -> y, h `[…, D]`
 * @gradient x, r, w
 * @source https://arxiv.org/abs/1910.07467 */
export const addRmsNorm = (
  x: NDArray,
  r: NDArray,
  w: NDArray,
  eps = 1e-6,
): { readonly y: NDArray; readonly h: NDArray } =>
  addRms(eps)(x, r, w) as { readonly y: NDArray; readonly h: NDArray };

/** The norm of a sum alone.
 * @formula rmsNorm(x + r, w)
 * @shapes x, r `[…, D]`, w `[D]` -> `[…, D]`
 * @gradient x, r, w
 * @source https://arxiv.org/abs/1910.07467 */
export const residualRmsNorm = (x: NDArray, r: NDArray, w: NDArray, eps = 1e-6): NDArray =>
  addRmsNorm(x, r, w, eps).y;

const addLayer = perNumber((eps) =>
  mapReduce({
    name: 'addLayerNorm',
    inputs: ['x', 'r', 'w', 'b'],
    passes: { mean: mean('x + r'), power: squares('x + r - mean') },
    write: { y: `(x + r - mean) * rsqrt(power + ${eps}) * w + b`, h: 'x + r' },
    composite: (x, r, w, b) => {
      const [y, h] = addLayerNormOf(...alike(x as NDArray, r as NDArray), w as NDArray, b as NDArray, eps);
      return { y, h };
    },
  }),
);
/** Residual and layer norm in one kernel.
 * @formula h = x + r; y = layerNorm(h, w, b)
 * @shapes x, r `[…, D]`, w, b `[D]` -> y, h `[…, D]`
 * @gradient x, r, w, b
 * @source https://arxiv.org/abs/1607.06450 */
export const addLayerNorm = (
  x: NDArray,
  r: NDArray,
  w: NDArray,
  b: NDArray,
  eps = 1e-5,
): { readonly y: NDArray; readonly h: NDArray } =>
  addLayer(eps)(x, r, w, b) as { readonly y: NDArray; readonly h: NDArray };

/** The layer norm of a sum alone.
 * @formula layerNorm(x + r, w, b)
 * @shapes x, r `[…, D]`, w, b `[D]` -> `[…, D]`
 * @gradient x, r, w, b
 * @source https://arxiv.org/abs/1607.06450 */
export const residualLayerNorm = (x: NDArray, r: NDArray, w: NDArray, b: NDArray, eps = 1e-5): NDArray =>
  addLayerNorm(x, r, w, b, eps).y;

/** Groups of neighbouring channels normed together, over all places.
 * @formula (x - μ) / √(σ² + eps) · w + b, μ and σ² of each sample and group
 * @shapes x `[N, …, C]`, w, b `[C]` -> `[N, …, C]`
 * @gradient x, w, b
 * @source https://arxiv.org/abs/1803.08494 */
export function groupNorm(x: NDArray, groups: number, w: NDArray, b: NDArray, eps = 1e-5): NDArray {
  const C = x.shape.at(-1) as number;
  require(C % groups === 0, `groupNorm: ${C} channels do not divide into ${groups} groups`);
  const [N, ...rest] = x.shape as readonly number[];
  const places = rest.slice(0, -1).reduce((a, d) => a * d, 1);
  const grouped = x.reshape([N as number, places, groups, C / groups]).transpose([0, 2, 1, 3]);
  const normed = layerNormOf(grouped.reshape([N as number, groups, (places * C) / groups]), null, null, eps);
  const back = normed.reshape([N as number, groups, places, C / groups]).transpose([0, 2, 1, 3]);
  return back.reshape(x.shape).mul(w).add(b);
}

/** Every channel of a sample normed over its places.
 * @formula (x - μ) / √(σ² + eps) · w + b, μ and σ² of each sample and channel
 * @shapes x `[N, …, C]`, w, b `[C]` -> `[N, …, C]`
 * @gradient x, w, b
 * @source https://arxiv.org/abs/1607.08022 */
export const instanceNorm = (x: NDArray, w: NDArray, b: NDArray, eps = 1e-5): NDArray =>
  groupNorm(x, x.shape.at(-1) as number, w, b, eps);

const unit = perNumber((eps) =>
  mapReduce({
    name: 'l2Normalize',
    passes: {
      length: { init: 0, update: 'acc + x * x', combine: 'a + b', finalize: `max(sqrt(acc), ${eps})` },
    },
    write: 'x / length',
  }),
);
/** @formula x / max(√Σ x², eps)
 * @shapes `[…, D]` -> `[…, D]`
 * @gradient x
 * @source PyTorch's normalize */
export const l2Normalize = (x: NDArray, eps = 1e-12): NDArray => unit(eps)(x);

const rmsBackward = perNumber((eps) =>
  mapReduce({
    name: 'rmsNormGradient',
    inputs: ['x', 'w', 'g'],
    passes: {
      r: { init: 0, update: 'acc + x * x', combine: 'a + b', finalize: `rsqrt(acc / n + ${eps})` },
      dot: { init: 0, update: 'acc + g * w * x', combine: 'a + b', finalize: 'acc / n' },
    },
    write: 'r * (g * w - x * r * r * dot)',
  }),
);
/** The gradient of rmsNorm with respect to x, for rules by hand.
 * @formula r (g w - x̂ mean(g w x̂)), r = 1 / √(mean x² + eps), x̂ = x r
 * @shapes x, g `[…, D]`, w `[D]` -> `[…, D]`
 * @gradient x, w, g
 * @source https://arxiv.org/abs/1910.07467 */
export const rmsNormGradient = (x: NDArray, w: NDArray, g: NDArray, eps = 1e-6): NDArray =>
  rmsBackward(eps)(x, w, g);

/** Attention heads normed one by one, as Qwen3 does with queries and keys.
 * @formula rmsNorm over D of each head
 * @shapes x `[…, H · D]`, w `[D]` -> `[…, H · D]`
 * @gradient x, w
 * @source https://arxiv.org/abs/2302.05442 */
export function headRmsNorm(x: NDArray, w: NDArray, eps = 1e-6): NDArray {
  const [D] = sizes(w, 1, 'headRmsNorm: w') as [number];
  const all = x.shape.at(-1) as number;
  require(all % D === 0, `headRmsNorm: ${all} columns do not divide into heads of ${D}`);
  return rmsNormOf(x.reshape([...x.shape.slice(0, -1), all / D, D]), w, eps).reshape(x.shape);
}
