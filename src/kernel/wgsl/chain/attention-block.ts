// Projections, attention and output projection of a layer as a chain of three phases.

import { attentionShape } from '../attention/shape.ts';
import { linearShape } from '../linear/shape.ts';
import { attentionPhase, combinedInput, partWords, splitsOf } from './attention.ts';
import { linearPhase, memoryRow } from './linear.ts';
import type { Block } from './phase.ts';

export const attentionBlock: Block = {
  name: 'attention',
  kernels: ['linear', 'rope_kv', 'attention', 'linear'],
  build([qkv, rope, attention, out], size, mail) {
    if (!qkv || !rope || !attention || !out) return undefined;
    const [inputs, shape, outputs] = [
      linearShape(qkv.request),
      attentionShape(attention.request),
      linearShape(out.request),
    ];
    const names = (d: { memory: readonly (string | undefined)[] }, list: readonly number[]) =>
      list.map((b) => d.memory[b]);
    const same = (a: readonly unknown[], b: readonly unknown[]): boolean => a.every((x, i) => x === b[i]);
    const projected = inputs.segments.map(({ y }) => qkv.memory[y ?? -1]);
    const fits =
      inputs.segments.length === 3 &&
      inputs.glu === 'none' &&
      outputs.segments.length === 1 &&
      outputs.norm === undefined &&
      same(projected, names(rope, [0, 1, 2])) &&
      same(names(rope, [9, 7, 8, 3, 10, 11]), names(attention, [0, 1, 2, 3, 6, 7])) &&
      attention.memory[5] === out.memory[0];
    if (!fits) return undefined;
    const [q, k, v] = inputs.segments;
    const splits = splitsOf(shape, size);
    const at = { q: mail, k: mail + (q?.N ?? 0), v: mail + (q?.N ?? 0) + (k?.N ?? 0), parts: 0 };
    at.parts = at.v + (v?.N ?? 0);
    const norm = inputs.norm && { weight: qkv.first + 1, ...inputs.norm };
    const phases = [
      linearPhase(
        qkv,
        inputs,
        memoryRow({ x: qkv.first, K: inputs.K, norm }),
        [{ mail: at.q }, { mail: at.k }, { mail: at.v }],
        size,
      ),
      attentionPhase(rope, attention, at, splits, size),
      linearPhase(
        out,
        outputs,
        { code: combinedInput(shape, splits, at.parts), bindings: [], mail: true, norm: undefined },
        ['memory'],
        size,
        out.memory[2] === qkv.memory[0] ? qkv.first : undefined,
      ),
    ];
    if (phases.some((p) => p === undefined)) return undefined;
    const unwritten = [...projected, rope.memory[9], attention.memory[5]];
    return {
      phases: phases.filter((p) => p !== undefined),
      words: at.parts + partWords(shape, splits) - mail,
      unwritten: unwritten.filter((m) => m !== undefined),
    };
  },
};
