// Losses of rows, in f32: one number for each row, unless the name says mean.

import type { NDArray } from '../../array/array.ts';
import { arange, full } from '../../array/creation.ts';
import { logSumExp } from '../../array/derived.ts';
import { where } from '../../array/ops/elementwise/where.ts';
import { takeAlongAxis } from '../../array/ops/indexing/take-along-axis.ts';
import { concat } from '../../array/ops/shape/concat.ts';
import { customFunction } from '../../array/transform/custom.ts';
import { elementwise } from '../elementwise.ts';
import { reduce } from '../reduce.ts';
import { require, sizes, width } from './common.ts';

export interface CrossEntropyOptions {
  /** Part of the probability that is spread over all classes. Default 0. */
  readonly labelSmoothing?: number;
  /** Targets of this value have the loss 0 and no gradient. */
  readonly ignoreIndex?: number;
}

/** Targets, with those that do not count at 0; and which count. */
function counted(targets: NDArray, ignoreIndex: number | undefined) {
  const ids = targets.cast('i32');
  if (ignoreIndex === undefined) return { ids, counts: undefined };
  const counts = ids.ne(ignoreIndex);
  return { ids: where(counts, ids, 0), counts };
}

/** @formula ln Σ e^x - (1 - s) x[t] - s mean(x); 0 where t is ignored
 * @shapes logits `[…, V]`, targets `[…]` -> f32 `[…]`
 * @gradient logits: softmax - smoothed one-hot
 * @source https://arxiv.org/abs/1512.00567 */
export function softmaxCrossEntropy(
  logits: NDArray,
  targets: NDArray,
  options: CrossEntropyOptions = {},
): NDArray {
  const { labelSmoothing: s = 0, ignoreIndex } = options;
  const x = logits.cast('f32');
  const { ids, counts } = counted(targets, ignoreIndex);
  const own = takeAlongAxis(x, ids.reshape([...ids.shape, 1]), -1).reshape(ids.shape);
  const smooth = s === 0 ? own : own.mul(1 - s).add(x.mean(-1).mul(s));
  const loss = logSumExp(x, -1).sub(smooth);
  return counts === undefined ? loss : where(counts, loss, 0);
}

/** The gradient of softmaxCrossEntropy with respect to the logits, for rules by hand.
 * @formula (softmax(x) - one_hot(t)) g
 * @shapes logits `[…, V]`, targets, g `[…]` -> `[…, V]`
 * @gradient logits, g
 * @source https://arxiv.org/abs/1512.00567 */
export function softmaxCrossEntropyGradient(logits: NDArray, targets: NDArray, g: NDArray): NDArray {
  const V = width(logits, 'softmaxCrossEntropyGradient');
  const last = (x: NDArray): NDArray => x.reshape([...x.shape, 1]);
  const hit = arange(V).eq(last(targets.cast('i32')));
  return logits.cast('f32').softmax().sub(hit.cast('f32')).mul(last(g)).cast(logits.dtype);
}

export interface LinearCrossEntropyOptions extends CrossEntropyOptions {
  /** Classes of a block. Default 4096. */
  readonly block?: number;
}

/** Cross entropy of a linear layer's results, block by block of the vocabulary: logits of one block are in memory, never all, also for the gradient.
 * @formula softmaxCrossEntropy(h wᵀ, t)
 * @shapes h `[N, K]`, w `[V, K]`, targets `[N]` -> f32 `[N]`
 * @gradient h, w
 * @source https://arxiv.org/abs/2411.09009 */
