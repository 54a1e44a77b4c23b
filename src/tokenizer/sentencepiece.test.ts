// Folders whose tokenizer is a model of SentencePiece: ids and texts as its own library has them.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { openTokenizer } from './open.ts';

interface PieceGolden {
  readonly name: string;
  /** In base64. */
  readonly file: string;
  readonly cases: readonly {
    readonly text: string;
    readonly ids: readonly number[];
    readonly decoded: string;
  }[];
}

const path = new URL('../../tests/goldens/tokenizer/pieces.json', import.meta.url);
const { models } = JSON.parse(readFileSync(path, 'utf8')) as { readonly models: readonly PieceGolden[] };
const bytesOf = ({ file }: PieceGolden): Uint8Array => new Uint8Array(Buffer.from(file, 'base64'));
const [bpe = expect.fail('no golden')] = models;

const open = (files: Readonly<Record<string, Uint8Array | object>>) =>
  openTokenizer({
    path: 'folder',
    readFile: async (name) => {
      const file = files[name];
      return file instanceof Uint8Array || !file ? file : new TextEncoder().encode(JSON.stringify(file));
    },
  });

describe('a tokenizer.model', () => {
  it.each(models)('of $name', async (golden) => {
    const tokenizer = await open({ 'tokenizer.model': bytesOf(golden) });
    for (const { text, ids, decoded } of golden.cases) {
      const found = tokenizer?.encode(text, { addSpecial: false });
      expect(found, JSON.stringify(text)).toEqual(ids);
      // The library shows what it does not know as a sign of its own; here special tokens are left out of texts.
      if (!decoded.includes('\u2047')) expect(tokenizer?.decode(found ?? [])).toBe(decoded);
    }
  });

  it('begins and ends texts as the config says, and has the tokens that were added', async () => {
    const files = {
      'tokenizer.model': bytesOf(bpe),
      'tokenizer_config.json': {
        add_eos_token: true,
        eos_token: '<|end|>',
        chat_template: 'T',
        added_tokens_decoder: { 1000: { content: '<|end|>', special: true } },
      },
      'added_tokens.json': { '<tool>': 1001 },
    };
    const tokenizer = await open(files);
    const inner = tokenizer?.encode('the', { addSpecial: false }) ?? [];
    expect(tokenizer?.encode('the')).toEqual([1, ...inner, 2]);
    expect(tokenizer?.encode('<|end|><tool>', { addSpecial: false })).toEqual([1000, 1001]);
    expect(tokenizer?.eosIds).toEqual([1000]);
    expect(tokenizer?.chatTemplate).toBe('T');
    const plain = await open({ ...files, 'tokenizer_config.json': { add_bos_token: false } });
    expect(plain?.encode('the')).toEqual(inner);
  });

  it('is refused by name where it is something else, and damage is told', async () => {
    const whole = bytesOf(bpe);
    await expect(open({ 'tokenizer.model': whole.subarray(0, 500) })).rejects.toMatchObject({
      code: 'bad_file',
      message: expect.stringContaining('folder/tokenizer.model'),
    });
    await expect(open({ 'tokenizer.model': new Uint8Array(40).fill(255) })).rejects.toMatchObject({
      code: 'bad_file',
    });
    const tiktoken = new TextEncoder().encode('IQ== 0\nIg== 1\n');
    await expect(open({ 'tokenizer.model': tiktoken })).rejects.toThrow(/list of tiktoken.*AutoTokenizer/);
    await expect(open({ 'vocab.json': { a: 0 } })).rejects.toThrow(/vocab.json.*AutoTokenizer/);
  });
});
