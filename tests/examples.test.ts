// The programs in examples/ run on the sources, with a tiny random model that has a tokenizer.

import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { openCpuDevice } from '../src/device/cpu/device.ts';
import { tinyChatModel } from './tiny-chat.ts';

/** Plain TypeScript takes minutes to train. */
const native = (() => {
  try {
    openCpuDevice().dispose();
    return true;
  } catch {
    return false;
  }
})();
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

it.skipIf(!native)('gpt.ts learns letters, shows how far it is, and draws its loss', async () => {
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

it('kernels.ts: ten recipes', async () => {
  const lines = (await run('kernels.ts')).trim().split('\n');
  expect(lines.map((l) => l.split(' ')[0])).toEqual(['1', '2', '3', '4', '5', '6', '7', '8', '9', '10']);
  expect(lines[0]).toBe('1 mish: -0.253 -0.221 0 0.865 1.944 2.987 | -0.108 0.29 0.6 1.049 1.069 1.021');
  expect(lines[3]).toBe('4 rounded: -2 -0.5 0 1 2 3 | -4 -1 0 2 4 6');
  expect(lines[4]).toBe('5 logSumExp: 0.555 3.408');
  expect(lines[6]).toBe('7 reversed: 0 -0.5 -2 3 2 1');
  expect(lines[7]).toBe('8 programs: 1, rows alike: 2,3');
  expect(lines[9]).toBe('10 measured: plain, mish');
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
    'kernels.ts',
    'logistic.ts',
    'tokens.ts',
    'web',
  ];
  expect(readdirSync('examples').sort()).toEqual(tested);
});
