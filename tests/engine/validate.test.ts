// `ingot validate` on a tiny checkpoint: fusions against none, two devices, two precisions, two models.

import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { addonPath } from '../../src/device/cpu/addon.ts';
import { parseAgainst, parsePatterns, validateModel } from '../../src/engine/validate.ts';
import { renderMarkdown, renderSvg } from '../../src/patch/report.ts';

const folder = (name: string): string => fileURLToPath(new URL(`../goldens/models/${name}`, import.meta.url));
const device = addonPath() === undefined ? 'js' : 'cpu';
const options = {
  device,
  precision: 'exact',
  contextLength: 64,
  tokens: 4,
  rounds: 1,
  prompts: [[1, 2, 3], [5]],
  version: '1.2.3',
} as const;

describe(`validate on ${device}`, () => {
  it('fusions against none, with one model', async () => {
    const seen: number[] = [];
    const capsule = await validateModel(folder('qwen3-moe'), {
      ...options,
      onPrompts: (done) => seen.push(done),
    });
    expect(capsule).toMatchObject({ passed: true, ingot: '1.2.3', runs: 2, memory: { shared: true } });
    expect(capsule.reference).toMatchObject({
      label: 'patterns=none',
      patterns: [],
      patternCounts: {},
      precision: 'exact',
    });
    expect(capsule.other.label).toBe('fused');
    expect(capsule.other.patternCounts.moe_mlp).toBeGreaterThan(0);
    expect(capsule.other.dispatches).toBeLessThan(capsule.reference.dispatches);
    expect(capsule.prompts.map((p) => p.equal)).toEqual([4, 4]);
    expect(capsule.logits?.maxAbs).toBeLessThan(1e-3);
    expect(seen.at(-1)).toBe(2 * (2 + 2) + 2);
    expect(renderMarkdown(capsule)).toContain('Passed');
    expect(renderSvg(capsule)).not.toMatch(/NaN|undefined/);
  });

  it('two precisions, and prompts of its own for a model without a tokenizer', async () => {
    const { prompts: _, ...rest } = options;
    const capsule = await validateModel(folder('llama3-gqa'), {
      ...rest,
      against: 'precision=fast',
      tokens: 2,
    });
    expect(capsule).toMatchObject({
      reference: { precision: 'fast' },
      other: { precision: 'exact', label: `${device} exact` },
    });
    expect(capsule.prompts).toHaveLength(20);
    expect(capsule.memory.shared).toBe(false);
    expect(capsule.promises.map((p) => p.what)).toContain(
      'the best token is the same in 97 % of rows at least',
    );
  });

  it.runIf(device === 'cpu')('two devices', async () => {
    const capsule = await validateModel(folder('llama3-gqa'), { ...options, against: 'device=js' });
    expect(capsule).toMatchObject({ passed: true, reference: { label: 'device=js', deviceClass: 'js' } });
    expect(capsule.promises).toHaveLength(4);
  });

  it('another model promises nothing', async () => {
    const capsule = await validateModel(folder('llama3-gqa'), {
      ...options,
      against: `model=${folder('llama3-gqa')}`,
      tokens: 2,
    });
    expect(capsule.promises).toHaveLength(2);
  });
});

describe('what to compare with', () => {
  it('is keys and values', () => {
    expect(parseAgainst('device=js, precision=exact')).toEqual({
      label: 'device=js, precision=exact',
      model: undefined,
      load: { device: 'js', precision: 'exact' },
    });
    expect(parseAgainst('model=a/b:Q8_0,threads=2')).toMatchObject({
      model: 'a/b:Q8_0',
      load: { threads: 2 },
    });
    expect(parseAgainst('patterns=moe_mlp+norms').load.patterns).toEqual(['moe_mlp', 'norms']);
    expect(parsePatterns('-norms+-rope_kv')).toEqual({ norms: false, rope_kv: false });
    expect(parsePatterns('none')).toEqual([]);
    expect(parseAgainst('experts=streamed').load.experts).toEqual({ residency: 'streamed' });
    expect(parsePatterns('all')).toContain('chains');
  });

  it.each([
    ['devise=js', /cannot read "devise=js" .* did you mean device\?/],
    [
      'device',
      /cannot read "device" .* it is key=value with patterns, device, precision, model, threads, experts/,
    ],
    ['device=', /cannot read "device="/],
    ['patterns=rope-kv', /did you mean rope_kv\?/],
  ])('%s is refused', (spec, message) => {
    expect(() => parseAgainst(spec)).toThrow(message);
  });
});
