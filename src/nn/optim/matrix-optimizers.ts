// Optimisers that look at a parameter as a matrix: Adafactor and Muon.

import { knownOptions } from '../../array/arguments.ts';
import type { NDArray } from '../../array/array.ts';
import { full } from '../../array/creation.ts';
import { fixed } from '../../array/ops/operands.ts';
import type { Parameters } from '../module.ts';
import { checkRate, elementwise, type OptimizerOptions } from './elementwise.ts';
import {
  firstCount,
  type GradientTransform,
  type LearningRate,
  rateAt,
  type TransformState,
} from './transform.ts';

export interface AdafactorOptions {
  /** Default: relative steps, min(0.01, 1 / sqrt(step)). */
  readonly learningRate?: LearningRate;
  /** Added to squares, and the least scale of a parameter. Default 1e-30 and 1e-3. */
  readonly eps?: readonly [number, number];
  /** Largest root mean square of an update. Default 1. */
  readonly clipThreshold?: number;
  /** The average of squares keeps 1 - step^decayRate. Default -0.8. */
  readonly decayRate?: number;
  /** Part of an average of the updates that is kept; default none is made. */
  readonly beta1?: number;
  readonly weightDecay?: number;
  /** Whether steps are in proportion to the root mean square of the parameter. Default true. */
  readonly scaleParameter?: boolean;
  /** Whether relative steps begin at 1e-6 a step. Default false. */
  readonly warmupInit?: boolean;
}

const rootMeanSquare = (x: NDArray): NDArray => x.square().mean().sqrt();

interface FactoredState {
  readonly row: Parameters;
  readonly column: Parameters;
  readonly square: Parameters;
  readonly m: Parameters;
  readonly count: NDArray;
}

/** Averages of squares by rows and columns in place of all elements, for arrays of two axes or more: https://arxiv.org/abs/1804.04235. */
export function adafactor(options: AdafactorOptions = {}): GradientTransform {
  const { learningRate, eps = [1e-30, 1e-3], clipThreshold = 1, decayRate = -0.8, beta1 } = options;
  const { weightDecay = 0, scaleParameter = true, warmupInit = false } = options;
  if (learningRate !== undefined) checkRate(learningRate);
  knownOptions('adafactor', options, [
    'learningRate',
    'eps',
    'clipThreshold',
    'decayRate',
    'beta1',
    'weightDecay',
    'scaleParameter',
    'warmupInit',
  ]);

  const rateOf = (t: NDArray, before: NDArray, p: NDArray): NDArray => {
    const base = full([], 1, 'f32').mul(
      learningRate === undefined
        ? (warmupInit ? t.mul(1e-6) : full([], 1e-2)).minimum(t.rsqrt())
        : rateAt(learningRate, before),
    );
    return scaleParameter ? base.mul(rootMeanSquare(p).maximum(eps[1])) : base;
  };

  return {
    init(parameters) {
      const state = { row: {}, column: {}, square: {}, m: {} } as Record<string, Record<string, NDArray>>;
      for (const [path, { shape }] of Object.entries(parameters)) {
        const put = (name: string, of: typeof shape): void => {
          (state[name] as Record<string, NDArray>)[path] = full(of, 0, 'f32');
        };
        if (shape.length >= 2) {
          put('row', shape.slice(0, -1));
          put('column', [...shape.slice(0, -2), shape.at(-1) as number]);
        } else put('square', shape);
        if (beta1 !== undefined) put('m', shape);
      }
      return { count: firstCount(), ...state };
    },
    update(gradients, given, parameters) {
      const state = given as unknown as FactoredState;
      const count = state.count.add(1);
      const t = count.cast('f32');
      const fresh = t.log().mul(decayRate).exp(); // part of the new squares
      const blend = (old: NDArray, now: NDArray): NDArray => old.mul(fresh.neg().add(1)).add(now.mul(fresh));
      const next = {
        row: { ...state.row },
        column: { ...state.column },
        square: { ...state.square },
        m: { ...state.m },
      };
      const updates: Record<string, NDArray> = {};
      for (const [path, gradient] of Object.entries(gradients)) {
        const [g, p] = [gradient.cast('f32'), (parameters[path] as NDArray).cast('f32')];
        const squares = g.square().add(eps[0]);
        const rate = rateOf(t, state.count, p);
        let step: NDArray;
        if (g.shape.length >= 2) {
          const row = blend(state.row[path] as NDArray, squares.mean(-1));
          const column = blend(state.column[path] as NDArray, squares.mean(-2));
          Object.assign(next.row, { [path]: row });
          Object.assign(next.column, { [path]: column });
          const byRow = row.div(row.mean(-1, true)).rsqrt();
          const byColumn = column.rsqrt();
          const width = column.shape.at(-1) as number;
          step = g
            .mul(byRow.reshape([...byRow.shape, 1]))
            .mul(byColumn.reshape([...column.shape.slice(0, -1), 1, width]));
        } else {
          const square = blend(state.square[path] as NDArray, squares);
          Object.assign(next.square, { [path]: square });
          step = square.rsqrt().mul(g);
        }
        step = step.div(rootMeanSquare(step).div(clipThreshold).maximum(1)).mul(rate);
        if (beta1 !== undefined) {
          step = (state.m[path] as NDArray).mul(beta1).add(step.mul(1 - beta1));
          Object.assign(next.m, { [path]: step });
        }
        updates[path] = (weightDecay === 0 ? step : step.add(p.mul(rate).mul(weightDecay))).neg();
      }
      return { updates, state: { count, ...next } as TransformState };
    },
  };
}

