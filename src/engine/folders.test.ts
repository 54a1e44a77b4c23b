// Folders as other people make them: each is the same small model, and gives what transformers gives for it or is refused by name.

import { cpSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readGolden } from '../../tests/models/goldens.ts';
import { load } from './load.ts';

const golden = readGolden('llama3-gqa');
const original = fileURLToPath(new URL('../../tests/goldens/models/llama3-gqa', import.meta.url));
const tokens = golden.tokens.slice(0, 6);

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ingot-folders-'));
  cpSync(original, folder, { recursive: true });
});
afterEach(() => rmSync(folder, { recursive: true }));

type Header = Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>;

/** Writes a file of tensors anew. */
function rewrite(
  change: (header: Header, data: Uint8Array) => { header: Header; data: Uint8Array },
  to = 'model',
) {
  const bytes = readFileSync(join(folder, 'model.safetensors'));
  const length = Number(bytes.readBigUInt64LE(0));
  const { __metadata__: _, ...tensors } = JSON.parse(bytes.subarray(8, 8 + length).toString());
  const { header, data } = change(tensors, bytes.subarray(8 + length));
  const json = Buffer.from(JSON.stringify(header));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(json.length));
  writeFileSync(join(folder, `${to}.safetensors`), Buffer.concat([size, json, data]));
}
const rename = (name: (before: string) => string) =>
  rewrite((header, data) => ({
    header: Object.fromEntries(Object.entries(header).map(([key, value]) => [name(key), value])),
    data,
  }));
const configure = (changes: object) => {
  const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'));
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...config, ...changes }));
};

const notices: string[] = [];
beforeEach(() => {
  notices.length = 0;
});
const open = (path = folder, contextLength?: number) =>
  load(path, {
    device: 'js',
    precision: 'exact',
    maxSequences: 1,
    onNotice: (text) => notices.push(text),
    ...(contextLength === undefined ? {} : { contextLength }),
  });
/** Logits of the first tokens of the golden. */
async function logits(path = folder, contextLength?: number): Promise<Float32Array> {
  await using model = await open(path, contextLength);
  return (await model.logits(tokens)).data;
}
function expectGolden(found: Float32Array): void {
  const worst = found.reduce((max, x, i) => Math.max(max, Math.abs(x - (golden.logits[i] ?? 0))), 0);
  expect(worst).toBeLessThan(2e-4 * golden.largestLogit);
}

describe('names of tensors', () => {
  it.each([
    ['without the prefix of the base model', (name: string) => name.replace(/^model\./, '')],
    ['one level deeper', (name: string) => `language_model.${name}`],
    ['of a compiled module', (name: string) => `_orig_mod.${name}`],
    ['of a module on several devices', (name: string) => `module.${name}`],
  ])('%s', async (_, name) => {
    rename(name);
    expectGolden(await logits());
  });

  it('of a class without a head are those of the family', async () => {
    configure({ architectures: ['LlamaModel'] });
    expectGolden(await logits());
  });
});

describe('tensors that the model has no use for', () => {
  /** The file with one tensor more, of zeros. */
  const add = (name: string, shape: number[]) =>
    rewrite((header, data) => {
      const bytes = 4 * shape.reduce((product, n) => product * n, 1);
      const data_offsets: [number, number] = [data.length, data.length + bytes];
      const whole = Buffer.concat([data, Buffer.alloc(bytes)]);
      return { header: { ...header, [name]: { dtype: 'F32', shape, data_offsets } }, data: whole };
    });

  it.each([
    ['model.layers.1.self_attn.q_proj.bias', [64]],
    ['model.layers.0.self_attn.k_norm.weight', [16]],
    ['model.layers.1.post_mlp_layernorm.weight', [64]],
    ['model.layers.0.input_layernorm.bias', [64]],
    ['model.layers.0.mlp.experts.3.up_proj.weight', [8, 64]],
    ['model.norm.bias', [64]],
  ])('are refused where a layer may have them: %s', async (name, shape) => {
    add(name, shape);
    const message = expect.stringContaining(`tensor ${name} has no use in a model with this config`);
    await expect(open()).rejects.toMatchObject({ code: 'unsupported', message });
  });

  it('are told in one line where no layer has them', async () => {
    add('model.layers.0.self_attn.rotary_emb.inv_freq', [8]);
    expectGolden(await logits());
    expect(notices).toEqual([]);
    for (const i of [0, 1, 2, 3]) add(`vision_tower.blocks.${i}.proj.weight`, [2, 2]);
    expectGolden(await logits());
    expect(notices).toEqual([
      expect.stringMatching(/left out: vision_tower.blocks.0.proj.weight, .*, … \(4 in all\)$/),
    ]);
  });
});

it('of a model without a head make embeddings, and nothing else', async () => {
  configure({ tie_word_embeddings: false });
  await expect(open()).rejects.toMatchObject({ code: 'missing_tensor' }); // a head that is lost
  configure({ tie_word_embeddings: true });
  await using tied = await open();
  const vector = await tied.embed(tokens);
  configure({ tie_word_embeddings: false });
  rename((name) => name.replace(/^model\./, ''));
  await using model = await open();
  expect(await model.embed(tokens)).toEqual(vector);
  const refused = { code: 'unsupported', message: expect.stringContaining('it was saved for embeddings') };
  await expect(model.logits(tokens)).rejects.toMatchObject(refused);
  await expect(model.logprobs(tokens)).rejects.toMatchObject(refused);
  await expect(
    (async () => {
      for await (const _ of model.generate(tokens)) expect.fail('a token');
    })(),
  ).rejects.toMatchObject(refused);
});

