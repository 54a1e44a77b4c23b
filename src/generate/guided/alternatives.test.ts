// Alternatives that stand side by side: each of them holds with each of the others, whatever their number.

import { expect, it } from 'vitest';
import { accepts, allows, automatonOf } from '../../testing/guided.ts';
import type { JsonSchema } from './spec.ts';

const list = <T>(count: number, make: (i: number) => T): T[] =>
  Array.from({ length: count }, (_, i) => make(i));

/** Kinds of objects, told apart by a property, each with two more of its own types. */
const kinds = (name: string, count: number, more: object = {}): JsonSchema => ({
  anyOf: list(count, (i) => ({
    properties: {
      [name]: { const: i },
      [`${name}0`]: { type: i % 2 ? 'number' : 'string' },
      [`${name}1`]: { type: i % 3 ? 'boolean' : 'string' },
    },
    required: [name],
    ...more,
  })),
});
const memberOf = (name: string, i: number): object => ({
  [`${name}0`]: i % 2 ? 1 : 'x',
  [name]: i,
  [`${name}1`]: i % 3 ? true : 'y',
});
const grammar = (schema: JsonSchema) => automatonOf({ kind: 'json_schema', schema });

it('two of twenty hold together in each of four hundred ways', () => {
  const automaton = grammar({ type: 'object', allOf: [kinds('a', 20), kinds('b', 20)] });
  const refused: string[] = [];
  for (let a = 0; a < 20; a++) {
    for (let b = a % 4; b < 20; b += 4) {
      const text = JSON.stringify({ ...memberOf('b', b), other: null, ...memberOf('a', a) });
      if (!accepts(automaton, text)) refused.push(text);
    }
  }
  expect(refused).toEqual([]);
  const wrong = [
    { ...memberOf('a', 2), ...memberOf('b', 3), b0: 'x' },
    { ...memberOf('a', 2), ...memberOf('b', 3), a: 3 },
    memberOf('a', 2),
    { ...memberOf('a', 2), ...memberOf('b', 20) },
  ];
  expect(wrong.filter((value) => accepts(automaton, JSON.stringify(value)))).toEqual([]);
});

it('kinds know the names of others: closed, counted, by pattern', async () => {
  const schema = {
    type: 'object',
    anyOf: [
      { properties: { kind: { const: 'a' }, x: { type: 'number' } }, additionalProperties: false },
      { properties: { kind: { const: 'b' }, y: {} }, required: ['kind'], minProperties: 3 },
      {
        properties: { kind: { const: 'c' } },
        patternProperties: { '^x': { type: 'boolean' } },
        maxProperties: 2,
      },
    ],
  };
  const automaton = grammar(schema);
  const valid = [
    {},
    { kind: 'a', x: 1 },
    { kind: 'b', x: 'any', other: 1 },
    { z: 1, kind: 'b', y: [] },
    { x: true, kind: 'c' },
    { kind: 'c', y: 1 },
  ];
  const invalid = [
    { kind: 'a', x: true },
    { kind: 'a', y: 1 },
    { kind: 'b', x: 1 },
    { kind: 'c', x: 1 },
  ];
  expect(valid.filter((value) => !accepts(automaton, JSON.stringify(value)))).toEqual([]);
  expect(
    [...invalid, { kind: 'c', y: 1, z: 2 }].filter((v) => accepts(automaton, JSON.stringify(v))),
  ).toEqual([]);
  const spec = { kind: 'json_schema', schema, strict: true } as const;
  expect(await allows(spec, '{"kind": "a", "x": 1}')).toBe(true);
  expect(await allows(spec, '{"x": 1, "kind": "b", "y": 2}')).toBe(false);
});

it('constants of thousands of alternatives are one list', () => {
  const automaton = grammar({
    anyOf: [
      ...list(3000, (i) => ({ const: `word ${i}` })),
      ...list(3000, (i) => ({ type: 'integer', enum: [i, i + 0.5] })),
      { type: 'string', maxLength: 9, pattern: 'd 1.*9$', enum: list(200, (i) => `Word ${i}`) },
      { type: 'string', pattern: '^[xy]+$' },
    ],
  });
  const some = (values: readonly unknown[]) => values.filter((v) => accepts(automaton, JSON.stringify(v)));
  const valid = ['word 0', 'word 2999', 0, 2999, 'Word 19', 'Word 199', 'xyx'];
  expect(some(valid)).toEqual(valid);
  expect(some(['word 3000', 3001, 0.5, 'Word 9', 'Word 18', 'z', null])).toEqual([]);
});
