// The programs in examples/ run on the sources, with a tiny random model that has a tokenizer.

import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { metadataOf, modelFile } from '../bench/model-file.ts';
import type { BenchShape } from '../bench/shapes.ts';

const shape: BenchShape = {
  name: 'tiny',
  description: 'for tests',
  architecture: 'llama',
  layers: 2,
  hidden: 64,
  heads: 2,
  kvHeads: 1,
  headDim: 32,
  inner: 128,
  vocab: 512,
  tied: true,
  ropeBase: 10_000,
};
// ChatML, like the default model.
const chatTemplate =
  "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}<|im_start|>assistant\\n";

let folder: string;
let model: string;
let printed = '';
const argv = process.argv;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ingot-examples-'));
  model = await modelFile(shape, folder, {
    ...metadataOf(shape),
    'tokenizer.chat_template': chatTemplate,
  });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeEach(() => {
  printed = '';
  const keep = (text: unknown): boolean => {
    printed += String(text);
    return true;
  };
  vi.spyOn(process.stdout, 'write').mockImplementation(keep);
  vi.spyOn(console, 'log').mockImplementation((...values: unknown[]) => void keep(`${values.join(' ')}\n`));
});
afterEach(() => {
  vi.restoreAllMocks();
  process.argv = argv;
});

/** Runs examples/NAME with `args` and returns what it prints. */
async function run(name: string, ...args: string[]): Promise<string> {
  process.argv = ['node', name, ...args];
  await import(new URL(`../examples/${name}`, import.meta.url).href);
  return printed;
}

it('chat.ts streams an answer and its statistics', async () => {
  expect(await run('chat.ts', model, 'Hello')).toMatch(/\n\[\d+ tokens, \d+\/s, (length|eos)\]\n$/);
});

it('ai-sdk.ts streams an answer and counts its tokens', async () => {
  expect(await run('ai-sdk.ts', model, 'Hello')).toMatch(/\n\[\d+ tokens in, \d+ out, (length|stop)\]\n$/);
});

it('tokens.ts: greedy tokens are the most likely ones and agree with the logits', async () => {
  const text = await run('tokens.ts', model);
  const chosen = [...text.matchAll(/^ {2}(\d+) at -?[\d.]+, most likely (\d+)/gm)];
  expect(chosen).toHaveLength(5);
  for (const [, id, top] of chosen) expect(top).toBe(id);
  expect(/argmax of the last row (\d+)/.exec(text)?.[1]).toBe(chosen[0]?.[1]);
});

it('arrays.ts computes what it says', async () => {
  const text = await run('arrays.ts');
  expect(text).toContain('centred rows -0.5,0,0.5,-0.5,0,0.5');
  expect(text).toContain('factor 0: 0.500 0.500 0.500 0.500');
  // Rows [1,2,3] and [3,2,1] give [4,5] and [4,3]: softmax of a difference of one, then of ten.
  expect(text).toContain('factor 1: 0.269 0.731 0.731 0.269');
  expect(text).toContain('factor 10: 0.000 1.000 1.000 0.000');
});

it('has a test for every example', () => {
  expect(readdirSync('examples').sort()).toEqual(['ai-sdk.ts', 'arrays.ts', 'chat.ts', 'tokens.ts']);
});
