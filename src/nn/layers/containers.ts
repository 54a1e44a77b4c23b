// Layers in a row, and functions as layers.

import type { NDArray } from '../../array/array.ts';
import { type Layer, Module } from '../module.ts';

/** What Sequential takes: a layer, or a function of an array. */
export type Step = Layer | ((x: NDArray) => NDArray);

/** A function as a layer. */
export class Lambda extends Module {
  readonly fn: (x: NDArray) => NDArray;

  constructor(fn: (x: NDArray) => NDArray) {
    super();
    this.fn = fn;
  }

  forward(x: NDArray): NDArray {
    return this.fn(x);
  }
}

/** Layers one after the other. */
export class Sequential extends Module {
  readonly layers: Layer[];

  constructor(...steps: readonly Step[]) {
    super();
    this.layers = steps.map((s) => (typeof s === 'function' ? new Lambda(s) : s));
  }

  forward(x: NDArray): NDArray {
    return this.layers.reduce((y, layer) => layer.forward(y), x);
  }
}
