// A gated feed-forward as a chain of two phases.

import { linearShape } from '../linear/shape.ts';
import { linearPhase, mailInput, memoryRow } from './linear.ts';
import type { Block } from './phase.ts';

export const mlpBlock: Block = {
  name: 'mlp',
  kernels: ['linear', 'linear'],
  build([up, down], size, mail) {
    if (!up || !down) return undefined;
    const [gated, back] = [linearShape(up.request), linearShape(down.request)];
    const y = up.memory[gated.segments[0]?.y ?? -1];
    const fits =
      gated.glu !== 'none' &&
      back.glu === 'none' &&
      back.segments.length === 1 &&
      back.norm === undefined &&
      y !== undefined &&
      y === down.memory[0];
    if (!fits) return undefined;
    const norm = gated.norm && { weight: up.first + 1, ...gated.norm };
    const first = linearPhase(
      up,
      gated,
      memoryRow({ x: up.first, K: gated.K, norm }),
      [{ mail, octets: true }],
      size,
    );
    const source = { code: mailInput(mail, back.K), bindings: [], mail: true, norm: undefined };
    const second = linearPhase(
      down,
      back,
      source,
      ['memory'],
      size,
      down.memory[2] === up.memory[0] ? up.first : undefined,
    );
    if (first === undefined || second === undefined) return undefined;
    return { phases: [first, second], words: back.K, unwritten: [y] };
  },
};
