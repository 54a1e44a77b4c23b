// The real SmolLM2 tokenizer against its reference. Needs the model file: `ingot pull smollm2:135m` puts it where this looks.

import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { findLocal } from '../hub/resolve.ts';
import { openCheckpoint } from '../weights/open.ts';
import { openTokenizer } from './open.ts';
import type { Tokenizer } from './tokenizer.ts';

interface Golden {
  cases: { text: string; ids: number[]; decoded: string }[];
  decodes: { ids: number[]; text: string; plain: string }[];
}

const golden = JSON.parse(
  readFileSync(new URL('../../tests/goldens/tokenizer/smollm2.json', import.meta.url), 'utf8'),
) as Golden;
const path = await findLocal('smollm2:135m');
const reason = path === undefined ? ' (skipped: smollm2:135m is not in the Hugging Face cache)' : '';

describe.skipIf(path === undefined)(`SmolLM2 from GGUF${reason}`, () => {
  let tokenizer: Tokenizer;
  beforeAll(async () => {
    const checkpoint = await openCheckpoint(path ?? '');
    const made = await openTokenizer(checkpoint);
    if (!made) throw new Error('the file has no tokenizer');
    tokenizer = made;
    await checkpoint.close();
  });

  test('encodes every text as the reference does', () => {
    const wrong = golden.cases
      .map((each) => ({ ...each, got: tokenizer.encode(each.text) }))
      .filter(({ ids, got }) => JSON.stringify(ids) !== JSON.stringify(got));
    expect(wrong).toEqual([]);
  });

  test('decodes what it encoded, and random ids, as the reference does', () => {
    for (const { ids, decoded } of golden.cases) expect(tokenizer.decode(ids)).toBe(decoded);
    for (const { ids, text, plain } of golden.decodes) {
      expect(tokenizer.decode(ids, { skipSpecial: false })).toBe(text);
      expect(tokenizer.decode(ids)).toBe(plain);
    }
  });

  test('knows its ids and its template', () => {
    expect([tokenizer.vocabSize, tokenizer.bosId, tokenizer.eosIds]).toEqual([49152, 1, [2, 0]]);
    expect(tokenizer.chatTemplate).toContain('<|im_start|>');
  });
});
