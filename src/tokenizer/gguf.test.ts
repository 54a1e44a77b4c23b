import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { IngotError } from '../base/errors.ts';
import { tokenizerFromGguf } from './gguf.ts';
import type { Tokenizer } from './tokenizer.ts';

const golden = (name: string) =>
  JSON.parse(readFileSync(new URL(`../../tests/goldens/tokenizer/${name}.json`, import.meta.url), 'utf8'));

interface ByteLevelGolden {
  tokens: string[];
  tokenTypes: number[];
  merges: string[];
  texts: string[];
  ids: Record<string, number[][]>;
}
interface SentencePieceGolden {
  tokens: string[];
  scores: number[];
  tokenTypes: number[];
  bos: number;
  eos: number;
  unk: number;
  cases: { text: string; ids: number[]; decoded: string }[];
}

const bytes = golden('byte-level') as ByteLevelGolden;
const pieces = golden('sentencepiece') as SentencePieceGolden;

function byteLevel(pre: string | undefined, more: Record<string, unknown> = {}): Tokenizer {
  const metadata = new Map<string, unknown>([
    ['tokenizer.ggml.model', 'gpt2'],
    ['tokenizer.ggml.tokens', bytes.tokens],
    ['tokenizer.ggml.token_type', Int32Array.from(bytes.tokenTypes)],
    ['tokenizer.ggml.merges', bytes.merges],
    ['tokenizer.ggml.bos_token_id', 1],
    ['tokenizer.ggml.eos_token_id', 2],
    ['tokenizer.ggml.add_bos_token', false],
    ...Object.entries(more),
  ]);
  if (pre !== undefined) metadata.set('tokenizer.ggml.pre', pre);
  const tokenizer = tokenizerFromGguf(metadata, 'tiny.gguf');
  if (!tokenizer) throw new Error('no tokenizer');
  return tokenizer;
}

function sentencePiece(more: Record<string, unknown> = {}): Tokenizer {
  const tokenizer = tokenizerFromGguf(
    new Map<string, unknown>([
      ['tokenizer.ggml.model', 'llama'],
      ['tokenizer.ggml.tokens', pieces.tokens],
      ['tokenizer.ggml.scores', Float32Array.from(pieces.scores)],
      ['tokenizer.ggml.token_type', pieces.tokenTypes],
      ['tokenizer.ggml.bos_token_id', pieces.bos],
      ['tokenizer.ggml.eos_token_id', BigInt(pieces.eos)],
      ['tokenizer.ggml.unknown_token_id', pieces.unk],
      ...Object.entries(more),
    ]),
    'tiny.gguf',
  );
  if (!tokenizer) throw new Error('no tokenizer');
  return tokenizer;
}

describe('byte-level BPE', () => {
  test.each(Object.keys(bytes.ids))('cuts and merges as the reference does under "%s"', (pre) => {
    const tokenizer = byteLevel(pre);
    const wrong = bytes.texts
      .map((text, i) => ({ text, want: bytes.ids[pre]?.[i], got: tokenizer.encode(text) }))
      .filter(({ want, got }) => JSON.stringify(want) !== JSON.stringify(got));
    expect(wrong).toEqual([]);
  });

  test('a file without a rule uses the default one', () => {
    const tokenizer = byteLevel(undefined);
    expect(bytes.texts.map((text) => tokenizer.encode(text))).toEqual(bytes.ids.default);
  });

  test('an unknown rule is refused with the list of known ones', () => {
    expect(() => byteLevel('from-the-future')).toThrow(
      /tokenizer\.ggml\.pre: "from-the-future".*llama-bpe.*token ids/s,
    );
  });

  test('knows its special tokens', () => {
    const tokenizer = byteLevel('smollm');
    expect(tokenizer.eosIds).toEqual([2, 0]);
    expect([tokenizer.bosId, tokenizer.bosToken, tokenizer.eosToken]).toEqual([
      1,
      '<|im_start|>',
      '<|im_end|>',
    ]);
    expect([...tokenizer.specialIds]).toEqual([0, 1, 2]);
    expect(tokenizer.encode('a<|im_end|>b')).toContain(2);
    expect(tokenizer.decode(tokenizer.encode('a<|im_end|>b'))).toBe('ab');
    expect(tokenizer.decode(tokenizer.encode('a<|im_end|>b'), { skipSpecial: false })).toBe('a<|im_end|>b');
  });

  test('adds BOS and EOS as the file says, and not when the caller says no', () => {
    const both = byteLevel('smollm', {
      'tokenizer.ggml.add_bos_token': true,
      'tokenizer.ggml.add_eos_token': true,
    });
    expect([both.encode('a').at(0), both.encode('a').at(-1)]).toEqual([1, 2]);
    expect(both.encode('a', { addSpecial: false })).toHaveLength(1);
    expect(both.encode('')).toEqual([1, 2]);
    expect(both.encode('', { addSpecial: false })).toEqual([]);
    const unsaid = byteLevel('llama-bpe', { 'tokenizer.ggml.add_bos_token': undefined });
    expect(unsaid.encode('a')[0]).toBe(1);
  });
});

