import { describe, expect, test } from 'vitest';
import { openTokenizer, type TokenizerSource } from './open.ts';

const utf8 = new TextEncoder();

function source(files: Record<string, unknown>, metadata?: Map<string, unknown>): TokenizerSource {
  return {
    path: '/models/tiny',
    metadata,
    readFile: async (name) => {
      const value = files[name];
      if (value === undefined) return undefined;
      return utf8.encode(typeof value === 'string' ? value : JSON.stringify(value));
    },
  };
}

const tokenizerJson = {
  added_tokens: [
    { id: 5, content: '<|end_of_text|>', special: true },
    { id: 6, content: '<|eot_id|>', special: true },
    { id: 7, content: '<think>', special: false },
  ],
  pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, use_regex: true },
  decoder: { type: 'ByteLevel' },
  model: {
    type: 'BPE',
    vocab: { a: 0, b: 1, ab: 2, Ġ: 3, '1': 4 },
    merges: ['a b'],
  },
};

describe('a folder with tokenizer.json', () => {
  test('encodes, decodes and knows its ends', async () => {
    const tokenizer = await openTokenizer(
      source({
        'tokenizer.json': tokenizerJson,
        'tokenizer_config.json': { eos_token: { content: '<|end_of_text|>' }, chat_template: 'T' },
        'generation_config.json': { eos_token_id: [5, 6] },
      }),
    );
    expect(tokenizer?.encode('ab a<|eot_id|>')).toEqual([2, 3, 0, 6]);
    expect(tokenizer?.decode([2, 3, 0, 6])).toBe('ab a');
    expect(tokenizer?.decode([7, 2])).toBe('<think>ab');
    expect(tokenizer?.eosIds).toEqual([5, 6]);
    expect(tokenizer?.eosToken).toBe('<|end_of_text|>');
    expect([tokenizer?.vocabSize, tokenizer?.chatTemplate, tokenizer?.bosId]).toEqual([8, 'T', undefined]);
    expect([tokenizer?.idOf('ab'), tokenizer?.tokenOf(2), tokenizer?.idOf('nope')]).toEqual([
      2,
      'ab',
      undefined,
    ]);
  });

  test('the newer merges format and files without a model type work', async () => {
    const { type: _, ...model } = tokenizerJson.model;
    const json = { ...tokenizerJson, model: { ...model, merges: [['a', 'b']] } };
    expect((await openTokenizer(source({ 'tokenizer.json': json })))?.encode('ab')).toEqual([2]);
  });

  test('takes a template from its own file first, then the default of a list', async () => {
    const list = [
      { name: 'tool_use', template: 'tools' },
      { name: 'default', template: 'plain' },
    ];
    const files = { 'tokenizer.json': tokenizerJson, 'tokenizer_config.json': { chat_template: list } };
    expect((await openTokenizer(source(files)))?.chatTemplate).toBe('plain');
    const own = await openTokenizer(source({ ...files, 'chat_template.jinja': 'own' }));
    expect(own?.chatTemplate).toBe('own');
    const json = await openTokenizer(source({ ...files, 'chat_template.json': { chat_template: 'j' } }));
    expect(json?.chatTemplate).toBe('j');
  });
});

test('tokenizer.json wins over metadata, and metadata serves without it', async () => {
  const metadata = new Map<string, unknown>([
    ['tokenizer.ggml.model', 'gpt2'],
    ['tokenizer.ggml.tokens', ['x']],
    ['tokenizer.ggml.merges', []],
  ]);
  expect((await openTokenizer(source({}, metadata)))?.vocabSize).toBe(1);
  expect((await openTokenizer(source({ 'tokenizer.json': tokenizerJson }, metadata)))?.vocabSize).toBe(8);
  expect(await openTokenizer(source({}))).toBeUndefined();
});

describe('damaged files are named', () => {
  test.each([
    ['no JSON', '{"model":', /tiny\/tokenizer\.json: document: is not JSON/],
    ['a list', [], /document: is not a JSON object/],
    ['no model', {}, /model: is missing/],
    ['a model that is text', { model: 'x' }, /model: is neither an object nor null/],
    ['no merges', { model: { type: 'BPE', vocab: {} } }, /model\.merges: is not an array/],
    [
      'a vocabulary list',
      { model: { type: 'BPE', vocab: [], merges: [] } },
      /model\.vocab: is not an object/,
    ],
    [
      'a huge id',
      { model: { type: 'BPE', vocab: { a: 2 ** 40 }, merges: [] } },
      /model\.vocab\["a"\]: id 1099511627776/,
    ],
    ['a negative id', { model: { type: 'BPE', vocab: { a: -1 }, merges: [] } }, /id -1 is not an integer/],
    [
      'an added token without id',
      { ...tokenizerJson, added_tokens: [{ content: 'x' }] },
      /added_tokens\[0\]/,
    ],
    ['an unknown decoder', { ...tokenizerJson, decoder: { type: 'CTC' } }, /decoder "CTC" is not supported/],
  ])('%s', async (_, json, message) => {
    await expect(openTokenizer(source({ 'tokenizer.json': json }))).rejects.toThrow(message);
  });

  test.each([
    ['normalizer', { normalizer: { type: 'Mystery' } }],
    ['pre-tokenizer', { pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'Mystery' }] } }],
    ['post-processor', { post_processor: { type: 'Mystery' } }],
    ['decoder', { decoder: { type: 'Sequence', decoders: [{ type: 'Mystery' }] } }],
    ['tokenizer model', { model: { type: 'Mystery', vocab: {} } }],
  ])('an unknown %s is told when the tokenizer is opened', async (what, change) => {
    const files = { 'tokenizer.json': { ...tokenizerJson, ...change } };
    await expect(openTokenizer(source(files))).rejects.toThrow(new RegExp(`${what} "Mystery" is not`));
  });

  test('what cannot be done as the library does it is refused', async () => {
    const dropout = { ...tokenizerJson, model: { ...tokenizerJson.model, dropout: 0.1 } };
    const random = await openTokenizer(source({ 'tokenizer.json': dropout }));
    expect(() => random?.encode('a')).toThrow(/model\.dropout is 0\.1/);
    const decoder = { type: 'Sequence', decoders: [{ type: 'Fuse' }, { type: 'Metaspace' }] };
    await expect(openTokenizer(source({ 'tokenizer.json': { ...tokenizerJson, decoder } }))).rejects.toThrow(
      /decoder "Metaspace" after Fuse/,
    );
    const regex = { type: 'Split', pattern: { Regex: '(?<=a+)b(' }, behavior: 'Isolated' };
    await expect(
      openTokenizer(source({ 'tokenizer.json': { ...tokenizerJson, pre_tokenizer: regex } })),
    ).rejects.toThrow(/the expression .* cannot be used/);
  });
});
