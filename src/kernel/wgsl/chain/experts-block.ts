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
  width: (first) => first.as('rms_norm').p.D,
  build([norm, router, route, glu, down], size, mail) {
    if (!norm || !router || !route || !glu || !down) return undefined;
    const [normed, routed] = [norm.request.as('rms_norm'), route.request.as('moe_route')];
    const [product, gated, summed] = [
      router.request.as('linear'),
      glu.request.as('moe_glu'),
      down.request.as('moe_down'),
    ];
    const logits = linearShape(product);
    const [hidden, back] = [moeGluShape(gated), moeDownShape(summed)];
    const [matrix] = logits.segments;
    const x = norm.memory[normed.b.y];
    const [r, g, d] = [routed.b, gated.b, summed.b];
    const same = (...memory: readonly unknown[]): boolean =>
      memory.every((m) => m !== undefined && m === memory[0]);
    const fits =
      normed.has(normed.b.w) &&
      !normed.has(normed.b.residual) &&
      !normed.has(normed.b.after) &&
      matrix?.y !== undefined &&
      matrix.bias === undefined &&
      logits.segments.length === 1 &&
      logits.glu === 'none' &&
      logits.norm === undefined &&
      !logits.residual &&
      same(x, router.memory[product.b.x], glu.memory[g.x]) &&
      same(router.memory[matrix.y], route.memory[r.logits]) &&
      same(route.memory[r.ids], glu.memory[g.ids], down.memory[d.ids]) &&
      same(route.memory[r.weights], down.memory[d.weights]) &&
      same(glu.memory[g.h], down.memory[d.h]);
    if (!fits) return undefined;
    const input = {
      x: norm.first + normed.b.x,
      K: logits.K,
      norm: {
        weight: norm.first + normed.b.w,
        eps: normed.float(normed.p.eps),
        offset: normed.float(normed.p.offset),
      },
    };
    const chosen = moeRouteShape(routed);
    const slices = routerSlices(chosen, logits.K, size);
    const hiddenMail = mail + chosen.experts * slices;
    const phases = [
      routerPhase(router, matrix, input, { mail, slices }, size),
      routePhase(chosen, route.first + r.correction, { mail, slices }, size),
      expertsGlu(glu, hidden, input, hiddenMail, size),
      expertsDown(
        down,
        back,
        hiddenMail,
        size,
        down.memory[d.residual] === norm.memory[normed.b.x] ? input.x : undefined,
      ),
    ].filter((p) => p !== undefined);
    if (phases.length < 4) return undefined;
    const unwritten = [x, ...[r.logits, r.ids, r.weights].map((b) => route.memory[b]), glu.memory[g.h]];
    return {
      shared: routeFunction(chosen, size.threads),
      phases,
      words: chosen.experts * slices + hidden.topk * hidden.N,
      unwritten: unwritten.filter((m) => m !== undefined),
    };
  },
};
