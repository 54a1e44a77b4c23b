// user: kernels that are made while the program runs. What plans one is kept here under a number, which its dispatches name.

import { invariant } from '../../base/errors.ts';
import type { GpuKernel, GpuKernelPlan, KernelRequest } from './contract.ts';

export type UserPlanner = (request: KernelRequest<'user'>) => GpuKernelPlan;

const planners: UserPlanner[] = [];

/** The number of a new kernel. */
export const addUserKernel = (planner: UserPlanner): number => planners.push(planner) - 1;

export const userKernel: GpuKernel<'user'> = {
  name: 'user',
  plan(request) {
    const planner = planners[request.constant(request.p.kernel)];
    invariant(planner !== undefined, 'no such user kernel');
    return planner(request);
  },
};