export function linearCrossEntropy(
  h: NDArray,
  w: NDArray,
  targets: NDArray,
  options: LinearCrossEntropyOptions = {},
): NDArray {
  const { labelSmoothing: s = 0, ignoreIndex, block = 4096 } = options;
  const [N] = sizes(h, 2, 'linearCrossEntropy: h') as [number];
  const [V] = sizes(w, 2, 'linearCrossEntropy: w') as [number];
  const { ids, counts } = counted(targets, ignoreIndex);
  const column = ids.reshape([N, 1]);
  const starts = Array.from({ length: Math.ceil(V / block) }, (_, i) => i * block);
  /** Logits of a block in f32, its rows of w, and which of its columns is the target of a row. */
  const piece = (x: NDArray, y: NDArray, start: number) => {
    const end = Math.min(V, start + block);
    const rows = y.slice([start, end]).cast('f32');
    return {
      rows,
      logits: x.cast('f32').matmul(rows.transpose()),
      hit: arange(start, end)
        .reshape([1, end - start])
        .eq(column),
    };
  };
  const forward = (x: NDArray, y: NDArray): readonly NDArray[] => {
    let [top, sum] = [full([N], Number.NEGATIVE_INFINITY), full([N], 0)];
    let [own, all] = [full([N], 0), full([N], 0)];
    for (const start of starts) {
      const { logits, hit } = piece(x, y, start);
      const next = top.maximum(logits.max(-1));
      sum = sum.mul(top.sub(next).exp()).add(
        logits
          .sub(next.reshape([N, 1]))
          .exp()
          .sum(-1),
      );
      own = own.add(where(hit, logits, 0).sum(-1));
      if (s !== 0) all = all.add(logits.sum(-1));
      top = next;
    }
    const lse = top.add(sum.log());
    const loss = lse.sub(own.mul(1 - s)).sub(s === 0 ? 0 : all.mul(s / V));
    return [counts === undefined ? loss : where(counts, loss, 0), lse];
  };
  const loss = customFunction(forward, ([x, y], [g], [, lse]) => {
    const scale = counts === undefined ? (g as NDArray) : where(counts, g as NDArray, 0);
    const weight = scale.reshape([N, 1]);
    let dh: NDArray | undefined;
    const dw = starts.map((start) => {
      const { rows, logits, hit } = piece(x as NDArray, y as NDArray, start);
      const p = logits.sub((lse as NDArray).reshape([N, 1])).exp();
      const d = p
        .sub(where(hit, 1 - s, 0))
        .sub(s / V)
        .mul(weight);
      const part = d.matmul(rows);
      dh = dh === undefined ? part : dh.add(part);
      return d.transpose().matmul((x as NDArray).cast('f32'));
    });
    return [(dh as NDArray).cast((x as NDArray).dtype), concat(dw, 0).cast((y as NDArray).dtype)];
  });
  return (loss(h, w) as readonly NDArray[])[0] as NDArray;
}

const bce = elementwise('softplus(x) - t * x', {
  name: 'binaryCrossEntropy',
  inputs: ['x', 't'],
  dtype: 'f32',
});
/** @formula ln(1 + eˣ) - t x, of logits
 * @shapes x, t `[…]` -> f32 `[…]`
 * @gradient x, t
 * @source PyTorch's binary_cross_entropy_with_logits */
export const binaryCrossEntropy = (x: NDArray, t: NDArray): NDArray => bce(x, t);

const focal = elementwise(
  'let p = sigmoid(x); let ce = softplus(x) - t * x; let q = p * t + (1 - p) * (1 - t); pow(1 - q, gamma) * ce',
  { name: 'focalLoss', inputs: ['x', 't', 'gamma'], dtype: 'f32' },
);
/** @formula (1 - q)^γ · binary cross entropy, q the probability of the target
 * @shapes x, t `[…]` -> f32 `[…]`
 * @gradient x
 * @source https://arxiv.org/abs/1708.02002 */
export const focalLoss = (x: NDArray, t: NDArray, gamma = 2): NDArray => focal(x, t, gamma);

const huber = elementwise('let d = abs(x - t); d <= delta ? 0.5 * d * d : delta * (d - 0.5 * delta)', {
  name: 'huberLoss',
  inputs: ['x', 't', 'delta'],
  dtype: 'f32',
});
/** @formula d² / 2 up to δ, else δ (d - δ / 2), d = |x - t|
 * @shapes x, t `[…]` -> f32 `[…]`
 * @gradient x, t
 * @source https://doi.org/10.1214/aoms/1177703732 */
export const huberLoss = (x: NDArray, t: NDArray, delta = 1): NDArray => huber(x, t, delta);

const mse = reduce({
  name: 'meanSquaredError',
  inputs: ['x', 't'],
  init: 0,
  update: 'acc + square(x - t)',
  combine: 'a + b',
  finalize: 'acc / n',
  dtype: 'f32',
});
/** @formula Σ (x - t)² / D, without the differences in memory
 * @shapes x, t `[…, D]` -> f32 `[…]`
 * @gradient x, t
 * @source PyTorch's mse_loss */
export const meanSquaredError = (x: NDArray, t: NDArray): NDArray => mse(x, t);

/** @formula Σ p (ln p - ln q), of logits of both
 * @shapes p, q `[…, D]` -> f32 `[…]`
 * @gradient p, q
 * @source https://doi.org/10.1214/aoms/1177729694 */
export function klDivergence(p: NDArray, q: NDArray): NDArray {
  require(p.shape.join() ===
    q.shape.join(), `klDivergence: [${p.shape.join(', ')}] and [${q.shape.join(', ')}] differ`);
  const [a, b] = [p.cast('f32').logSoftmax(), q.cast('f32').logSoftmax()];
  return a.exp().mul(a.sub(b)).sum(-1);
}
