// Activations as layers, for Sequential; the functions are in `ingot/array`.

import type { NDArray } from '../../array/array.ts';
import * as more from '../../array/derived.ts';
import * as a from '../../array/functions/activations.ts';
import { Module } from '../module.ts';
import { constant } from './initializers.ts';

type F = (x: NDArray) => NDArray;

/** A layer without parameters. */
interface Activation extends Module {
  forward(x: NDArray): NDArray;
}

// The type is said: declarations cannot have anonymous classes with protected members.
const layerOf = (f: F): (new () => Activation) =>
  class extends Module {
    forward(x: NDArray): NDArray {
      return f(x);
    }
  };

export class ReLU extends layerOf(more.relu) {}
export class ReLU6 extends layerOf(a.relu6) {}
export class ReLUSquared extends layerOf(more.reluSquared) {}
export class SiLU extends layerOf((x) => x.silu()) {}
export class Sigmoid extends layerOf((x) => x.sigmoid()) {}
export class Tanh extends layerOf((x) => x.tanh()) {}
export class Softplus extends layerOf(more.softplus) {}
export class Softsign extends layerOf(a.softsign) {}
export class SELU extends layerOf(a.selu) {}
export class Mish extends layerOf(more.mish) {}
export class HardSwish extends layerOf(more.hardSwish) {}
export class HardSigmoid extends layerOf(a.hardSigmoid) {}
export class LogSigmoid extends layerOf(more.logSigmoid) {}
export class TanhShrink extends layerOf(a.tanhShrink) {}

/** x Φ(x) (https://arxiv.org/abs/1606.08415): exact, or by tanh, or by a sigmoid. */
export class GELU extends Module {
  readonly approximate: 'none' | 'tanh' | 'fast';
  constructor(approximate: 'none' | 'tanh' | 'fast' = 'none') {
    super();
    this.approximate = approximate;
  }
  forward(x: NDArray): NDArray {
    return this.approximate === 'none'
      ? x.gelu()
      : this.approximate === 'tanh'
        ? x.geluTanh()
        : a.geluFast(x);
  }
}

/** x where positive, `slope` x elsewhere. */
export class LeakyReLU extends Module {
  readonly slope: number;
  constructor(slope = 0.01) {
    super();
    this.slope = slope;
  }
  forward(x: NDArray): NDArray {
    return more.leakyRelu(x, this.slope);
  }
}

/** x where positive, a learned slope times x elsewhere; one slope, or one for each channel. */
export class PReLU extends Module {
  weight: NDArray;
  constructor(count = 1, begin = 0.25) {
    super();
    this.weight = constant(begin)([count]);
  }
  forward(x: NDArray): NDArray {
    return a.prelu(x, this.weight);
  }
}

/** x where positive, alpha (exp(x) - 1) elsewhere. */
export class ELU extends Module {
  readonly alpha: number;
  constructor(alpha = 1) {
    super();
    this.alpha = alpha;
  }
  forward(x: NDArray): NDArray {
    return more.elu(x, this.alpha);
  }
}

/** max(x, 0) + min(0, alpha (exp(x / alpha) - 1)). */
export class CELU extends Module {
  readonly alpha: number;
  constructor(alpha = 1) {
    super();
    this.alpha = alpha;
  }
  forward(x: NDArray): NDArray {
    return a.celu(x, this.alpha);
  }
}

/** x held between `low` and `high`. */
export class HardTanh extends Module {
  readonly low: number;
  readonly high: number;
  constructor(low = -1, high = 1) {
    super();
    this.low = low;
    this.high = high;
  }
  forward(x: NDArray): NDArray {
    return a.hardTanh(x, this.low, this.high);
  }
}

/** x where |x| > lambda, 0 elsewhere. */
export class HardShrink extends Module {
  readonly lambda: number;
  constructor(lambda = 0.5) {
    super();
    this.lambda = lambda;
  }
  forward(x: NDArray): NDArray {
    return a.hardShrink(x, this.lambda);
  }
}

/** x moved toward 0 by lambda. */
export class SoftShrink extends Module {
  readonly lambda: number;
  constructor(lambda = 0.5) {
    super();
    this.lambda = lambda;
  }
  forward(x: NDArray): NDArray {
    return a.softShrink(x, this.lambda);
  }
}

/** First half of an axis times the sigmoid of the second. */
export class GLU extends Module {
  readonly axis: number;
  constructor(axis = -1) {
    super();
    this.axis = axis;
  }
  forward(x: NDArray): NDArray {
    return a.glu(x, this.axis);
  }
}

/** exp(x) over its sum along an axis. */
export class Softmax extends Module {
  readonly axis: number;
  constructor(axis = -1) {
    super();
    this.axis = axis;
  }
  forward(x: NDArray): NDArray {
    return x.softmax(this.axis);
  }
}

/** Softmax of -x. */
export class Softmin extends Module {
  readonly axis: number;
  constructor(axis = -1) {
    super();
    this.axis = axis;
  }
  forward(x: NDArray): NDArray {
    return a.softmin(x, this.axis);
  }
}

/** Logarithm of the softmax. */
export class LogSoftmax extends Module {
  readonly axis: number;
  constructor(axis = -1) {
    super();
    this.axis = axis;
  }
  forward(x: NDArray): NDArray {
    return x.logSoftmax(this.axis);
  }
}

/** 1 above the threshold, 0 elsewhere. */
export class Step extends Module {
  readonly threshold: number;
  constructor(threshold = 0) {
    super();
    this.threshold = threshold;
  }
  forward(x: NDArray): NDArray {
    return a.step(x, this.threshold);
  }
}
