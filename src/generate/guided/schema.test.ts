// JSON schemas taken from practice and generated: every text the constraint lets a random model write validates with ajv; what
// ajv accepts is allowed token by token, properties in any order; what it refuses is not.

import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { describe, expect, it } from 'vitest';
import { allows, byteVocabulary, randomText, sentenceVocabulary } from '../../testing/guided.ts';
import { randomSchema } from '../../testing/random-schema.ts';
import { realisticSchemas, type SchemaCase } from '../../testing/schema-cases.ts';
import { compileConstraint } from './compile.ts';
import type { ConstraintSpec, JsonSchema } from './spec.ts';

const spec = (schema: JsonSchema, strict = false): ConstraintSpec => ({
  kind: 'json_schema',
  schema,
  strict,
});
const generated = Array.from({ length: 120 - realisticSchemas.length }, (_, i) => randomSchema(i + 1));
const cases: readonly SchemaCase[] = [
  ...realisticSchemas,
  ...generated.map((schema, i) => ({ name: `generated ${i + 1}`, schema, valid: [], invalid: [] })),
];

function validatorOf(schema: JsonSchema): (value: unknown) => boolean {
  const ajv = new Ajv2020({ strict: false, allErrors: false });
  (addFormats as unknown as (ajv: Ajv2020) => void)(ajv);
  const validate = ajv.compile(schema);
  return (value) => validate(value) === true;
}

/** A random text writes properties without end before it finds the name of one that must be there. */
const hasNoEnd = (schema: JsonSchema): boolean =>
  typeof schema === 'object' &&
  schema.required !== undefined &&
  typeof schema.additionalProperties === 'object';

/** The same value, the properties of its objects the other way round. */
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, inner]) => [key, reversed(inner)]),
  );
}

describe.each(cases)('$name', ({ schema, valid, invalid }) => {
  it('is followed', async () => {
    const validates = validatorOf(schema);
    for (let seed = hasNoEnd(schema) ? 3 : 1; seed <= 2; seed++) {
      const vocabulary = seed % 2 ? byteVocabulary : sentenceVocabulary;
      // Closed, so that a random text gets to the properties that must be there.
      const text = await randomText(spec(schema, true), vocabulary, seed * 7919);
      const value: unknown = JSON.parse(text);
      if (!validates(value)) throw new Error(`does not validate: ${text}\nschema: ${JSON.stringify(schema)}`);
      for (const again of [
        JSON.stringify(reversed(value)),
        JSON.stringify(value, null, 2),
        pythonText(value),
      ]) {
        if (hasDuplicateOrNumericKeys(text, value) || !sameNumbers(text, again)) continue;
        if (!(await allows(spec(schema), again, vocabulary))) {
          throw new Error(`refused: ${again}\nwritten before: ${text}\nschema: ${JSON.stringify(schema)}`);
        }
      }
      for (const damaged of damages(value, seed)) {
        if (!validates(damaged) && (await allows(spec(schema), JSON.stringify(damaged)))) {
          throw new Error(`allowed: ${JSON.stringify(damaged)}\nschema: ${JSON.stringify(schema)}`);
        }
      }
    }
    for (const value of valid) {
      expect(validates(value)).toBe(true);
      expect([value, await allows(spec(schema), JSON.stringify(reversed(value)))]).toEqual([value, true]);
    }
    for (const value of invalid) {
      expect(validates(value)).toBe(false);
      expect([value, await allows(spec(schema), JSON.stringify(value))]).toEqual([value, false]);
    }
  });
});

/** As Python writes JSON: a space after commas and colons. */
const pythonText = (value: unknown): string =>
  JSON.stringify(value, null, 1).replace(/\n\s*/g, (_, at: number, all: string) =>
    all[at - 1] === ',' ? ' ' : '',
  );

