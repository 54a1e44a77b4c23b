// Schemas, patterns and grammars that are small and would take long: each is followed, or refused by name, after a bounded
// amount of work, in slices, and no further than somebody waits for it. What is counted are looks at the clock and rows of automata.

import { afterEach, describe, expect, it, test, vi } from 'vitest';
import { IngotError } from '../../base/errors.ts';
import { allows, vocabularyOf } from '../../testing/guided.ts';
import { rowsSoFar } from './automaton.ts';
import { compileConstraint } from './compile.ts';
import type { ConstraintSpec, JsonSchema } from './spec.ts';

/** As many tokens as make a mask take several slices. */
const words = Array.from(
  { length: 3000 },
  (_, i) => `${i.toString(36)}"${i % 7 ? ',' : ':'}${i.toString(26)}`,
);

type Made = Record<string, unknown>;
const nested = (depth: number, around: (inner: Made, i: number) => Made, core: Made = { type: 'string' }) =>
  Array.from({ length: depth }).reduce<Made>((inner, _, i) => around(inner, i), core);
const list = <T>(length: number, make: (i: number) => T): readonly T[] =>
  Array.from({ length }, (_, i) => make(i));
const named = (length: number, make: (i: number) => unknown): Made =>
  Object.fromEntries(list(length, (i) => [`k${i}`, make(i)]));
/** Keywords of a condition. */
const condition = (test: unknown, so: unknown, otherwise: unknown): Made =>
  Object.fromEntries([
    ['if', test],
    ['then', so],
    ['else', otherwise],
  ]);
const letter = (i: number): string => String.fromCharCode(97 + i);

const schemas: Readonly<Record<string, JsonSchema>> = {
  'if in then': nested(25, (s, i) =>
    condition({ properties: { [`p${i}`]: { const: 1 } } }, s, { required: [`q${i}`] }),
  ),
  'if in if': nested(10, (s, i) => condition(s, { required: [`a${i}`] }, { required: [`b${i}`] }), {
    properties: { x: { const: 1 } },
  }),
  'if beside if': {
    allOf: list(25, (i) =>
      condition({ properties: { [`p${i}`]: { const: 1 } } }, { required: [`q${i}`] }, true),
    ),
  },
  'allOf of two in each other': nested(25, (s) => ({ allOf: [s, s] })),
  'anyOf beside anyOf': {
    allOf: list(25, (i) => ({
      anyOf: [
        { properties: { [`a${i}`]: { type: 'string' } } },
        { properties: { [`b${i}`]: { type: 'number' } } },
      ],
    })),
  },
  'oneOf beside oneOf': {
    allOf: list(25, (i) => ({
      oneOf: [{ type: 'string' }, { type: 'number' }].map((value) => ({
        properties: { [`a${i}`]: value },
        required: [`a${i}`],
      })),
    })),
  },
  'oneOf of many that overlap': {
    oneOf: list(100, (i) => ({ properties: { [`a${i}`]: { type: 'string' } }, required: [`a${i}`] })),
  },
  'not of anyOf': nested(25, (s, i) => ({ not: { anyOf: [s, { required: [`a${i}`] }] } })),
  'many patterns of names': {
    patternProperties: Object.fromEntries(list(25, (i) => [`^${letter(i)}.*x`, { type: 'string' }])),
  },
  'an array in an array, none twice': nested(20, (s) => ({ type: 'array', uniqueItems: true, items: s })),
  'numbers, none twice': { type: 'array', uniqueItems: true, items: { enum: list(300, (i) => i) } },
  'kinds of elements': nested(4, (s) => ({
    allOf: list(4, (j) => ({ contains: { allOf: [s, { title: `${j}` }] }, maxContains: 3 })),
  })),
  'many definitions': {
    $defs: named(30, (i) => ({
      anyOf: list(6, (j) => ({ properties: { [`p${j}`]: { $ref: `#/$defs/k${(i * 7 + j) % 30}` } } })),
    })),
    $ref: '#/$defs/k0',
  },
  'a long tuple': { prefixItems: list(5000, () => ({ type: 'string' })) },
  'a long const': { const: list(5000, (i) => i) },
  'a const with many properties': { const: named(3000, (i) => i) },
  'an enum of objects': { enum: list(3000, (i) => ({ a: i, b: [i] })) },
  'texts of megabytes': { const: 'x"é'.repeat(1e6) },
  'many long texts': { enum: list(2000, (i) => String(i).padEnd(1000, 'abc')) },
  'conditions in a pattern': {
    type: 'string',
    pattern: `^${list(20, (i) => `(?=.*${letter(i)})`).join('')}.*$`,
  },
  'repetitions of repetitions': { type: 'string', pattern: '^((((a{0,99}){0,99}){0,99}){0,99}){0,99}$' },
  'a pattern of many parts': { type: 'string', pattern: 'ab?'.repeat(6000) },
};
const conditions = (count: number): string => `^${list(count, (i) => `(?=.*${letter(i)})`).join('')}.*$`;
const specs: Readonly<Record<string, ConstraintSpec>> = {
  ...Object.fromEntries(
    Object.entries(schemas).map(([name, schema]) => [name, { kind: 'json_schema', schema }]),
  ),
  'conditions in a pattern, at once': { kind: 'regex', pattern: conditions(20) },
  'rules that begin with two of the next': {
    kind: 'ebnf',
    grammar: list(60, (i) => `r${i} ::= r${i + 1} | r${i + 1} "a"`)
      .join('\n')
      .concat('\nr60 ::= "b"'),
    root: 'r0',
  },
  'a rule of many parts': { kind: 'ebnf', grammar: `root ::= ${'"a" '.repeat(40_000)}` },
  'a grammar of megabytes': { kind: 'ebnf', grammar: `root ::= ${'"a" '.repeat(100_000)}` },
  'a literal of megabytes': { kind: 'literal', text: 'abcd'.repeat(1e6) },
};