describe('SentencePiece BPE', () => {
  test('gives the ids and texts of the sentencepiece library', () => {
    const tokenizer = sentencePiece({ 'tokenizer.ggml.add_bos_token': false });
    const wrong = pieces.cases
      .map((c) => ({ ...c, got: tokenizer.encode(c.text), text2: tokenizer.decode(c.ids) }))
      .filter((c) => JSON.stringify(c.ids) !== JSON.stringify(c.got) || c.decoded !== c.text2);
    expect(wrong).toEqual([]);
  });

  test('adds BOS unless the file says otherwise', () => {
    expect(sentencePiece().encode('a')[0]).toBe(pieces.bos);
    expect(sentencePiece({ 'tokenizer.ggml.add_bos_token': false }).encode('a')[0]).not.toBe(pieces.bos);
  });

  test('the unknown token is special: not part of a text', () => {
    const tokenizer = sentencePiece();
    expect(tokenizer.specialIds).toContain(pieces.unk);
    expect(tokenizer.decode([pieces.unk, ...tokenizer.encode('a', { addSpecial: false })])).toBe('a');
    expect(tokenizer.encode('<unk>', { addSpecial: false })).toEqual([pieces.unk]);
  });

  test('drops one leading space of a text, and keeps it when the text goes on', () => {
    const tokenizer = sentencePiece({ 'tokenizer.ggml.add_bos_token': false });
    const ids = tokenizer.encode('the dog');
    expect(tokenizer.decode(ids)).toBe('the dog');
    const stream = tokenizer.stream({ continuation: true });
    expect(ids.map((id) => stream.push(id)).join('') + stream.end()).toBe(' the dog');
  });

  test('without a space prefix nothing is added or dropped', () => {
    const tokenizer = sentencePiece({
      'tokenizer.ggml.add_space_prefix': false,
      'tokenizer.ggml.add_bos_token': false,
    });
    for (const text of ['the dog', ' the dog', '  '])
      expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
  });
});

describe('both kinds', () => {
  const tokenizers = { 'byte-level': byteLevel('qwen2'), sentencepiece: sentencePiece() };
  for (const [kind, tokenizer] of Object.entries(tokenizers)) {
    test(`${kind}: a stream joined is the decoded list, for any ids`, () => {
      const id = fc.integer({ min: 0, max: tokenizer.vocabSize + 5 });
      fc.assert(
        fc.property(fc.array(id, { maxLength: 40 }), fc.boolean(), (ids, skipSpecial) => {
          const stream = tokenizer.stream({ skipSpecial });
          const streamed = ids.map((each) => stream.push(each)).join('') + stream.end();
          expect(streamed).toBe(tokenizer.decode(ids, { skipSpecial }));
        }),
        { numRuns: 500 },
      );
    });

    test(`${kind}: any text comes back, and no part of a stream ends inside a character`, () => {
      fc.assert(
        fc.property(fc.string({ unit: 'binary', maxLength: 30 }), (text) => {
          // NFC is part of this rule, and U+2581 is how SentencePiece writes a space.
          const expected = text
            .normalize('NFC')
            .replaceAll('\u2581', kind === 'sentencepiece' ? ' ' : '\u2581');
          const source = kind === 'sentencepiece' ? expected : text;
          const ids = tokenizer.encode(source, { addSpecial: false });
          const stream = tokenizer.stream({ skipSpecial: false });
          const parts = ids.map((id) => stream.push(id));
          expect(parts.join('') + stream.end()).toBe(expected);
          if (!source.includes('\ufffd')) expect(parts.join('')).not.toContain('\ufffd');
          for (const part of parts) expect(part).not.toMatch(/\p{Surrogate}/u);
        }),
        { numRuns: 300 },
      );
    });
  }

  test('an incomplete character is held back and only shown as U+FFFD at the end', () => {
    const tokenizer = byteLevel('smollm');
    const ids = tokenizer.encode('\u{1F600}');
    expect(ids.length).toBeGreaterThan(1);
    const stream = tokenizer.stream();
    const parts = ids.slice(0, -1).map((id) => stream.push(id));
    expect(parts.join('')).toBe('');
    expect(stream.end()).toBe('\ufffd');
    expect(ids.map((id) => stream.push(id)).join('')).toBe('\u{1F600}');
  });

  test('an impossible id is named', () => {
    for (const id of [-1, 1.5, Number.NaN]) {
      expect(() => byteLevel('smollm').decode([id])).toThrow(`token id ${id} is not`);
    }
  });
});

