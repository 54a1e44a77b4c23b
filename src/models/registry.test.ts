import { describe, expect, it } from 'vitest';
import { tinyConfigs } from '../testing/tiny-models.ts';
import { families, parseModel } from './registry.ts';

describe('families', () => {
  it('claim every name once', () => {
    const names = families.flatMap((family) => family.names);
    expect(new Set(names).size).toBe(names.length);
  });

  it('are found by architecture, or by model_type without one', () => {
    for (const family of families) {
      for (const name of family.names) {
        const { architectures: _, ...config } = tinyConfigs['qwen3-moe'];
        const byName = name.endsWith('ForCausalLM') ? { architectures: [name] } : { model_type: name };
        const parsed = parseModel({ ...config, ...byName }, 'config.json');
        expect(parsed.config.family).toBe(family.parse({ ...config, ...byName }, 'config.json').family);
      }
    }
    expect(parseModel(tinyConfigs['qwen3-moe'], 'config.json').config.family).toBe('qwen3-moe');
  });

  it('take the first architecture they know', () => {
    const config = { ...tinyConfigs.llama, architectures: ['SomethingNew', 'LlamaForCausalLM'] };
    expect(parseModel(config, 'config.json').config.family).toBe('llama');
  });

  it('name the supported ones when none fits', () => {
    const config = { ...tinyConfigs.llama, architectures: ['MambaForCausalLM'] };
    expect(() => parseModel(config, '/models/x/config.json')).toThrow(
      '/models/x/config.json: no support for architecture MambaForCausalLM; supported are LlamaForCausalLM, ' +
        'MistralForCausalLM, Qwen3ForCausalLM, Qwen3MoeForCausalLM',
    );
  });

  it('ask for an architecture when there is none', () => {
    expect(() => parseModel({}, 'config.json')).toThrow(
      'config.json: architectures: is missing, and so is model_type',
    );
    expect(() => parseModel(null, 'config.json')).toThrow(
      'config.json: config: must be an object, found null',
    );
  });
});
