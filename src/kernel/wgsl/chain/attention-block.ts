// Projections, attention and output projection of a layer as a chain of three phases.

import { attentionShape } from '../attention/shape.ts';
import { linearShape } from '../linear/shape.ts';
import { attentionPhase, combinedInput, partWords, splitsOf } from './attention.ts';
import { linearPhase, memoryRow } from './linear.ts';
import type { Block } from './phase.ts';

export const attentionBlock: Block = {
  name: 'attention',
  kernels: ['linear', 'rope_kv', 'attention', 'linear'],
  width: (first) => first.as('linear').p.K,
  build([qkv, rope, attention, out], size, mail) {
    if (!qkv || !rope || !attention || !out) return undefined;
    const [project, rotate, attend, back] = [
      qkv.request.as('linear'),
      rope.request.as('rope_kv'),
      attention.request.as('attention'),
      out.request.as('linear'),
    ];
    const [inputs, shape, outputs] = [linearShape(project), attentionShape(attend), linearShape(back)];
    const [r, a] = [rotate.b, attend.b];
    const names = (d: { memory: readonly (string | undefined)[] }, list: readonly number[]) =>
      list.map((b) => d.memory[b]);
    const same = (a: readonly unknown[], b: readonly unknown[]): boolean => a.every((x, i) => x === b[i]);
    const projected = inputs.segments.map(({ y }) => qkv.memory[y ?? -1]);
    const fits =
      inputs.segments.length === 3 &&
      inputs.glu === 'none' &&
      outputs.segments.length === 1 &&
      outputs.norm === undefined &&
      same(projected, names(rope, [r.q, r.k, r.v])) &&
      same(
        names(rope, [r.y, r.kCache, r.vCache, r.positions, r.sequences, r.pageTable]),
        names(attention, [a.q, a.kCache, a.vCache, a.positions, a.sequences, a.pageTable]),
      ) &&
      attention.memory[a.y] === out.memory[back.b.x];
    if (!fits) return undefined;
    const [q, k, v] = inputs.segments;
    const splits = splitsOf(shape, size);
    const at = { q: mail, k: mail + (q?.N ?? 0), v: mail + (q?.N ?? 0) + (k?.N ?? 0), parts: 0 };
    at.parts = at.v + (v?.N ?? 0);
    const norm = inputs.norm && { weight: qkv.first + project.b.normWeight, ...inputs.norm };
    const phases = [
      linearPhase(
        qkv,
        inputs,
        memoryRow({ x: qkv.first + project.b.x, K: inputs.K, norm }),
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
        out.memory[back.b.residual] === qkv.memory[project.b.x] ? qkv.first + project.b.x : undefined,
      ),
    ];
    if (phases.some((p) => p === undefined)) return undefined;
    const unwritten = [...projected, rope.memory[r.y], attention.memory[a.y]];
    return {
      phases: phases.filter((p) => p !== undefined),
      words: at.parts + partWords(shape, splits) - mail,
      unwritten: unwritten.filter((m) => m !== undefined),
    };
  },
};
