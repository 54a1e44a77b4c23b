// Part: a module of a model of the engine, which blocks hold and apply, and another module may stand in for.

import type { NDArray } from '../array/array.ts';
import type { Weight } from '../array/weight.ts';
import { IngotError } from '../base/errors.ts';
import { formatShape, sameShape } from '../base/shape.ts';
import { type Layer, Module } from './module.ts';

/** A linear, norm or embedding of a model. Its weights belong to the model. */
export abstract class Part extends Module implements Layer {
  /** A packed matrix, constant, or an array, which is a parameter. */
  abstract readonly weight: Weight | NDArray;
  #other: Layer | undefined;
  #path = '';

  /** What it computes itself. */
  abstract forward(x: NDArray): NDArray;

  /** Elements of the last axis of what it gives. */
  abstract get width(): number;

  /** What blocks call: itself, or what stands in for it. Throws shape_mismatch or invalid_argument where that gives something else. */
  apply(x: NDArray): NDArray {
    if (this.#other === undefined) return this.forward(x);
    const y = this.#other.forward(x);
    const shape = [...this.leading(x), this.width];
    const name = `${this.#other.constructor.name} at ${this.#path}`;
    if (!sameShape(y.shape, shape)) {
      throw new IngotError(
        'shape_mismatch',
        `${name} makes ${formatShape(y.shape)} of ${formatShape(x.shape)}: the model needs ${formatShape(shape)}`,
      );
    }
    if (y.dtype === 'f32') return y;
    throw new IngotError('invalid_argument', `${name} gives ${y.dtype}: the model needs f32`);
  }

  /** Lets `module` stand in for this part, or nothing when it is the part itself. */
  use(module: Layer, path: string): void {
    this.#other = module === this ? undefined : module;
    this.#path = path;
  }

  /** Axes of the result before the last. */
  protected leading(x: NDArray): NDArray['shape'] {
    return x.shape.slice(0, -1);
  }
}
