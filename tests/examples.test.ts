// The programs in examples/ run on the sources, with a tiny random model that has a tokenizer.

import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { tinyChatModel } from './tiny-chat.ts';

let folder: string;
let model: string;
let printed = '';
const argv = process.argv;

beforeAll(async () => {
  ({ folder, path: model } = await tinyChatModel());
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

it('logistic.ts finds the line', async () => {
  const [, right, slope] = /right: ([\d.]+) %, slope ([\d.]+)/.exec(await run('logistic.ts', '60')) ?? [];
  expect(Number(right)).toBeGreaterThan(97);
  expect(Number(slope)).toBeCloseTo(0.67, 1);
});

it('digits.ts reads digits that it has not seen', async () => {
  const [, right] = /(\d+) of 500 new digits read right/.exec(await run('digits.ts', '300')) ?? [];
  expect(Number(right)).toBeGreaterThan(475);
});

it('gpt.ts learns letters, shows how far it is, and draws its loss', async () => {
  const svg = join(folder, 'loss.svg');
  const text = await run('gpt.ts', '40', '--svg', svg);
  const found = [...text.matchAll(/\[(#*)\.*\] step (\d+) of 40, loss ([\d.]+)/g)];
  expect(found.map(([, bar, at]) => [bar?.length, at])).toEqual([
    [5, '10'],
    [10, '20'],
    [15, '30'],
    [20, '40'],
  ]);
  expect(Number(found.at(-1)?.[3])).toBeLessThan(2.7); // letters by their frequency alone: 2.9
  expect(readFileSync(svg, 'utf8')).toMatch(/<polyline points="50.0,[\d.]+ .*<\/svg>/s);
});

it('has a test for every example', () => {
  // The page in examples/web is tested in tests/browser/web.test.ts.
  const tested = [
    'ai-sdk.ts',
    'arrays.ts',
    'chat.ts',
    'data',
    'digits.ts',
    'gpt.ts',
    'logistic.ts',
    'tokens.ts',
    'web',
  ];
  expect(readdirSync('examples').sort()).toEqual(tested);
});
