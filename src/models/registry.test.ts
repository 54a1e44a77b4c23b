import { existsSync, readdirSync, readFileSync } from 'node:fs';
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
        const { architectures: _, ...tiny } = tinyConfigs['qwen3-moe'];
        // Sizes by the names that families with experts or latent rows have for them.
        const config = {
          ...tiny,
          num_local_experts: 4,
          n_routed_experts: 4,
          n_group: 1,
          moe_num_experts: 4,
          moe_k: 2,
          shared_expert_intermediate_size: 64,
          kv_lora_rank: 16,
          q_lora_rank: 8,
          qk_nope_head_dim: 8,
          qk_rope_head_dim: 8,
          v_head_dim: 8,
        };
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
        'MistralForCausalLM, SmolLM3ForCausalLM',
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

describe('a new family is one folder and one line', () => {
  const src = new URL('../', import.meta.url);
  const folders = readdirSync(new URL('models/', src)).filter((name) =>
    existsSync(new URL(`models/${name}/model.ts`, src)),
  );

  it('every folder has a line, every line a folder', () => {
    const registry = readFileSync(new URL('models/registry.ts', src), 'utf8');
    const lines = [...registry.matchAll(/from '\.\/([\w.-]+)\/model\.ts'/g)].map(([, name]) => name);
    expect(lines.toSorted()).toEqual(folders.toSorted());
    expect(families.length).toBe(folders.length);
  });

  it('no other folder of the engine knows a family by name', () => {
    const names = new Set([
      ...families.flatMap((family) => family.names),
      ...families.flatMap(({ files }) => (files.gguf ?? []).map(({ architecture }) => architecture)),
    ]);
    const shared = [
      'weights',
      'nn',
      'array',
      'cache',
      'generate',
      'engine',
      'device',
      'models/blocks',
      'models/files',
    ];
    const found = shared.flatMap((folder) =>
      readdirSync(new URL(`${folder}/`, src), { recursive: true, encoding: 'utf8' })
        .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts') && file !== 'tiny.ts')
        .flatMap((file) => {
          const text = readFileSync(new URL(`${folder}/${file}`, src), 'utf8');
          const literals = [...text.matchAll(/'([\w.-]+)'/g)].map(([, literal]) => literal ?? '');
          return literals.filter((literal) => names.has(literal)).map((name) => `${folder}/${file}: ${name}`);
        }),
    );
    expect(found).toEqual([]);
  });
});