describe('one file of a folder', () => {
  it('is the one that is opened', async () => {
    const before = await logits();
    rewrite(
      (header, data) => ({ header, data: data.map((byte, i) => (i % 2 === 0 ? byte ^ 0x40 : byte)) }),
      'other',
    );
    expect(await logits(join(folder, 'model.safetensors'))).toEqual(before);
    expect(await logits(join(folder, 'other.safetensors'))).not.toEqual(before);
    rmSync(join(folder, 'model.safetensors'));
    await expect(open(join(folder, 'model.safetensors'))).rejects.toMatchObject({ code: 'not_found' });
    expect(await logits()).toEqual(await logits(join(folder, 'other.safetensors'))); // the only one
    cpSync(join(folder, 'other.safetensors'), join(folder, 'third.safetensors'));
    await expect(open()).rejects.toThrow(
      'holds several models, name one: other.safetensors, third.safetensors',
    );
  });

  it('is the whole model where an index has it for a part', async () => {
    const part = 'weights-00001-of-00001.safetensors';
    const names: string[] = [];
    rewrite((header, data) => {
      names.push(...Object.keys(header));
      return { header, data };
    });
    renameSync(join(folder, 'model.safetensors'), join(folder, part));
    const index = join(folder, 'weights.safetensors.index.json');
    writeFileSync(
      index,
      JSON.stringify({ weight_map: Object.fromEntries(names.map((name) => [name, part])) }),
    );
    for (const path of [folder, index, join(folder, part)]) expectGolden(await logits(path));
  });

  it('is refused where it is a part and nothing says of what', async () => {
    renameSync(join(folder, 'model.safetensors'), join(folder, 'model-00002-of-00003.safetensors'));
    await expect(open(join(folder, 'model-00002-of-00003.safetensors'))).rejects.toThrow(
      'is one of 3 parts, and no index beside it says which tensors are in which',
    );
  });
});

describe('a config that ties the head', () => {
  const withHead = (change: (head: Uint8Array) => Uint8Array) =>
    rewrite((header, data) => {
      const { 'lm_head.weight': _, ...others } = header;
      const embedding = others['model.embed_tokens.weight'] ?? expect.fail('no embedding');
      const [from, to] = embedding.data_offsets;
      const head = change(data.slice(from, to));
      const at: [number, number] = [data.length, data.length + head.length];
      return {
        header: { ...others, 'lm_head.weight': { ...embedding, data_offsets: at } },
        data: Buffer.concat([data, head]),
      };
    });

  it('has the embedding for one where the file has none, or a copy', async () => {
    configure({ tie_word_embeddings: true });
    rewrite(({ 'lm_head.weight': _, ...header }, data) => ({ header, data }));
    const tied = await logits();
    withHead((head) => head);
    expect(await logits()).toEqual(tied);
    expect(notices).toEqual([]);
  });

  it('has the head of the file where that is another', async () => {
    withHead((head) => head.map((byte, i) => (i % 2 === 1 ? byte ^ 0x80 : byte))); // the other sign
    configure({ tie_word_embeddings: false });
    const own = await logits();
    configure({ tie_word_embeddings: true });
    expect(await logits()).toEqual(own);
    expect(notices).toEqual([
      expect.stringMatching(/ties the output head .* has another lm_head.weight, which is used/),
    ]);
  });
});

it('ends with the tokens of generation_config.json, also without a tokenizer', async () => {
  const [first, second] = golden.continuation;
  configure({ eos_token_id: null });
  const generated = async (): Promise<number[]> => {
    await using model = await open();
    const found: number[] = [];
    for await (const id of model.generate(golden.tokens, { maxTokens: 2, temperature: 0 })) found.push(id);
    return found;
  };
  expect(await generated()).toEqual([first, second]);
  for (const ends of [second, [4000000, second], [null, second]]) {
    writeFileSync(join(folder, 'generation_config.json'), JSON.stringify({ eos_token_id: ends }));
    expect(await generated()).toEqual([first]);
  }
});

it('works with token ids where its tokenizer is refused, and says why', async () => {
  const refused = { model: { type: 'Spiral', vocab: {} }, added_tokens: [] };
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(refused));
  expectGolden(await logits());
  expect(notices).toEqual([expect.stringMatching(/works with token ids only: .*Spiral/)]);
  await using model = await open();
  expect(model.hasTokenizer).toBe(false);
  expect(() => model.tokenizer).toThrow(/no text to work on: .*tokenizer.json.*Spiral.*; use generate/);
  writeFileSync(join(folder, 'tokenizer.json'), '{ broken');
  await expect(open()).rejects.toMatchObject({ code: 'bad_file' });
});

describe('dynamic scaling of rotations', () => {
  beforeEach(() => configure({ rope_scaling: { rope_type: 'dynamic', factor: 4 }, rope_parameters: null }));

  it('leaves texts within the trained length as they are', async () => {
    configure({ rope_theta: 500000 });
    const scaled = await logits();
    configure({ rope_scaling: null });
    expect(await logits()).toEqual(scaled);
  });

  it('is there for who asks for more', async () => {
    await using plain = await open();
    expect(plain.info).toMatchObject({ contextLength: 256, trainedContextLength: 1024 });
    await using long = await open(folder, 1024);
    expect(long.info.contextLength).toBe(1024);
    expect((await long.logits(tokens)).data).not.toEqual((await plain.logits(tokens)).data);
  });
});