describe('bad metadata', () => {
  const base: [string, unknown][] = [
    ['tokenizer.ggml.model', 'gpt2'],
    ['tokenizer.ggml.tokens', ['a', 'b']],
    ['tokenizer.ggml.merges', []],
  ];
  const build = (...changes: [string, unknown][]) =>
    tokenizerFromGguf(new Map([...base, ...changes]), 'bad.gguf');

  test('no tokenizer at all is no error', () => {
    expect(tokenizerFromGguf(new Map(), 'x.gguf')).toBeUndefined();
    expect(build(['tokenizer.ggml.model', 'none'])).toBeUndefined();
  });

  test.each([
    [
      'tokens of the wrong type',
      ['tokenizer.ggml.tokens', [1, 2]],
      /bad\.gguf: tokenizer\.ggml\.tokens: is not an array of strings/,
    ],
    ['missing tokens', ['tokenizer.ggml.tokens', undefined], /tokenizer\.ggml\.tokens: is missing/],
    ['missing merges', ['tokenizer.ggml.merges', undefined], /tokenizer\.ggml\.merges: is missing/],
    ['types of another length', ['tokenizer.ggml.token_type', [1]], /token_type: has 1 entries for 2 tokens/],
    ['a model that is a number', ['tokenizer.ggml.model', 7], /tokenizer\.ggml\.model: is not a string/],
    ['an unknown model', ['tokenizer.ggml.model', 'rwkv'], /"rwkv" is not supported.*token ids/],
    ['SentencePiece without scores', ['tokenizer.ggml.model', 'llama'], /merges|scores/],
  ] as [string, [string, unknown], RegExp][])('%s', (name, change, message) => {
    const extra: [string, unknown][] = name.includes('scores') ? [['tokenizer.ggml.merges', undefined]] : [];
    expect(() => build(change, ...extra)).toThrow(message);
  });

  test('any metadata gives a tokenizer, none, or an error with a code', () => {
    const token = fc.oneof(
      fc.string({ maxLength: 6 }),
      fc.constantFrom('a', 'b', 'ab', '\u2581', '<0x61>', '__proto__'),
    );
    const value = fc.oneof(
      fc.array(token, { maxLength: 12 }),
      fc.array(fc.oneof(fc.double(), fc.integer({ min: -2, max: 8 })), { maxLength: 12 }),
      fc.float32Array({ maxLength: 12 }),
      fc.constantFrom<unknown>('gpt2', 'llama', 'qwen2', true, 0, 3, 2 ** 32, 7n, null, undefined),
    );
    const names = [
      'model',
      'pre',
      'tokens',
      'merges',
      'scores',
      'token_type',
      'bos_token_id',
      'unknown_token_id',
      'add_bos_token',
    ];
    const usual: Record<string, fc.Arbitrary<unknown>> = {
      model: fc.constantFrom('gpt2', 'llama'),
      tokens: fc.array(token, { minLength: 1, maxLength: 12 }),
    };
    const metadata = fc.record(
      Object.fromEntries(
        names.map((name) => [`tokenizer.ggml.${name}`, fc.oneof(usual[name] ?? value, value)]),
      ),
      { requiredKeys: ['tokenizer.ggml.model', 'tokenizer.ggml.tokens'] },
    );
    fc.assert(
      fc.property(metadata, (values) => {
        try {
          const tokenizer = tokenizerFromGguf(new Map(Object.entries(values)), 'fuzz.gguf');
          const ids = tokenizer?.encode('ab abc') ?? [];
          expect(typeof tokenizer?.decode(ids)).toBe(tokenizer ? 'string' : 'undefined');
        } catch (error) {
          expect(error).toBeInstanceOf(IngotError);
        }
      }),
      { numRuns: 2000 },
    );
  });

  test('scores that are no numbers and tokens of a megabyte do not hang it', () => {
    const tokens = ['a', 'b', 'ab', 'x'.repeat(1 << 20)];
    const tokenizer = build(
      ['tokenizer.ggml.model', 'llama'],
      ['tokenizer.ggml.tokens', tokens],
      ['tokenizer.ggml.merges', undefined],
      ['tokenizer.ggml.scores', [Number.NaN, Number.NaN, Number.NaN, Number.NaN]],
      ['tokenizer.ggml.add_space_prefix', false],
    );
    expect(tokenizer?.encode('ab')).toEqual([2]);
  });

  test('merges of tokens that are not there are passed over, as llama.cpp does', () => {
    const merges = ['b c', 'a b', 'x y'];
    const tokenizer = build(
      ['tokenizer.ggml.tokens', ['a', 'b', 'ab', 'c']],
      ['tokenizer.ggml.merges', merges],
    );
    expect(tokenizer?.encode('abc')).toEqual([2, 3]);
  });

  test('ids out of range count as absent', () => {
    const tokenizer = build(['tokenizer.ggml.bos_token_id', 4294967295], ['tokenizer.ggml.eos_token_id', -1]);
    expect([tokenizer?.bosId, tokenizer?.eosIds]).toEqual([undefined, []]);
  });
});