export interface MuonOptions extends OptimizerOptions {
  /** Default 0.95. */
  readonly momentum?: number;
  /** Default 0.01: added to the gradient. */
  readonly weightDecay?: number;
  /** Default true. */
  readonly nesterov?: boolean;
  /** Steps of the Newton-Schulz iteration. Default 5. */
  readonly nsSteps?: number;
}

/** Nearly the matrix with the same singular vectors and singular values of 1, by a quintic Newton-Schulz iteration. */
function orthogonalised(x: NDArray, steps: number): NDArray {
  const [a, b, c] = [3.4445, -4.775, 2.0315];
  const [rows, columns] = x.shape.map((d) => fixed(d, 'muon')) as [number, number];
  const tall = rows > columns;
  let y = tall ? x.transpose() : x;
  y = y.div(y.square().sum().sqrt().add(1e-7));
  for (let i = 0; i < steps; i++) {
    const gram = y.matmul(y.transpose());
    y = y.mul(a).add(gram.mul(b).add(gram.matmul(gram).mul(c)).matmul(y));
  }
  return tall ? y.transpose() : y;
}

/**
 * Momentum whose matrices are made orthogonal (https://kellerjordan.github.io/posts/muon/), as in MLX. For the matrices of hidden
 * layers; give embeddings, heads and vectors to another optimiser with partition(). Kernels of convolutions are matrices `[out, rest]`.
 */
export const muon = (options: MuonOptions): GradientTransform => {
  const { momentum = 0.95, weightDecay = 0.01, nesterov = true, nsSteps = 5 } = options;
  return elementwise({
    options,
    names: ['momentum', 'nesterov', 'nsSteps'],
    moments: ['velocity'],
    rule: ({ g: raw, p, moments }) => {
      const g = weightDecay === 0 ? raw : raw.add(p.mul(weightDecay));
      const velocity = moments.velocity.mul(momentum).add(g.mul(1 - momentum));
      const step = nesterov ? g.mul(1 - momentum).add(velocity.mul(momentum)) : velocity;
      if (step.shape.length < 2) return { update: step, moments: { velocity } };
      const matrix = step.reshape([fixed(step.shape[0], 'muon'), -1]);
      const even = orthogonalised(matrix, nsSteps).reshape(step.shape);
      // MLX takes the last two axes of the shape for the scale, also of kernels
      const [rows, columns] = step.shape.slice(-2).map((d) => fixed(d, 'muon')) as [number, number];
      return { update: even.mul(Math.sqrt(Math.max(1, rows / columns))), moments: { velocity } };
    },
  });
};
