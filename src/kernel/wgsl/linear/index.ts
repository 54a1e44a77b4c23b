// linear: x Wᵀ with packed weights, and what fusion puts around it. Few rows are bound by the bandwidth of memory
// (linear-rows.ts).

import type { GpuKernel } from '../contract.ts';
import { rowVariants } from './linear-rows.ts';
import { linearShape } from './shape.ts';

/** Buffers x, normWeight?, residual?, then per segment w, bias?, y. */
export const linearKernel: GpuKernel = {
  name: 'linear',
  plan(request) {
    const shape = linearShape(request);
    return { variants: rowVariants(request, shape) };
  },
};
