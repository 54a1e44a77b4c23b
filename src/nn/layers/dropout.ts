// Dropout (https://jmlr.org/papers/v15/srivastava14a.html): parts of x become zero in training, the rest is made larger to match.

import type { NDArray } from '../../array/array.ts';
import { bernoulli } from '../../array/functions/random.ts';
import { IngotError } from '../../base/errors.ts';
import { Module } from '../module.ts';
import { expectRank } from './shapes.ts';

abstract class Dropping extends Module {
  /** Probability of becoming zero. */
  readonly p: number;

  constructor(p = 0.5) {
    super();
    if (!(p >= 0 && p < 1)) {
      throw new IngotError('invalid_argument', `${new.target.name}: p is ${p}; it must be from 0 to below 1`);
    }
    this.p = p;
  }

  protected drop(x: NDArray, shape: NDArray['shape']): NDArray {
    if (!this.training || this.p === 0) return x;
    return x.mul(bernoulli(1 - this.p, shape).cast(x.dtype)).mul(1 / (1 - this.p));
  }
}

/** Single elements. */
export class Dropout extends Dropping {
  forward(x: NDArray): NDArray {
    return this.drop(x, x.shape);
  }
}

/** Whole channels of x `[N, L, C]`. */
export class Dropout1d extends Dropping {
  forward(x: NDArray): NDArray {
    expectRank(x, 2, 'Dropout1d', '[…, length, channels]');
    return this.drop(
      x,
      x.shape.map((d, i, all) => (i === all.length - 2 ? 1 : d)),
    );
  }
}

/** Whole channels of x `[N, H, W, C]`. */
export class Dropout2d extends Dropping {
  forward(x: NDArray): NDArray {
    expectRank(x, 3, 'Dropout2d', '[…, height, width, channels]');
    return this.drop(
      x,
      x.shape.map((d, i, all) => (i >= all.length - 3 && i < all.length - 1 ? 1 : d)),
    );
  }
}

/** Whole channels of x `[N, D, H, W, C]`. */
export class Dropout3d extends Dropping {
  forward(x: NDArray): NDArray {
    expectRank(x, 4, 'Dropout3d', '[…, depth, height, width, channels]');
    return this.drop(
      x,
      x.shape.map((d, i, all) => (i >= all.length - 4 && i < all.length - 1 ? 1 : d)),
    );
  }
}
