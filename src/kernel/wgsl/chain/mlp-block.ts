// A gated feed-forward as a chain of two phases.

import { linearShape } from '../linear/shape.ts';
import { linearPhase, mailInput, memoryRow } from './linear.ts';
import type { Block } from './phase.ts';

export const mlpBlock: Block = {
  name: 'mlp',
  kernels: ['linear', 'linear'],
  width: (first) => first.as('linear').p.K,
  build([up, down], size, mail) {
    if (!up || !down) return undefined;
    const [first, second] = [up.request.as('linear'), down.request.as('linear')];
    const [gated, back] = [linearShape(first), linearShape(second)];
    const y = up.memory[gated.segments[0]?.y ?? -1];
    const fits =
      gated.glu !== 'none' &&
      back.glu === 'none' &&
      back.segments.length === 1 &&
      back.norm === undefined &&
      y !== undefined &&
      y === down.memory[second.b.x];
    if (!fits) return undefined;
    const norm = gated.norm && { weight: up.first + first.b.normWeight, ...gated.norm };
    const begin = linearPhase(
      up,
      gated,
      memoryRow({ x: up.first + first.b.x, K: gated.K, norm }),
      [{ mail, octets: true }],
      size,
    );
    const source = { code: mailInput(mail, back.K), bindings: [], mail: true, norm: undefined };
    const end = linearPhase(
      down,
      back,
      source,
      ['memory'],
      size,
      down.memory[second.b.residual] === up.memory[first.b.x] ? up.first + first.b.x : undefined,
    );
    if (begin === undefined || end === undefined) return undefined;
    return { phases: [begin, end], words: back.K, unwritten: [y] };
  },
};
