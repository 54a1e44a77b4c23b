// Masks of hard grammars over a vocabulary of the default model's size: made in slices, and the same as when made at once.

import { expect, test } from 'vitest';
import { vocabularyOf } from '../../testing/guided.ts';
import type { TokenConstraint } from '../constraint.ts';
import { compileConstraint } from './compile.ts';

/** SmolLM2's. */
const vocabSize = 49_152;
const letters = 'etaoinshrdlucmfwypvbgkjqxz';

function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return Math.floor((((state ^ (state >>> 15)) >>> 0) / 2 ** 32) * below);
  };
}

/** Words as such vocabularies have them: with and without a space, capitals, digits, runs of spaces, pieces of code. */
function words(): string[] {
  const next = random(1);
  const some = (from: string, length: number): string =>
    Array.from({ length }, () => from[Math.min(next(from.length), next(from.length))]).join('');
  const found = new Set<string>(Array.from({ length: 40 }, (_, i) => ' '.repeat(i + 2)));
  while (found.size < vocabSize - 257) {
    const word = some(letters, 2 + next(9));
    const kind = next(20);
    if (kind < 12) found.add(` ${word}`);
    else if (kind < 16) found.add(word);
    else if (kind < 18) found.add(word[0]?.toUpperCase() + word.slice(1));
    else if (kind < 19) found.add(some('0123456789', 2 + next(2)));
    if (kind === 19) found.add(some('"\\{}[]():;,.=<>/-_ \n', 2 + next(3)));
    if (kind === 18) found.add(some('éüñ日本語中文字Жщю', 1 + next(3)));
  }
  return [...found];
}

const all = words();
const names = Array.from({ length: 100 }, (_, i) => `field_${i}`);
const schemas: Record<string, Readonly<Record<string, unknown>>> = {
  'patterns and a length that all hold': {
    allOf: [
      { type: 'string', pattern: '[0-9].*[0-9].*[0-9]' },
      { type: 'string', pattern: '[A-Z].*[A-Z]' },
      { type: 'string', maxLength: 80 },
    ],
  },
  'a pattern and a length': {
    type: 'string',
    pattern: '^([a-z]+ )*[a-z]+\\.$',
    minLength: 20,
    maxLength: 300,
  },
  'a long text': { type: 'string', minLength: 50, maxLength: 10_000 },
  'many properties': {
    type: 'object',
    properties: Object.fromEntries(
      names.map((name, i) => [name, i % 2 ? { type: 'string', maxLength: 99 } : { enum: names }]),
    ),
    required: names,
    additionalProperties: false,
  },
};

/** Calls `look` with the mask before each of 40 tokens, which are taken at random. */
async function walk(
  constraint: TokenConstraint,
  look: (mask: Int32Array) => void | Promise<void>,
  prepare = true,
): Promise<void> {
  const next = random(7);
  for (let n = 0; n < 40; n++) {
    if (prepare) await constraint.prepare?.();
    const mask = new Int32Array(vocabSize / 32);
    constraint.fill(mask);
    await look(mask);
    let id = next(vocabSize);
    while (((mask[id >> 5] ?? 0) & (1 << (id & 31))) === 0) id = (id + 1) % vocabSize;
    if (id === 256) return;
    constraint.accept(id);
  }
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A slice is 4 ms; the compiler and the garbage collector of JavaScript, on threads of their own, are counted with it. */
const mostMs = 100;

/** The most milliseconds of computing between two turns of the event loop; a clock would count what other processes do. */
async function longestHold(work: Promise<unknown>): Promise<number> {
  let [longest, working] = [0, true];
  void work.finally(() => {
    working = false;
  });
  while (working) {
    const before = process.cpuUsage();
    await nextTurn();
    longest = Math.max(longest, process.cpuUsage(before).user / 1000);
  }
  await work;
  return longest;
}

test.each(Object.entries(schemas))(
  '%s: the event loop goes on, and the masks are right',
  async (_, schema) => {
    const spec = { kind: 'json_schema', schema } as const;
    const sliced: Int32Array[] = [];
    const constraint = await compileConstraint(spec, vocabularyOf(all));
    const work = walk(constraint, async (mask) => {
      sliced.push(mask);
      await nextTurn();
    });
    expect(await longestHold(work)).toBeLessThan(mostMs);
    const atOnce: Int32Array[] = [];
    await walk(await compileConstraint(spec, vocabularyOf(all)), (mask) => void atOnce.push(mask), false);
    expect(sliced).toEqual(atOnce);
    expect(sliced.length).toBeGreaterThan(1);
  },
);