afterEach(() => vi.restoreAllMocks());

/** A clock that goes on by a twentieth of a millisecond whenever it is looked at: a slice of 4 ms is over after 80 looks. */
function countLooks(): { count: number } {
  const looks = { count: 0 };
  vi.spyOn(performance, 'now').mockImplementation(() => ++looks.count / 20);
  return looks;
}

describe('a bomb is followed or refused, in slices', () => {
  test.each(Object.entries(specs))('%s', async (_, spec) => {
    const vocabulary = vocabularyOf(words);
    await compileConstraint({ kind: 'json_object' }, vocabulary);
    const looks = countLooks();
    const before = rowsSoFar();
    let [longest, working] = [0, true];
    const work = compileConstraint(spec, vocabulary)
      .then(
        (constraint) => constraint.dispose(),
        (error: unknown) => {
          expect(error).toBeInstanceOf(IngotError);
          expect((error as IngotError).code).toMatch(/^(unsupported|invalid_argument)$/);
        },
      )
      .finally(() => {
        working = false;
      });
    while (working) {
      const seen = looks.count;
      await new Promise((resolve) => setImmediate(resolve));
      longest = Math.max(longest, looks.count - seen);
    }
    await work;
    expect(longest).toBeLessThan(200);
    expect(rowsSoFar() - before).toBeLessThan(100_000);
  });
});

it('leaves nothing out that few alternatives need', async () => {
  const schema = (name: string): ConstraintSpec => ({ kind: 'json_schema', schema: schemas[name] ?? false });
  expect(await allows(schema('anyOf beside anyOf'), '{}')).toBe(true);
  expect(await allows(schema('oneOf beside oneOf'), JSON.stringify(named(25, (i) => i)))).toBe(false);
  const values = Object.fromEntries(list(25, (i) => [`a${i}`, i % 2 ? 'x' : i]));
  expect(await allows(schema('oneOf beside oneOf'), JSON.stringify(values))).toBe(true);
  const all = Object.fromEntries(list(25, (i) => [`q${i}`, null]));
  expect(await allows(schema('if beside if'), JSON.stringify({ ...all, p3: 1 }))).toBe(true);
  expect(await allows(schema('if beside if'), JSON.stringify({ ...all, q3: undefined }))).toBe(false);
});

it('ends with its request', async () => {
  const vocabulary = vocabularyOf(words);
  await compileConstraint({ kind: 'json_object' }, vocabulary);
  const spec: ConstraintSpec = { kind: 'regex', pattern: conditions(19) };
  countLooks();
  const controller = new AbortController();
  const work = compileConstraint(spec, vocabulary, { signal: controller.signal });
  const before = rowsSoFar();
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
  const reason = new Error('nobody waits');
  controller.abort(reason);
  await expect(work).rejects.toBe(reason);
  const then = rowsSoFar();
  expect(then).toBeGreaterThan(before);
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  expect(rowsSoFar() - then).toBeLessThan(then - before + 1);
});
