// Masks of hard grammars over a large vocabulary: made in slices, and the same as when made at once.

import { afterEach, expect, test, vi } from 'vitest';
import { automatonOf, madeUpWords, randomNumber, vocabularyOf } from '../../testing/guided.ts';
import type { TokenConstraint } from '../constraint.ts';
import { compileConstraint } from './compile.ts';
import type { GrammarState } from './live.ts';
import type { ConstraintSpec } from './spec.ts';

const vocabSize = 8192;
const all = madeUpWords(vocabSize - 257);
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
  const next = randomNumber(7);
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

const letters = 'abcdefghijklmnopqrstuvwxyz';
const numbered = (i: number): string => `${letters[i % 26]}${letters[(i * 7) % 26]}${i % 9}x`;
const texts = Array.from({ length: 900 }, (_, i) => numbered(i));
const json = (schema: Readonly<Record<string, unknown>>): ConstraintSpec => ({ kind: 'json_schema', schema });
const specs: Record<string, ConstraintSpec> = {
  'texts of a list': { kind: 'choice', choices: [...texts, 'a', 'aa', 'aa9', '日本', '日本語'] },
  'texts in an array': json({ type: 'array', items: { enum: [...texts, 1, 12, 123, null] } }),
  'names of a list': json({
    type: 'object',
    properties: Object.fromEntries(texts.slice(0, 60).map((name) => [name, { type: 'integer' }])),
    additionalProperties: false,
  }),
  'a few letters': json({ type: 'array', items: { type: 'string', minLength: 2, maxLength: 5 } }),
  'letters of one kind': { kind: 'regex', pattern: '[a-f]{3}([g-z ]*|[A-Z]+[0-9]{2,4})*' },
  'all but a marker': { kind: 'text', without: ['<tool', 'ing '] },
  'numbers in steps': json({
    type: 'array',
    items: { type: 'number', multipleOf: 0.25, minimum: -3, maximum: 999 },
  }),
};

test.each(Object.entries(specs))('%s: a token is allowed when all of its bytes are', async (_, spec) => {
  const size = 2048;
  const vocabulary = vocabularyOf(madeUpWords(size - 257));
  const next = randomNumber(3);
  const automaton = automatonOf(spec);
  for (let round = 0; round < 2; round++) {
    const constraint = await compileConstraint(spec, vocabulary);
    let state: GrammarState | undefined = automaton.start;
    const after = (id: number): GrammarState | undefined =>
      vocabulary.bytesOf(id).reduce((from, byte) => from && automaton.step(from, byte), state);
    for (let n = 0; n < 4; n++) {
      const mask = new Int32Array(Math.ceil(size / 32));
      constraint.fill(mask);
      const isAllowed = (id: number): boolean => ((mask[id >> 5] ?? 0) & (1 << (id & 31))) !== 0;
      const ids = Array.from({ length: size }, (_, id) => id).filter((id) => id !== 256);
      const wrong = ids.filter((id) => isAllowed(id) !== (after(id) !== undefined));
      expect(wrong.map((id) => Buffer.from(vocabulary.bytesOf(id)).toString())).toEqual([]);
      let id = next(size);
      while (!isAllowed(id)) id = (id + 1) % size;
      if (id === 256) break;
      state = after(id);
      constraint.accept(id);
    }
  }
});
