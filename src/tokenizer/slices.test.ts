// Encoding in steps: pauses, limits, and special tokens that are text in some places. That long texts have the ids of the
// reference is in components.test.ts.

import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { tokenizerFromGguf } from './gguf.ts';
import { openTokenizer } from './open.ts';
import { encodeInSlices, fewestTokens } from './slices.ts';
import type { Tokenizer } from './tokenizer.ts';

const golden = (name: string) =>
  JSON.parse(readFileSync(new URL(`../../tests/goldens/tokenizer/${name}.json`, import.meta.url), 'utf8'));

function make(metadata: Record<string, unknown>): Tokenizer {
  const prefixed = Object.entries(metadata).map(([key, value]) => [`tokenizer.ggml.${key}`, value] as const);
  const tokenizer = tokenizerFromGguf(new Map(prefixed), 'tiny.gguf');
  if (!tokenizer) throw new Error('no tokenizer');
  return tokenizer;
}

const byteLevel = (pre: string): Tokenizer => {
  const { tokens, tokenTypes, merges } = golden('byte-level');
  const ids = { bos_token_id: 1, eos_token_id: 2, add_bos_token: true };
  return make({ model: 'gpt2', pre, tokens, token_type: tokenTypes, merges, ...ids });
};

const sentencePiece = (): Tokenizer => {
  const { tokens, scores, tokenTypes, bos, eos, unk } = golden('sentencepiece');
  const ids = { bos_token_id: bos, eos_token_id: eos, unknown_token_id: unk };
  return make({ model: 'llama', tokens, scores: Float32Array.from(scores), token_type: tokenTypes, ...ids });
};

const upperCaseTag = async (): Promise<Tokenizer> => {
  const folder = new URL('../../tests/goldens/tokenizer/components.json', import.meta.url);
  const { tokenizers } = JSON.parse(readFileSync(folder, 'utf8'));
  const made = await openTokenizer({
    path: 'tiny',
    readFile: async (name) =>
      name === 'tokenizer.json'
        ? new TextEncoder().encode(JSON.stringify(tokenizers['added upper'].document))
        : undefined,
  });
  if (!made) throw new Error('no tokenizer');
  return made;
};

test('a long text lets timers run, and an abort ends it', async () => {
  const tokenizer = byteLevel('llama-bpe');
  const long = 'some ordinary words, and more of them. '.repeat(20_000);
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  await encodeInSlices(tokenizer, long);
  clearInterval(timer);
  expect(ticks).toBeGreaterThan(5);
  const reason = new Error('enough');
  await expect(encodeInSlices(tokenizer, long, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
});

describe.each([
  ['byte-level', () => byteLevel('qwen2')],
  ['SentencePiece', sentencePiece],
])('limits of %s', (_, open) => {
  const tokenizer = open();

  test('a text never has fewer tokens than its length says', () => {
    const piece = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('the ', '\u1112\u1161\u11ab', '\u03b1\u0313\u0300\u0345'),
    );
    fc.assert(
      fc.property(fc.array(piece), (pieces) => {
        const text = pieces.join('');
        expect(fewestTokens(tokenizer, text)).toBeLessThanOrEqual(
          tokenizer.encode(text, { addSpecial: false }).length,
        );
      }),
    );
  });

  test('no more of a text is encoded than up to a limit', async () => {
    expect(fewestTokens(tokenizer, 'a'.repeat(8 << 20))).toBeGreaterThan(1000);
    const words = 'zq '.repeat(200);
    const all = tokenizer.encode(words);
    expect(await encodeInSlices(tokenizer, words, { limit: all.length })).toEqual(all);
    const cut = await encodeInSlices(tokenizer, '<|im_end|>'.repeat(1000) + words.repeat(1000), {
      limit: 99,
    });
    expect(cut.length).toBeGreaterThan(99);
  });
});

describe('special tokens in a text', () => {
  const tokenizer = byteLevel('smollm');
  const text = 'a<|im_end|>b<|im_end|>c';

  test('are tokens, or text on demand', () => {
    const plain = { addSpecial: false };
    expect(tokenizer.encode(text, plain).filter((id) => id === 2)).toHaveLength(2);
    const asText = tokenizer.encode(text, { ...plain, specialTokens: 'text' });
    expect(asText).not.toContain(2);
    expect(tokenizer.decode(asText)).toBe(text);
  });

  test('are text in the parts that say so', async () => {
    const second = { from: text.lastIndexOf('<'), to: text.length };
    const ids = await encodeInSlices(tokenizer, text, { addSpecial: false, literal: [second] });
    expect(ids.filter((id) => id === 2)).toHaveLength(1);
    expect(tokenizer.decode(ids)).toBe('ab<|im_end|>c');
    // A marker that is only begun by such a part is no marker.
    const begun = { from: 0, to: text.indexOf('<') + 3 };
    expect(
      tokenizer.encode(text, { addSpecial: false, literal: [begun] }).filter((id) => id === 2),
    ).toHaveLength(1);
  });

  test('that are found after normalising keep their places', async () => {
    const upper = await upperCaseTag();
    const id = upper.idOf('TAG') ?? -1;
    const count = (literal: { from: number; to: number }[]) =>
      upper.encode('TAG b TAG', { addSpecial: false, literal }).filter((each) => each === id).length;
    expect([
      count([]),
      count([{ from: 0, to: 3 }]),
      count([{ from: 4, to: 5 }]),
      count([{ from: 0, to: 9 }]),
    ]).toEqual([2, 1, 2, 0]);
  });
});
