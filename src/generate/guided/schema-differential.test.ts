// Random schemas of every keyword against ajv, by the draft they name: whatever the grammar accepts validates, and most of what
// validates is accepted. Values are small and many, made of the names and texts that the schemas speak of.

import { Ajv } from 'ajv';
import { Ajv2019 } from 'ajv/dist/2019.js';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { expect, it } from 'vitest';
import { IngotError } from '../../base/errors.ts';
import { accepts, grammarOf } from '../../testing/guided.ts';
import { Random } from '../../testing/random-schema.ts';
import type { Automaton } from './automaton.ts';
import type { JsonSchema } from './spec.ts';

type Json = Record<string, unknown>;

const drafts = {
  'http://json-schema.org/draft-07/schema#': Ajv,
  'https://json-schema.org/draft/2019-09/schema': Ajv2019,
  'https://json-schema.org/draft/2020-12/schema': Ajv2020,
};
type Draft = keyof typeof drafts;

const names = ['a', 'b', 'ab', 'x'];
const strings = [
  '',
  'a',
  'ab',
  'ba',
  'abc',
  'P1Y2D',
  'P1Y2M',
  '1.2.3.4',
  '2024-02-29',
  '2023-02-29',
  'a--b',
  '-a',
];
const numbers = [0, 1, 2, 3, -1, 0.5, 1.5, 4];
const patterns = ['^a', 'b$', '^ab?$', '^(?!b)', '.'];

function validatorOf(schema: JsonSchema, draft: Draft): (value: unknown) => boolean | undefined {
  const ajv = new drafts[draft]({ strict: false, validateSchema: false, logger: false });
  (addFormats as unknown as (ajv: unknown) => void)(ajv);
  const validate = ajv.compile(schema);
  return (value) => {
    try {
      return validate(value) === true;
    } catch {
      return undefined; // the code that ajv made names a variable that is not there
    }
  };
}

const scalar = (random: Random): unknown =>
  random.pick<unknown>([null, true, false, random.pick(numbers), random.pick(strings)]);

function value(random: Random, depth = 2): unknown {
  if (depth === 0 || random.chance(35)) return scalar(random);
  const parts = Array.from({ length: random.below(4) }, () => value(random, depth - 1));
  return random.chance(40) ? parts : Object.fromEntries(parts.map((part) => [random.pick(names), part]));
}

/** A schema of one to four keywords. */
function schema(random: Random, draft: Draft, depth = 3): unknown {
  if (random.chance(6)) return random.chance(75);
  const made: Json = {};
  for (let n = 1 + random.below(4); n > 0; n--) Object.assign(made, keyword(random, draft, depth));
  return made;
}

function keyword(random: Random, draft: Draft, depth: number): Json {
  const kinds = [simple, simple, texts, objects, ...(depth > 0 ? [objects, arrays, combined, combined] : [])];
  return random.pick(kinds)(random, draft, depth);
}

function simple(random: Random): Json {
  const types = ['string', 'integer', 'number', 'boolean', 'null', 'object', 'array'];
  return random.pick<() => Json>([
    () => ({ type: random.pick(types) }),
    () => ({ type: [...new Set([random.pick(types), random.pick(types)])] }),
    () => ({ enum: [scalar(random), scalar(random), value(random)] }),
    () => ({ const: value(random, 1) }),
    () => ({ minimum: random.pick(numbers) }),
    () => ({ exclusiveMaximum: random.pick(numbers) }),
    () => ({ multipleOf: random.pick([2, 0.5, 3]) }),
  ])();
}

function texts(random: Random): Json {
  const formats = ['duration', 'hostname', 'date', 'ipv4', 'unknown'];
  return random.pick<() => Json>([
    () => ({ minLength: random.below(3) }),
    () => ({ maxLength: random.below(4) }),
    () => ({ pattern: random.pick(patterns) }),
    () => ({ format: random.pick(formats) }),
  ])();
}

