// floor: Largest integer not above x.

import type { NDArray } from '../../array.ts';
import { rounding, unaryOp } from './elementwise.ts';

export const floorOp = unaryOp({
  name: 'floor',
  opcodes: { f32: 'floor_f32' },
  vjp: 'zero',
});

/** Largest integer not above x. */
export const floor = (x: NDArray): NDArray => rounding(floorOp, x);
