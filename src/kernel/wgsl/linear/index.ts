// linear: x Wᵀ with packed weights, and what fusion puts around it. Few rows are bound by the bandwidth of memory
// (linear-rows.ts), many by arithmetic (tiles.ts).

import type { GpuKernel } from '../contract.ts';
import { rowVariants } from './linear-rows.ts';
import { linearShape } from './shape.ts';
import { maxRows } from './tile-activations.ts';
import { linearTiles } from './tiles.ts';

/** Rows up to which a product reads the weights once and computes little. */
const fewRows = 8;

/** Buffers x, normWeight?, residual?, then per segment w, bias?, y. */
export const linearKernel: GpuKernel<'linear'> = {
  name: 'linear',
  plan(request) {
    const shape = linearShape(request);
    const most = shape.rows ?? maxRows(request.bytesOf(request.b.x), shape.K);
    if (most <= fewRows) return { variants: rowVariants(request, shape) };
    const { variants, scratch = [] } = linearTiles(request, shape);
    const few = shape.rows === undefined ? rowVariants(request, shape, fewRows) : [];
    return { variants: [...few, ...variants], scratch };
  },
};