function objects(random: Random, draft: Draft, depth: number): Json {
  const inner = (): unknown => (depth > 0 ? schema(random, draft, depth - 1) : true);
  const isNew = !draft.includes('draft-07');
  return random.pick<() => Json>([
    () => ({ properties: { [random.pick(names)]: inner(), [random.pick(names)]: inner() } }),
    () => ({ required: [random.pick(names)] }),
    () => ({ additionalProperties: random.chance(50) ? false : inner() }),
    () => ({ patternProperties: { [random.pick(patterns)]: inner() } }),
    () => ({ propertyNames: random.pick<Json>([{ pattern: '^a' }, { maxLength: 1 }, { enum: ['a', 'b'] }]) }),
    () => ({ minProperties: random.below(3) }),
    () => ({ maxProperties: random.below(3) }),
    () => ({
      [isNew ? 'dependentRequired' : 'dependencies']: { [random.pick(names)]: [random.pick(names)] },
    }),
    () => (isNew ? { dependentSchemas: { [random.pick(names)]: inner() } } : {}),
    () => (isNew ? { unevaluatedProperties: random.chance(70) ? false : inner() } : {}),
  ])();
}

function arrays(random: Random, draft: Draft, depth: number): Json {
  const inner = (): unknown => schema(random, draft, depth - 1);
  const tuple = draft.includes('2020') ? 'prefixItems' : 'items';
  return random.pick<() => Json>([
    () => ({ items: inner() }),
    () => ({ [tuple]: [inner(), inner()] }),
    () => ({ minItems: random.below(3) }),
    () => ({ maxItems: random.below(3) }),
    () => ({ contains: inner() }),
    () => ({ uniqueItems: true }),
    () => (draft.includes('draft-07') ? {} : { unevaluatedItems: random.chance(70) ? false : inner() }),
    () => (draft.includes('draft-07') ? {} : { contains: inner(), minContains: random.below(3) }),
  ])();
}

function combined(random: Random, draft: Draft, depth: number): Json {
  const inner = (): unknown => schema(random, draft, depth - 1);
  return random.pick<() => Json>([
    () => ({ allOf: [inner(), inner()] }),
    () => ({ anyOf: [inner(), inner()] }),
    () => ({ oneOf: [inner(), inner()] }),
    () => ({ not: inner() }),
    () => Object.fromEntries(['if', 'then', 'else'].map((name) => [name, inner()])),
    () => ({ $ref: '#/definitions/one' }),
  ])();
}

/** A place with too many ways to go on is one where an answer ends with an error. */
function isFollowed(grammar: Automaton, text: string): boolean {
  try {
    return accepts(grammar, text);
  } catch (error) {
    if (error instanceof IngotError && error.code === 'unsupported') return false;
    throw error;
  }
}

it('accepts nothing that ajv refuses, and most of what it accepts', () => {
  const { FUZZ_SEED: given } = process.env;
  const seed = given === 'random' ? Date.now() % 1e6 : Number(given) || 1;
  let [valid, accepted] = [0, 0];
  for (let n = 0; n < 400; n++) {
    const random = new Random(seed * 1000 + n);
    const draft = random.pick(Object.keys(drafts) as Draft[]);
    const root = schema(random, draft);
    const whole = { ...(typeof root === 'boolean' ? { allOf: [root] } : (root as Json)), $schema: draft };
    Object.assign(whole, { definitions: { one: schema(random, draft, 0) } });
    const grammar = grammarOf(whole);
    const validates = validatorOf(whole, draft);
    for (let i = 0; i < 40; i++) {
      const given = value(random);
      const text = JSON.stringify(given);
      const isValid = validates(given);
      if (isValid === undefined) continue;
      const isAccepted = grammar !== undefined && isFollowed(grammar, text);
      if (isAccepted && !isValid) throw new Error(`accepted: ${text}\nschema ${n}: ${JSON.stringify(whole)}`);
      if (isValid) valid++;
      if (isAccepted) accepted++;
    }
  }
  expect(valid).toBeGreaterThan(4000);
  expect(accepted / valid).toBeGreaterThan(0.95);
});
