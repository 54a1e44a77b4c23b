// Masks of hard grammars over a large vocabulary: made in slices, and the same as when made at once.

import { afterEach, expect, test, vi } from 'vitest';
import { vocabularyOf } from '../../testing/guided.ts';
import type { TokenConstraint } from '../constraint.ts';
import { compileConstraint } from './compile.ts';

const vocabSize = 8192;
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

/** Calls `look` with the mask before each of 15 tokens, which are taken at random. */
async function walk(
  constraint: TokenConstraint,
  look: (mask: Int32Array) => void | Promise<void>,
  prepare = true,
): Promise<void> {
  const next = random(7);
  for (let n = 0; n < 15; n++) {
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

afterEach(() => vi.restoreAllMocks());

/** A clock that goes on by a twentieth of a millisecond whenever it is looked at: a slice is over after 80 looks. */
function countLooks(): { count: number } {
  const looks = { count: 0 };
  vi.spyOn(performance, 'now').mockImplementation(() => ++looks.count / 20);
  return looks;
}

/** The most looks at the clock between two turns of the event loop. */
async function longestHold(work: Promise<unknown>, looks: { readonly count: number }): Promise<number> {
  let [longest, working] = [0, true];
  void work.finally(() => {
    working = false;
  });
  while (working) {
    const before = looks.count;
    await nextTurn();
    longest = Math.max(longest, looks.count - before);
  }
  await work;
  return longest;
}

test.each(Object.entries(schemas))(
  '%s: the event loop goes on, and the masks are right',
  async (_, schema) => {
    const spec = { kind: 'json_schema', schema } as const;
    const sliced: Int32Array[] = [];
    const looks = countLooks();
    const constraint = await compileConstraint(spec, vocabularyOf(all));
    const work = walk(constraint, async (mask) => {
      sliced.push(mask);
      await nextTurn();
    });
    expect(await longestHold(work, looks)).toBeLessThan(200);
    expect(looks.count).toBeGreaterThan(80);
    vi.restoreAllMocks();
    const atOnce: Int32Array[] = [];
    await walk(await compileConstraint(spec, vocabularyOf(all)), (mask) => void atOnce.push(mask), false);
    expect(sliced).toEqual(atOnce);
    expect(sliced.length).toBeGreaterThan(1);
  },
);
