import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { spell } from './byte-alphabet.ts';
import { tokenizerFiles, tokenizerFromGguf } from './gguf.ts';
import { tokenizerDocument } from './open.ts';
import { ggufTokenizer } from './to-gguf.ts';

/** A byte-level tokenizer.json of all bytes, a few merges and two special tokens. */
function tokenizerJson(
  preTokenizer: object = { type: 'ByteLevel', add_prefix_space: false, use_regex: true },
) {
  const bytes = Array.from({ length: 256 }, (_, i) => spell(String.fromCharCode(i < 128 ? i : 0))).filter(
    (token, i, all) => all.indexOf(token) === i,
  );
  const merges = ['t h', 'th e', 'Ġ the'];
  const words = ['<|end|>', ...bytes, 'th', 'the', 'Ġthe'];
  return {
    added_tokens: [
      { id: 0, content: '<|end|>', special: true },
      { id: words.length, content: '<tool>', special: false },
    ],
    normalizer: null,
    pre_tokenizer: preTokenizer,
    post_processor: null,
    decoder: { type: 'ByteLevel' },
    model: { type: 'BPE', vocab: Object.fromEntries(words.map((word, id) => [word, id])), merges },
  };
}
const config = { eos_token: '<|end|>', bos_token: { content: '<|end|>' } };

