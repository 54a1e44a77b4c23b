// The way from messages to token ids and back, on the real model file and its reference. Needs `ingot pull smollm2:135m`.

import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { findLocal } from '../hub/resolve.ts';
import { openTokenizer } from '../tokenizer/open.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { openCheckpoint } from '../weights/open.ts';
import { templateOf } from './template.ts';

interface GoldenPrompt {
  name: string;
  chat: boolean;
  text: string;
  rendered: string;
  tokens: number[];
  continuation: number[];
  continuationText: string;
}

const { prompts } = JSON.parse(
  readFileSync(new URL('../../tests/goldens/smollm2/golden.json', import.meta.url), 'utf8'),
) as { prompts: GoldenPrompt[] };
const path = await findLocal('smollm2:135m');
const reason = path === undefined ? ' (skipped: smollm2:135m is not in the Hugging Face cache)' : '';

describe.skipIf(path === undefined)(`SmolLM2 prompts${reason}`, () => {
  let tokenizer: Tokenizer;
  beforeAll(async () => {
    const checkpoint = await openCheckpoint(path ?? '');
    const opened = await openTokenizer(checkpoint);
    await checkpoint.close();
    if (!opened) throw new Error('the file has no tokenizer');
    tokenizer = opened;
  });

  test.each(prompts)('$name', ({ chat, text, rendered, tokens, continuation, continuationText }) => {
    const { bosToken, eosToken } = tokenizer;
    const prompt = chat
      ? templateOf(tokenizer).render([{ role: 'user', content: text }], { bosToken, eosToken })
      : text;
    expect(prompt).toBe(rendered);
    expect(tokenizer.encode(prompt, { addSpecial: !chat })).toEqual(tokens);
    const stream = tokenizer.stream({ continuation: true, skipSpecial: false });
    expect(continuation.map((id) => stream.push(id)).join('') + stream.end()).toBe(continuationText);
  });
});
