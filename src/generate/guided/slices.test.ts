// Large schemas are compiled in slices: no step between two turns of the event loop grows with the schema. The clock is the work
// itself, counted in calls of the language's own functions, so that what a step does shows whether or not it looks at the clock.

import { expect, test } from 'vitest';
import { IngotError } from '../../base/errors.ts';
import { vocabularyOf } from '../../testing/guided.ts';
import { compileConstraint } from './compile.ts';
import type { ConstraintSpec, JsonSchema } from './spec.ts';

const list = <T>(length: number, make: (i: number) => T): readonly T[] =>
  Array.from({ length }, (_, i) => make(i));
const named = (length: number, make: (i: number) => unknown): Record<string, unknown> =>
  Object.fromEntries(list(length, (i) => [`k${i}`, make(i)]));
const word = (i: number): string => `word ${i.toString(36)}`;

const schemas: Readonly<Record<string, JsonSchema>> = {
  'not an enum of 50,000': { type: 'string', not: { enum: list(50_000, word) } },
  'not an enum of 50,000 numbers': { type: 'number', not: { enum: list(50_000, (i) => 3 * i) } },
  'an enum within an enum': {
    allOf: [{ enum: list(50_000, word) }, { enum: list(50_000, (i) => word(2 * i)) }],
  },
  'an enum without an enum': { enum: list(20_000, word), not: { enum: list(10_000, (i) => word(2 * i)) } },
  'none twice of 50,000': { type: 'array', uniqueItems: true, items: { enum: list(50_000, word) } },
  '10,000 names': { properties: named(10_000, () => ({ type: 'string' })), additionalProperties: false },
  '10,000 names that must be there': { required: list(10_000, (i) => `k${i}`) },
  'most of 5,000 names': { properties: named(5000, () => true), minProperties: 4900 },
  'names of 20,000': { propertyNames: { enum: list(20_000, word) } },
  'places in a list': { prefixItems: list(10_000, (i) => ({ type: i % 2 ? 'string' : 'number' })) },
  'counted elements': { contains: { const: 1 }, minContains: 100, maxItems: 190 },
  'a long text': { const: 'ab"é'.repeat(200_000) },
  'a list of 150,000': { type: 'array', const: list(150_000, (i) => i) },
  'an object of 50,000': { const: named(50_000, (i) => i) },
  'not an object of 50,000': { not: { const: named(50_000, (i) => i) } },
  'one of 2,000 objects': {
    oneOf: list(2000, (i) => ({
      type: 'object',
      properties: { kind: { const: word(i) } },
      required: ['kind'],
    })),
  },
  'not a long list': { type: 'array', not: { const: list(50_000, (i) => i) } },
  'objects of 1,000 kinds': {
    anyOf: list(1000, (i) => ({ properties: { kind: { const: word(i) }, [`p${i}`]: true } })),
  },
  'constants of 10,000 alternatives': { anyOf: list(10_000, (i) => ({ const: word(i) })) },
  '2,000 patterns of names': { patternProperties: named(2000, () => true) },
  '1,000 names because of others': { dependentRequired: named(1000, (i) => [`k${i + 1}`]) },
};
const specs: Readonly<Record<string, ConstraintSpec>> = {
  ...Object.fromEntries(
    Object.entries(schemas).map(([name, schema]) => [name, { kind: 'json_schema', schema }]),
  ),
  'a text that is none of 50,000': {
    kind: 'string_schema',
    schema: { not: { enum: list(50_000, word) } },
  },
  'a long choice': { kind: 'choice', choices: list(3, (i) => 'é'.repeat(500_000) + i) },
  'a long literal': { kind: 'literal', text: 'é'.repeat(900_000) },
};

/** Work that one millisecond of the clock is; a slice has 4. */
const perMs = 10_000;
/** Most work between two turns: a slice, and what is done before the clock is looked at. */
const most = 200_000;

type Function = (...args: unknown[]) => unknown;

/** Counts what functions of the language go through while `run` does, and has the clock go on by that. */
async function counted(run: (work: () => number) => Promise<void>): Promise<void> {
  let work = 0;
  const restored: (() => void)[] = [];
  const count = (
    target: object,
    keys: readonly string[],
    units: (self: unknown, args: unknown[]) => number,
  ) => {
    const functions = target as Record<string, Function>;
    for (const key of keys) {
      const original = functions[key] as Function;
      functions[key] = function (this: unknown, ...args: unknown[]) {
        work += units(this, args);
        return Reflect.apply(original, this, args);
      };
      restored.push(() => {
        functions[key] = original;
      });
    }
  };
  const lists = [
    'map',
    'filter',
    'flatMap',
    'forEach',
    'some',
    'every',
    'includes',
    'sort',
    'join',
    'reduce',
  ];
  count(Array.prototype, lists, (self) => (self as unknown[]).length);
  count(Array.prototype, ['push'], (_, args) => args.length);
  count(Map.prototype, ['set', 'get'], () => 5);
  count(Set.prototype, ['add', 'has'], () => 5);
  count(String.prototype, ['charCodeAt'], () => 1);
  count(JSON, ['stringify'], () => 10);
  const { now } = performance;
  performance.now = () => work / perMs;
  try {
    await run(() => work);
  } finally {
    performance.now = now;
    for (const restore of restored) restore();
  }
}

test.each(Object.entries(specs))('%s', async (_, spec) => {
  const vocabulary = vocabularyOf(list(200, word));
  await compileConstraint({ kind: 'json_object' }, vocabulary);
  let [longest, working] = [0, true];
  let problem: unknown;
  await counted(async (work) => {
    const compiled = compileConstraint(spec, vocabulary)
      .then(
        (constraint) => constraint.dispose(),
        (error: unknown) => {
          problem = error;
        },
      )
      .finally(() => {
        working = false;
      });
    while (working) {
      const before = work();
      await new Promise((resolve) => setImmediate(resolve));
      longest = Math.max(longest, work() - before);
    }
    await compiled;
  });
  if (problem !== undefined) expect(problem).toBeInstanceOf(IngotError);
  expect(longest).toBeLessThan(most);
});