describe('tokenizer.json as GGUF metadata', () => {
  it('is the same tokenizer', () => {
    const spec = tokenizerJson();
    const size = Object.keys(spec.model.vocab).length + 3;
    const metadata = new Map<string, unknown>(Object.entries(ggufTokenizer(spec, config, size, 't.json')));
    expect(metadata.get('tokenizer.ggml.pre')).toBe('gpt-2');
    expect(metadata.get('tokenizer.ggml.eos_token_id')).toBe(0);
    const types = metadata.get('tokenizer.ggml.token_type') as Int32Array;
    expect([...types.slice(0, 2), ...types.slice(-3)]).toEqual([3, 1, 4, 5, 5]);
    const tokenizer = tokenizerFromGguf(metadata, 'x.gguf') ?? expect.fail('none');
    const { vocab } = spec.model;
    expect(tokenizer.encode('the the<tool>')).toEqual([vocab.the, vocab.Ġthe, size - 3]);
  });

  it('and back', () => {
    const metadata = new Map<string, unknown>(
      Object.entries(ggufTokenizer(tokenizerJson(), config, 0, 't.json')),
    );
    const back = tokenizerFiles(metadata, 'x.gguf') ?? expect.fail('none');
    const again = ggufTokenizer(back.tokenizer, back.config as Record<string, unknown>, 0, 'b.json');
    expect(new Map(Object.entries(again))).toEqual(metadata);
  });

  it('and back as the library tokenizers reads it', () => {
    const keys = ggufTokenizer(tokenizerJson(), config, 0, 't.json');
    const merges = [...(keys['tokenizer.ggml.merges'] as string[]), 'x nowhere'];
    const metadata = new Map<string, unknown>(Object.entries({ ...keys, 'tokenizer.ggml.merges': merges }));
    const { tokenizer } = tokenizerFiles(metadata, 'x.gguf') ?? expect.fail('none');
    const { added_tokens, decoder, model } = tokenizer as ReturnType<typeof tokenizerJson>;
    expect(added_tokens[0]).toEqual({
      id: 0,
      content: '<|end|>',
      special: true,
      normalized: false,
      single_word: false,
      lstrip: false,
      rstrip: false,
    });
    expect(decoder).toMatchObject({ add_prefix_space: false, trim_offsets: true, use_regex: false });
    expect(model.vocab['<|end|>']).toBe(0); // or the library would number it anew
    expect(model.merges).toEqual(['t h', 'th e', 'Ġ the']);
  });

  it('is refused where GGUF has no such thing', () => {
    const split = { type: 'Split', pattern: { Regex: 'x+' }, behavior: 'Isolated', invert: false };
    expect(() => ggufTokenizer(tokenizerJson(split), config, 0, 't.json')).toThrow(
      't.json: GGUF has no name for the way this tokenizer cuts text',
    );
    const pieces = (change: object, model: object) => {
      const json = tokenizerJson({ type: 'Metaspace', replacement: '\u2581', split: false });
      return {
        ...json,
        decoder: { type: 'Metaspace' },
        ...change,
        model: { ...json.model, byte_fallback: true, ...model },
      };
    };
    const refused = (change: object, model: object, why: string) =>
      expect(() => ggufTokenizer(pieces(change, model), config, 0, 't.json')).toThrow(why);
    refused({}, { type: 'WordPiece', vocab: {} }, 't.json: is a WordPiece tokenizer');
    refused({}, { byte_fallback: false }, 'is BPE without bytes');
    refused({ normalizer: { type: 'NFKC' } }, {}, 'normalises texts (NFKC)');
    refused({ pre_tokenizer: { type: 'Metaspace', replacement: '\u2581' } }, {}, 'cuts texts (Metaspace)');
  });

  const models = JSON.parse(
    readFileSync(new URL('../../tests/goldens/tokenizer/pieces.json', import.meta.url), 'utf8'),
  ).models as { name: string; file: string; cases: { text: string; ids: number[] }[] }[];

  it.each(['bpe', 'bpe-no-prefix', 'bpe-runs'])(
    'of a model of SentencePiece is the same tokenizer: %s',
    async (name) => {
      const { file, cases } = models.find((model) => model.name === name) ?? expect.fail(name);
      const found = await tokenizerDocument({
        path: 'folder',
        readFile: async (asked) =>
          asked === 'tokenizer.model' ? new Uint8Array(Buffer.from(file, 'base64')) : undefined,
      });
      const ends = { bos_token: '<s>', eos_token: '</s>' };
      const keys = ggufTokenizer(found?.document, ends, 0, 'tokenizer.model');
      expect(keys).toMatchObject({
        'tokenizer.ggml.model': 'llama',
        'tokenizer.ggml.add_space_prefix': name === 'bpe',
        'tokenizer.ggml.add_bos_token': true,
        'tokenizer.ggml.add_eos_token': false,
        'tokenizer.ggml.bos_token_id': 1,
      });
      const types = keys['tokenizer.ggml.token_type'] as Int32Array;
      expect([...types.slice(0, 3)]).toEqual([2, 3, 3]);
      expect(types.filter((type) => type === 6)).toHaveLength(256);
      const tokenizer = tokenizerFromGguf(new Map<string, unknown>(Object.entries(keys)), 'x.gguf');
      for (const { text, ids } of cases)
        expect(tokenizer?.encode(text, { addSpecial: false }), JSON.stringify(text)).toEqual(ids);
    },
  );

  it.each(['unigram', 'unigram-bytes'])('of a Unigram model is the same tokenizer: %s', async (name) => {
    const { file, cases } = models.find((model) => model.name === name) ?? expect.fail(name);
    const found = await tokenizerDocument({
      path: 'folder',
      readFile: async (asked) =>
        asked === 'tokenizer.model' ? new Uint8Array(Buffer.from(file, 'base64')) : undefined,
    });
    const keys = ggufTokenizer(found?.document, { eos_token: '</s>' }, 400, 'tokenizer.model');
    expect(keys['tokenizer.ggml.model']).toBe('t5');
    expect(keys).toHaveProperty(['tokenizer.ggml.tokens', 'length'], 400);
    const metadata = new Map<string, unknown>(Object.entries(keys));
    const tokenizer = tokenizerFromGguf(metadata, 'x.gguf') ?? expect.fail('none');
    for (const { text, ids } of cases) {
      expect(tokenizer.encode(text, { addSpecial: false }), JSON.stringify(text)).toEqual(ids);
      expect(tokenizer.encode(text)).toEqual([...ids, keys['tokenizer.ggml.eos_token_id']]);
    }
    const back = tokenizerFiles(metadata, 'x.gguf') ?? expect.fail('none');
    const again = ggufTokenizer(back.tokenizer, back.config as Record<string, unknown>, 400, 'b.json');
    expect(new Map(Object.entries(again))).toEqual(metadata);
  });

  describe('of a Unigram tokenizer.json', () => {
    const vocab = [
      ['<unk>', 0],
      ['\u2581', -2],
      ['a', -3],
      ['\u2581a', -1.5],
      ['b', -3.5],
    ];
    const unigram = (normalizer: object | null, cut: object | null, tokens = vocab) => ({
      added_tokens: [{ id: 0, content: '<unk>', special: true }],
      normalizer,
      pre_tokenizer: cut,
      post_processor: null,
      decoder: { type: 'Metaspace', replacement: '\u2581', prepend_scheme: 'always' },
      model: { type: 'Unigram', unk_id: 0, byte_fallback: false, vocab: tokens },
    });
    const always = { type: 'Metaspace', replacement: '\u2581', prepend_scheme: 'always', split: true };
    const runs = { type: 'Replace', pattern: { Regex: ' {2,}' }, content: '\u2581' };
    const right = { type: 'Strip', strip_left: false, strip_right: true };
    const keysOf = (json: object) => ggufTokenizer(json, {}, 0, 't.json');

    it('says what happens to spaces', () => {
      const spaces = (json: object) => {
        const keys = keysOf(json);
        return [keys['tokenizer.ggml.add_space_prefix'], keys['tokenizer.ggml.remove_extra_whitespaces']];
      };
      expect(spaces(unigram(null, always))).toEqual([true, false]);
      expect(spaces(unigram(null, { ...always, prepend_scheme: 'never' }))).toEqual([false, false]);
      const strips = { type: 'Sequence', normalizers: [right, runs] };
      expect(spaces(unigram(strips, always))).toEqual([true, true]);
      const tokenizer = tokenizerFromGguf(
        new Map<string, unknown>(Object.entries(keysOf(unigram(strips, always)))),
        'x.gguf',
      );
      expect(tokenizer?.encode('  a   ab ')).toEqual([3, 3, 4]);
    });

    it.each([
      [unigram({ type: 'NFKC' }, always), 'normalises texts (NFKC)'],
      [unigram(runs, always), 'removes spaces in some places only'],
      [unigram(null, { type: 'WhitespaceSplit' }), 'cuts texts (WhitespaceSplit)'],
      [unigram(null, always, [...vocab, ['a\u2581b', -4]]), 'cuts texts within tokens'],
      [
        { ...unigram(null, always), model: { type: 'Unigram', vocab, unk_id: null } },
        'without an unknown token',
      ],
    ])('is refused where GGUF has no such thing: %#', (json, why) => {
      expect(() => keysOf(json)).toThrow(
        `t.json: ${why.startsWith('without') ? 'is a Unigram tokenizer ' : ''}${why}`,
      );
    });
  });

  it.each([
    ['Gemma with marks in its runs of spaces', (piece: string) => piece],
    ['Gemma with spaces', (piece: string) => (/^\u2581{2,}$/.test(piece) ? ' '.repeat(piece.length) : piece)],
  ])('a GGUF file of %s', async (_, written) => {
    const { file, cases } = models.find(({ name }) => name === 'bpe-runs') ?? expect.fail();
    const found = await tokenizerDocument({
      path: 'folder',
      readFile: async (asked) =>
        asked === 'tokenizer.model' ? new Uint8Array(Buffer.from(file, 'base64')) : undefined,
    });
    const keys = ggufTokenizer(found?.document, {}, 0, 'tokenizer.model');
    const tokens = keys['tokenizer.ggml.tokens'] as string[];
    const types = keys['tokenizer.ggml.token_type'] as Int32Array;
    const { 'tokenizer.ggml.add_space_prefix': __, ...rest } = keys;
    const metadata = new Map<string, unknown>([
      ...Object.entries(rest),
      ['general.architecture', 'gemma3'],
      ['tokenizer.ggml.tokens', tokens.map(written)],
      [
        'tokenizer.ggml.token_type',
        types.map((type, id) => (/^\u2581{2,}$/.test(tokens[id] ?? '') ? 4 : type)),
      ],
    ]);
    const tokenizer = tokenizerFromGguf(metadata, 'x.gguf');
    for (const { text, ids } of cases) {
      expect(tokenizer?.encode(text, { addSpecial: false }), JSON.stringify(text)).toEqual(ids);
      expect(tokenizer?.decode(ids)).toBe(text);
    }
  });
});
