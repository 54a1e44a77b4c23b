// Large given values are followed as one text, and part by part where something else is said of their parts.

import { expect, it } from 'vitest';
import { accepts, automatonOf, grammarOf } from '../../testing/guided.ts';
import type { GrammarState } from './live.ts';
import type { JsonSchema } from './spec.ts';

const list = Array.from({ length: 40 }, (_, i) => (i % 3 === 0 ? { at: i, 'é"': [`w${i}`, null] } : i));
const record = Object.fromEntries(list.map((value, i) => [`k${i}`, value]));
const other = { ...record, k1: 'other' };

const allows = (schema: JsonSchema, value: unknown): boolean => {
  const grammar = grammarOf(schema);
  return grammar !== undefined && accepts(grammar, JSON.stringify(value));
};

it.each<[string, JsonSchema, readonly unknown[], readonly unknown[]]>([
  ['a list', { const: list }, [list], [[], list.slice(1), [...list, 1], record]],
  ['an object', { const: record }, [record], [{}, other, { ...record, more: 1 }, list]],
  ['some', { enum: [1, list, record] }, [1, list, record], [2, other, []]],
  ['of one type', { type: 'object', enum: [1, list, record, other] }, [record, other], [1, list]],
  ['in a property', { properties: { a: { const: record } } }, [{ a: record }, {}], [{ a: other }]],
  ['one of two', { oneOf: [{ const: record }, { const: other }] }, [record, other], [list]],
  [
    'what two lists share',
    { allOf: [{ enum: [list, record] }, { enum: [other, record] }] },
    [record],
    [list],
  ],
  [
    'equal ones in another order',
    { allOf: [{ const: record }, { const: Object.fromEntries(Object.entries(record).reverse()) }] },
    [record],
    [other],
  ],
  ['with parts of a type', { enum: [list, record], items: { type: 'integer' } }, [record], [list]],
  ['with a property', { enum: [record, other], properties: { k1: { const: 'other' } } }, [other], [record]],
  ['with a length', { enum: [list, list.slice(0, 5)], maxItems: 5 }, [list.slice(0, 5)], [list]],
  ['not heard of', { const: record, unevaluatedProperties: false }, [], [record]],
  ['all but one', { type: 'object', not: { const: record } }, [other, {}], [record]],
  ['one and no other', { enum: [record, other], not: { const: other } }, [record], [other]],
  ['either', { anyOf: [{ const: record }, { type: 'array' }] }, [record, list], [other]],
  ['under a condition', { if: { const: record }, else: { type: 'array' } }, [record, list], [{}, other]],
])('%s', (_, schema, valid, invalid) => {
  for (const value of valid) expect(allows(schema, value)).toBe(true);
  for (const value of invalid) expect(allows(schema, value)).toBe(false);
});

it('knows no multiple from one in as many digits as a double has', () => {
  const fraction = grammarOf({ type: 'number', not: { type: 'integer' } });
  if (!fraction) throw new Error('not followed');
  expect(accepts(fraction, '1701.01')).toBe(true);
  expect(accepts(fraction, '1701111010011011.01')).toBe(false);
});

it('refuses to look into one with thousands of parts', () => {
  const long = Array.from({ length: 20_000 }, (_, i) => i);
  const schema = { const: long, items: { type: 'integer' } };
  expect(() => automatonOf({ kind: 'json_schema', schema })).toThrow(
    '"const" at # has an array or object of more than 5000 values, and something else is said of their parts',
  );
});

it('tells 600 models apart by a property of theirs', () => {
  const models = Array.from({ length: 600 }, (_, i) => ({
    type: 'object',
    properties: { kind: { const: `k${i}` }, [`p${i}`]: { type: 'integer' } },
    required: ['kind', `p${i}`],
    additionalProperties: false,
  }));
  const oneOf = models.map((_, i) => ({ $ref: `#/$defs/m${i}` }));
  const schema = { oneOf, $defs: Object.fromEntries(models.map((model, i) => [`m${i}`, model])) };
  for (const i of [0, 300, 599]) expect(allows(schema, { kind: `k${i}`, [`p${i}`]: 1 })).toBe(true);
  expect(allows(schema, { kind: 'k599', p598: 1 })).toBe(false);
});

it('follows to its end what has more ways to go on than are followed', () => {
  const pattern = '(a|b)*a(a|b){1500}';
  const automaton = automatonOf({ kind: 'regex', pattern });
  let state: GrammarState | undefined = automaton.start;
  for (let i = 0; i < 1600; i++) state = state && automaton.step(state, 97);
  expect(state?.accepting).toBe(true);
  // Its opposite would be wider for what is left out.
  const opposite = grammarOf({ type: 'string', not: { pattern: `^(${pattern})$` } });
  const follow = (): boolean => opposite !== undefined && accepts(opposite, JSON.stringify('a'.repeat(1600)));
  expect(follow).toThrow('more than 1024 ways to go on at one place');
});

it('hears what stands beside a reference of an old draft from those alone that count it', () => {
  const schema = {
    $schema: 'http://json-schema.org/draft-07/schema#',
    oneOf: [{ $ref: '#/definitions/one', type: ['null', 'string'] }, { const: false }],
    definitions: { one: { multipleOf: 3 } },
  };
  // Without what is beside the reference both hold.
  expect(allows(schema, false)).toBe(false);
});
