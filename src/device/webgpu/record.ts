// One step of a run, recorded into a compute pass.

import type { Step } from './bind.ts';
import { recordMove } from './moves.ts';

/** Params are those of the run; a pass without workgroups is left out. */
export function recordStep(pass: GPUComputePassEncoder, step: Step, params: readonly number[]): void {
  if (step.kind === 'move') {
    recordMove(pass, step.move);
    return;
  }
  const [x, y, z] = typeof step.groups === 'function' ? step.groups(params) : step.groups;
  if (x * y * z === 0) return;
  pass.setPipeline(step.pipeline);
  pass.setBindGroup(0, step.group);
  pass.dispatchWorkgroups(x, y, z);
}
