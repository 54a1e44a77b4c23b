import { describe, expect, it } from 'vitest';
import { f32 } from '../../quant/formats/float.ts';
import { Checkpoint } from '../checkpoint.ts';
import type { CheckpointTensor } from '../tensor.ts';
import { mixBase, mixedFormats, mixNames } from './mixes.ts';

/** A model of `layers` with matrices of the names of Llama or of GGUF. */
function model({ layers = 16, shared = 1, experts = 0, gguf = false } = {}): Checkpoint {
  const tensors = new Map<string, CheckpointTensor>();
  const add = (name: string, ...shape: number[]): void => {
    tensors.set(name, { kind: 'source', name, shape, format: f32, slices: [] });
  };
  for (let i = 0; i < layers; i++) {
    const at = gguf ? `blk.${i}.` : `model.layers.${i}.`;
    const attention = gguf ? `${at}attn_` : `${at}self_attn.`;
    const end = gguf ? '' : '_proj';
    add(`${attention}q${end}.weight`, 64 * shared, 256);
    add(`${attention}k${end}.weight`, 64, 256);
    add(`${attention}v${end}.weight`, 64, 256);
    add(`${attention}v${end}.bias`, 64);
    add(`${attention}${gguf ? 'output' : 'o_proj'}.weight`, 256, 64 * shared);
    if (experts > 0)
      add(gguf ? `${at}ffn_down_exps.weight` : `${at}mlp.experts.down_proj.weight`, experts, 256, 512);
    else add(gguf ? `${at}ffn_down.weight` : `${at}mlp.down_proj.weight`, 256, 512);
    add(gguf ? `${at}ffn_up.weight` : `${at}mlp.up_proj.weight`, 512, 256);
  }
  return new Checkpoint({
    path: 'm',
    kind: 'safetensors',
    config: {},
    tensors,
    unusable: new Map(),
    files: [],
    readFile: async () => undefined,
    close: async () => {},
  });
}

/** Layers by role and format: `value q6_k: 0 1 4`. */
function told(name: string, checkpoint: Checkpoint): string[] {
  const layers = new Map<string, number[]>();
  for (const [tensor, { name: format }] of mixedFormats(name, checkpoint)) {
    const role = /([a-z]+)(_proj|_exps)?\.weight$/.exec(tensor)?.[1];
    const layer = Number(/\d+/.exec(tensor)?.[0]);
    layers.set(`${role} ${format}`, [...(layers.get(`${role} ${format}`) ?? []), layer]);
  }
  return [...layers].map(([what, which]) => `${what}: ${which.join(' ')}`).sort();
}

const all = Array.from({ length: 16 }, (_, i) => i).join(' ');

describe('mixes', () => {
  // What llama_model_quantize of llama.cpp chooses for the same shapes.
  it.each([
    ['q4_k_m', ['down q6_k: 0 1 4 7 10 13 14 15', 'v q6_k: 0 1 4 7 10 13 14 15']],
    ['q4_k_s', ['down q5_k: 0 1', 'v q5_k: 0 1 2 3']],
    ['q5_k_m', ['down q6_k: 0 1 4 7 10 13 14 15', 'v q6_k: 0 1 4 7 10 13 14 15']],
    ['q5_k_s', []],
    [
      'q3_k_m',
      [
        'down q4_k: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15',
        'down q5_k: 0',
        `o q4_k: ${all}`,
        'v q4_k: 2 3 4 5 6 7 8 9 10 11 12 13 14 15',
        'v q5_k: 0 1',
      ],
    ],
    ['q3_k_l', [`down q5_k: ${all}`, `o q5_k: ${all}`, `v q5_k: ${all}`]],
    ['q3_k_s', []],
    ['q2_k', [`down q3_k: ${all}`, `o q3_k: ${all}`, `v q3_k: ${all}`]],
    ['q2_k_s', ['down q4_k: 0 1']],
    ['iq4_xs', ['down q5_k: 0 1']],
  ])('%s gives more bits where llama.cpp does', (name, expected) => {
    expect(told(name, model())).toEqual(expected);
    expect(mixBase(name)?.name).toBe(name.replace(/_[sml]$/, ''));
  });

  it('look at shared keys and eight experts', () => {
    expect(told('q2_k', model({ shared: 4 }))).toContain(`v q4_k: ${all}`);
    expect(told('iq4_nl', model({ shared: 4 }))).toEqual(['down q5_k: 0 1', `v q5_k: ${all}`]);
    const eight = told('q4_k_m', model({ experts: 8 }));
    expect(eight).toContain(`k q8_0: ${all}`);
    expect(eight).toContain(`v q8_0: ${all}`);
    expect(eight).toContain(`o q5_k: ${all}`);
    expect(told('q4_k_m', model({ experts: 32 }))).toEqual(told('q4_k_m', model()));
  });

  it('know the names of GGUF', () => {
    for (const name of mixNames)
      expect(mixedFormats(name, model({ gguf: true })).size).toBe(mixedFormats(name, model()).size);
    expect(mixedFormats('q4_k_m', model({ gguf: true, experts: 32 })).size).toBe(16);
    expect(mixedFormats('q8_0', model()).size).toBe(0);
  });
});
