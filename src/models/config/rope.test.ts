import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ropeFrequencies } from '../../nn/rope.ts';
import { ConfigReader } from './reader.ts';
import { readRope } from './rope.ts';

interface RopeGolden {
  readonly name: string;
  readonly config: {
    readonly head_dim: number;
    readonly max_position_embeddings: number;
    readonly rope_parameters: Readonly<Record<string, unknown>>;
  };
  readonly seqLen: number | null;
  readonly attentionFactor: number;
  readonly invFreq: readonly number[];
}

const path = new URL('../../../tests/goldens/rope/rope.json', import.meta.url);
const goldens = JSON.parse(readFileSync(path, 'utf8')) as { readonly cases: readonly RopeGolden[] };

/** The same settings as checkpoints wrote them before `rope_parameters`. */
function olderDialect(config: RopeGolden['config'], typeKey: 'type' | 'rope_type'): Record<string, unknown> {
  const { rope_parameters, ...rest } = config;
  const { rope_theta, rope_type, ...scaling } = rope_parameters;
  return {
    ...rest,
    rope_theta,
    rope_scaling: rope_type === 'default' ? null : { [typeKey]: rope_type, ...scaling },
  };
}

const read = (config: object) => {
  const reader = new ConfigReader(config, 'config.json');
  return readRope(reader, {
    theta: 10000,
    headDim: reader.int('head_dim', { min: 2, max: 1024 }),
    contextLength: reader.int('max_position_embeddings', { min: 1, max: 2 ** 28 }),
  });
};

describe('rotary settings against transformers', () => {
  it.each(goldens.cases)('$name', ({ config, seqLen, attentionFactor, invFreq }) => {
    const { rope } = read(config);
    const got = ropeFrequencies(rope, seqLen ?? config.max_position_embeddings);
    expect(got.attentionFactor).toBeCloseTo(attentionFactor, 12);
    expect(got.invFreq.length).toBe(invFreq.length);
    // The reference computes base ** (2i / d) in f32: rounding the exponent alone costs ln(base) * 2^-24, and at most
    // eight roundings follow (division, scaling, the blend).
    const bound = (Math.log(rope.theta) + 8) * 2 ** -24;
    const relative = invFreq.map((want, i) => Math.abs((got.invFreq[i] as number) - want) / want);
    const worst = Math.max(...relative);
    const at = relative.indexOf(worst);
    expect(worst, `index ${at}: ${got.invFreq[at]} for ${invFreq[at]}`).toBeLessThanOrEqual(bound);
  });

  it.each(goldens.cases)('reads the older dialect of $name alike', ({ config }) => {
    expect(read(olderDialect(config, 'type'))).toEqual(read(config));
    expect(read(olderDialect(config, 'rope_type'))).toEqual(read(config));
  });
});

describe('impossible rotary settings', () => {
  const base = { head_dim: 64, max_position_embeddings: 4096 };
  const cases: readonly [object, string][] = [
    [{ rope_scaling: { type: 'spiral' } }, 'unknown kind of rotary scaling "spiral"; supported are default'],
    [{ rope_scaling: { type: 'longrope' } }, 'rope_scaling.short_factor: must be a list of numbers'],
    [
      { rope_scaling: { type: 'su', short_factor: [1, 2], long_factor: [1, 2] } },
      'rope_scaling: has 2 factors for 32 frequencies',
    ],
    [{ rope_scaling: { type: 'linear' } }, 'config.json: rope_scaling.factor: is missing'],
    [{ rope_scaling: { type: 'linear', factor: -2 } }, 'rope_scaling.factor: is -2, must be between'],
    [{ rope_scaling: { type: 'linear', factor: '4' } }, 'rope_scaling.factor: must be a number, found "4"'],
    [{ rope_theta: 0 }, 'rope_theta: is 0, must be between 1.001 and'],
    [{ rope_parameters: [1] }, 'rope_parameters: must be an object, found a list of 1'],
    [{ head_dim: 7 }, 'head_dim: head_dim 7 gives 7 rotating dimensions'],
    [
      { rope_scaling: { rope_type: 'llama3', factor: 8, low_freq_factor: 4, high_freq_factor: 4 } },
      'high_freq_factor: is 4, must exceed low_freq_factor 4',
    ],
    [
      { rope_parameters: { full_attention: { rope_theta: 1e4 } } },
      'settings per layer type are not supported',
    ],
  ];
  it.each(cases)('%j', (fields, message) => {
    expect(() => read({ ...base, ...fields })).toThrow(message);
  });
});

describe('factors of a GGUF file', () => {
  const config = { head_dim: 8, max_position_embeddings: 4096 };
  it('divide the plain frequencies one by one', () => {
    const { rope } = read({ ...config, rope_scaling: { rope_type: 'factors', factors: [1, 2, 4, 8] } });
    const plain = ropeFrequencies({ ...rope, scaling: { kind: 'default' } }, 4096).invFreq;
    expect([...ropeFrequencies(rope, 4096).invFreq]).toEqual(
      [...plain].map((f, i) => Math.fround(f / 2 ** i)),
    );
  });
  it('must be as many as the frequencies', () => {
    const three = { ...config, rope_scaling: { rope_type: 'factors', factors: [1, 2, 4] } };
    expect(() => read(three)).toThrow('config.json: rope_scaling: has 3 factors for 4 frequencies');
  });
});

describe('context reached by scaling', () => {
  const yarn = { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 32768 };
  it('grows with yarn and dynamic scaling added to a config that keeps its length', () => {
    expect(read({ head_dim: 64, max_position_embeddings: 40960, rope_scaling: yarn }).contextLength).toBe(
      131072,
    );
    const dynamic = { type: 'dynamic', factor: 2 };
    expect(read({ head_dim: 64, max_position_embeddings: 2048, rope_scaling: dynamic }).contextLength).toBe(
      4096,
    );
  });
  it('is the stated length otherwise', () => {
    const linear = { type: 'linear', factor: 4 };
    expect(read({ head_dim: 64, max_position_embeddings: 8192, rope_scaling: linear }).contextLength).toBe(
      8192,
    );
    expect(read({ head_dim: 64, max_position_embeddings: 131072, rope_scaling: yarn }).contextLength).toBe(
      131072,
    );
  });
});
