// A mixture of experts as a chain of four phases: slices of the router, the choice of experts (which every workgroup makes for itself),
// gate and up of the chosen, and down.

import { linearShape } from '../linear/shape.ts';
import { moeDownShape } from '../moe-down.ts';
import { moeGluShape } from '../moe-glu.ts';
import { moeRouteShape, routeFunction } from '../moe-route.ts';
import { expertsDown, expertsGlu } from './experts.ts';
import type { Block } from './phase.ts';
import { routePhase, routerPhase, routerSlices } from './router.ts';

export const expertsBlock: Block = {
  name: 'experts',
  kernels: ['rms_norm', 'linear', 'moe_route', 'moe_glu', 'moe_down'],
  build([norm, router, route, glu, down], size, mail) {
    if (!norm || !router || !route || !glu || !down) return undefined;
    const logits = linearShape(router.request);
    const [hidden, back] = [moeGluShape(glu.request), moeDownShape(down.request)];
    const [matrix] = logits.segments;
    const x = norm.memory[2];
    const r = norm.request;
    const same = (...memory: readonly unknown[]): boolean =>
      memory.every((m) => m !== undefined && m === memory[0]);
    const fits =
      r.has(1) &&
      matrix?.y !== undefined &&
      matrix.bias === undefined &&
      logits.segments.length === 1 &&
      logits.glu === 'none' &&
      logits.norm === undefined &&
      !logits.residual &&
      same(x, router.memory[0], glu.memory[0]) &&
      same(router.memory[matrix.y], route.memory[0]) &&
      same(route.memory[1], glu.memory[1], down.memory[1]) &&
      same(route.memory[2], down.memory[2]) &&
      same(glu.memory[4], down.memory[0]);
    if (!fits) return undefined;
    const input = {
      x: norm.first,
      K: logits.K,
      norm: { weight: norm.first + 1, eps: r.float(2), offset: r.float(3) },
    };
    const chosen = moeRouteShape(route.request);
    const slices = routerSlices(chosen, logits.K, size);
    const hiddenMail = mail + chosen.experts * slices;
    const phases = [
      routerPhase(router, matrix, input, { mail, slices }, size),
      routePhase(chosen, { mail, slices }, size),
      expertsGlu(glu, hidden, input, hiddenMail, size),
      expertsDown(down, back, hiddenMail, size, down.memory[4] === norm.memory[0] ? norm.first : undefined),
    ].filter((p) => p !== undefined);
    if (phases.length < 4) return undefined;
    const unwritten = [x, route.memory[0], route.memory[1], route.memory[2], glu.memory[4]];
    return {
      shared: routeFunction(chosen, size.threads),
      phases,
      words: chosen.experts * slices + hidden.topk * hidden.N,
      unwritten: unwritten.filter((m) => m !== undefined),
    };
  },
};