/** JavaScript objects reorder keys that are numbers and forget the first of two equal keys. */
function hasDuplicateOrNumericKeys(text: string, value: unknown): boolean {
  const keys = (x: unknown): string[] =>
    typeof x === 'object' && x !== null
      ? Object.entries(x).flatMap(([k, v]) => [...(Array.isArray(x) ? [] : [k]), ...keys(v)])
      : [];
  const all = keys(value);
  return (
    all.some((key) => /^\d+$/.test(key) || key === '__proto__') ||
    (text.match(/"\s*:/g) ?? []).length > all.length
  );
}

/** Whether numbers survived as they were written: 1.50 comes back as 1.5, and 100000000000000000000 as 1e20. */
const sameNumbers = (text: string, again: string): boolean =>
  JSON.stringify(text.match(/-?\d[\d.eE+-]*/g)) === JSON.stringify(again.match(/-?\d[\d.eE+-]*/g));

/** Versions of a value with one part changed. */
function damages(value: unknown, seed: number): unknown[] {
  const others: unknown[] = [null, true, 'x', '', 7.5, -1, 1e6, [], {}, ['x'], { x: 1 }];
  const result: unknown[] = [others[seed % others.length]];
  if (Array.isArray(value)) {
    result.push([...value, null], value.slice(1), [...value, ...value, ...value]);
    value.forEach((part, i) => {
      if (i < 3) for (const other of damages(part, seed + i)) result.push(value.with(i, other));
    });
  } else if (typeof value === 'object' && value !== null) {
    result.push({ ...value, unexpected: seed });
    for (const [key, part] of Object.entries(value).slice(0, 6)) {
      const { [key]: _, ...rest } = value as Record<string, unknown>;
      result.push(rest);
      for (const other of damages(part, seed + key.length).slice(0, 6))
        result.push({ ...value, [key]: other });
    }
  } else if (typeof value === 'string') result.push(`${value}!`, value.slice(1), `${value}${value}${value}`);
  else if (typeof value === 'number') result.push(value + 0.5, value - 1000, value + 1000, -value);
  return result;
}

describe('what cannot be followed is told with its keyword and place', () => {
  it.each<[JsonSchema, code: string, keyword: string, path: string]>([
    [{ $ref: 'https://example.com/schema.json' }, 'unsupported', '$ref', '#'],
    [{ $ref: '#/$defs/none' }, 'invalid_argument', '$ref', '#'],
    [{ $ref: '#/%zz' }, 'invalid_argument', '$ref', '#'],
    [{ oneOf: [true, true] }, 'unsupported', 'oneOf', '#'],
    [{ type: 'text' }, 'invalid_argument', 'type', '#'],
    [{ properties: { 'a/b~c': { minLength: -1 } } }, 'invalid_argument', 'minLength', '#/properties/a~1b~0c'],
    [{ items: { required: 'a' } }, 'invalid_argument', 'required', '#/items'],
    [
      { $defs: { a: { $ref: '#/$defs/a' }, b: { $ref: '#/$defs/a' } }, $ref: '#/$defs/a' },
      'invalid_argument',
      '$ref',
      '#/$defs/a',
    ],
  ])('%j: %s', async (schema, code, keyword, path) => {
    const compiled = compileConstraint(spec(schema), byteVocabulary);
    await expect(compiled).rejects.toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(`"${keyword}" at ${path}`) }),
    );
  });

  it('refuses keywords that it does not know when that is asked for, and takes them for annotations otherwise', async () => {
    const schema = { type: 'object', properties: { a: { type: 'string', nullable: true, sortOrder: 1 } } };
    expect(await allows(spec(schema), '{"a": "b", "c": 1}')).toBe(true);
    await expect(compileConstraint(spec(schema, true), byteVocabulary)).rejects.toThrow(
      /"sortOrder" at #\/properties\/a is no keyword of JSON Schema, and the schema is strict/,
    );
    const { sortOrder: _, ...known } = schema.properties.a;
    const strict = spec({ ...schema, properties: { a: known } }, true);
    expect(await allows(strict, '{"a": "b"}')).toBe(true);
    expect(await allows(strict, '{"a": "b", "c": 1}')).toBe(false);
  });
});
