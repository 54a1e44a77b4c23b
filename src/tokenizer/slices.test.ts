// Sliced encoding gives the ids of the whole text, whatever the text and the way a tokenizer cuts.

import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { findLocal } from '../hub/resolve.ts';
import { openCheckpoint } from '../weights/open.ts';
import { tokenizerFromGguf } from './gguf.ts';
import { openTokenizer } from './open.ts';
import { encodeInSlices } from './slices.ts';
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

const path = await findLocal('smollm2:135m');
const real = async (): Promise<Tokenizer> => {
  const checkpoint = await openCheckpoint(path ?? '');
  const tokenizer = await openTokenizer(checkpoint);
  await checkpoint.close();
  if (!tokenizer) throw new Error('no tokenizer');
  return tokenizer;
};

/** Texts as prompts are: words, code, other scripts, markers of turns, white space and odd characters. */
const piece = fc.oneof(
  { weight: 6, arbitrary: fc.stringMatching(/^[a-z]{1,9}$/).map((word) => ` ${word}`) },
  fc.constantFrom(
    ". It's",
    ', we’re',
    '\n\n',
    '  \t',
    '(x) => {',
    '};\n',
    '“So”',
    '1234.5',
    '汉字，句子。',
    'ไทย',
    'é',
    'Да! ',
  ),
  fc.constantFrom(
    '<|im_start|>user\n',
    '<|im_end|>\n',
    '<think>',
    '</s>',
    '👩‍👧',
    '\ud83d',
    'नमस्ते ',
    "rock'n'roll",
  ),
  fc.string({ unit: 'binary', maxLength: 6 }),
);
const text = fc.array(piece, { minLength: 150, maxLength: 500 }).map((parts) => parts.join(''));

const kinds: [string, () => Tokenizer | Promise<Tokenizer>, boolean][] = [
  ['GPT-2 words', () => byteLevel('gpt-2'), false],
  ['Llama 3 words', () => byteLevel('llama-bpe'), false],
  ['Qwen 2 words', () => byteLevel('qwen2'), false],
  ['GPT-4o words', () => byteLevel('gpt-4o'), false],
  ['SentencePiece', sentencePiece, false],
  [
    `SmolLM2${path === undefined ? ' (skipped: smollm2:135m is not in the Hugging Face cache)' : ''}`,
    real,
    path === undefined,
  ],
];

describe.each(kinds)('%s', (_, open, skipped) => {
  test.skipIf(skipped)('pieces have the ids of the whole', async () => {
    const tokenizer = await open();
    await fc.assert(
      fc.asyncProperty(text, fc.boolean(), async (sample, addSpecial) => {
        const sliced = await encodeInSlices(tokenizer, sample, { addSpecial });
        expect(sliced).toEqual(tokenizer.encode(sample, { addSpecial }));
      }),
      { numRuns: 60 },
    );
  });
});

test('a long text lets timers run, and an abort ends it', async () => {
  const tokenizer = byteLevel('llama-bpe');
  const long = 'some ordinary words, and more of them. '.repeat(5000);
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  await encodeInSlices(tokenizer, long);
  clearInterval(timer);
  expect(ticks).toBeGreaterThan(5);
  const reason = new Error('enough');
  await expect(encodeInSlices(tokenizer, long, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
});

test('a run of letters without end is cut and keeps its text', async () => {
  const tokenizer = byteLevel('llama-bpe');
  const run = 'abcdefghij'.repeat(2000);
  expect(tokenizer.decode(await encodeInSlices(tokenizer, run))).toBe(run);
});
