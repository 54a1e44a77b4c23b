// sample: a token from each row of logits, with logprobs. Slices of the vocabulary are looked at by many workgroups, which also sort
// tokens into buckets by their logit where a row asks for a draw or for alternatives; one workgroup a row finishes.

import type { GpuKernel } from '../contract.ts';
import { finishPass } from './finish.ts';
import { bucketPass, orderPass, scanPass } from './passes.ts';
import { sampleShape, scratchOf } from './shape.ts';

export const sampleKernel: GpuKernel<'sample'> = {
  name: 'sample',
  plan(request) {
    const shape = sampleShape(request);
    const passes = [scanPass(shape), bucketPass(shape), orderPass(shape), finishPass(shape)];
    return { variants: [{ passes }], scratch: scratchOf(shape) };
  },
};
