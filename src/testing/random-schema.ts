// JSON schemas at random, within what constraints follow; satisfiable, so that a walk always ends.

import type { JsonSchema } from '../generate/guided/spec.ts';

type Json = Record<string, unknown>;

export class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = Math.imul(seed, 0x9e3779b1);
  }
  below(n: number): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) | 0;
    return Math.floor((((this.#state ^ (this.#state >>> 13)) >>> 0) / 2 ** 32) * n);
  }
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }
  chance(percent: number): boolean {
    return this.below(100) < percent;
  }
}

const names = ['id', 'name', 'größe', 'a b', 'quote"d', 'nested', 'list', 'on', 'x-y', 'kind'];
const patterns = ['^[a-z]{1,8}$', '^\\d{3}-\\d{2}$', 'x+', '^(red|green|blue)', '[A-Z]$', '^[^"\\\\]*$'];
const formats = ['date', 'time', 'date-time', 'email', 'uuid', 'ipv4', 'ipv6', 'uri', 'hostname', 'duration'];

export function randomSchema(seed: number): JsonSchema {
  const random = new Random(seed);
  const root = schema(random, 3) as Json;
  if (!random.chance(25)) return root;
  const node = {
    type: 'object',
    properties: { value: schema(random, 1), next: { anyOf: [{ type: 'null' }, { $ref: '#/$defs/node' }] } },
    required: ['value'],
    additionalProperties: false,
  };
  return {
    type: 'object',
    properties: { root, chain: { $ref: '#/$defs/node' } },
    required: ['chain'],
    additionalProperties: false,
    $defs: { node },
  };
}

function schema(random: Random, depth: number): unknown {
  const kinds = ['string', 'string', 'integer', 'number', 'boolean', 'enum', 'const', 'null'];
  const nested = ['object', 'object', 'array', 'tuple', 'anyOf', 'oneOf', 'allOf', 'map', 'types'];
  const kind = random.pick(depth > 0 ? [...kinds, ...nested, ...nested] : kinds);
  const made = schemaOf(kind, random, depth);
  if (random.chance(20)) made.description = 'about this';
  if (random.chance(10)) made.default = null;
  return made;
}

function schemaOf(kind: string, random: Random, depth: number): Json {
  const inner = (): unknown => schema(random, depth - 1);
  switch (kind) {
    case 'string':
      return stringSchema(random);
    case 'integer':
    case 'number':
      return numberSchema(random, kind);
    case 'enum':
      return {
        enum: [random.pick(names), random.below(10), null, [1, 'x'], { a: true }].slice(
          0,
          2 + random.below(4),
        ),
      };
    case 'const':
      return { const: random.pick<unknown>(['só', 7, -0.5, { k: ['v'] }, false]) };
    case 'object':
      return objectSchema(random, inner);
    case 'array': {
      const min = random.below(3);
      const bounds = random.chance(60) ? { minItems: min, maxItems: min + random.below(4) } : {};
      return { type: 'array', items: inner(), ...bounds };
    }
    case 'tuple':
      return {
        type: 'array',
        prefixItems: [inner(), inner()],
        items: random.chance(50) ? false : inner(),
        minItems: 1 + random.below(2),
      };
    case 'anyOf':
      return { anyOf: [inner(), inner(), { type: 'null' }].slice(0, 2 + random.below(2)) };
    case 'oneOf':
      return {
        oneOf: ['circle', 'square', 'line'].map((name) => ({
          type: 'object',
          properties: { kind: { const: name }, size: inner() },
          required: ['kind'],
          additionalProperties: false,
        })),
      };
    case 'allOf':
      return {
        allOf: [
          objectSchema(random, inner, ['id', 'name'], false),
          { type: 'object', properties: { kind: inner() }, required: random.chance(50) ? ['kind'] : [] },
        ],
      };
    case 'map':
      return {
        type: 'object',
        additionalProperties: inner(),
        ...(random.chance(40) ? { propertyNames: { pattern: '^[a-z_]+$', maxLength: 12 } } : {}),
      };
    case 'types':
      return {
        type: random.pick([
          ['string', 'null'],
          ['integer', 'boolean'],
          ['array', 'number'],
        ]),
      };
    default:
      return { type: kind };
  }
}

function stringSchema(random: Random): Json {
  const choice = random.below(5);
  if (choice === 0) return { type: 'string', pattern: random.pick(patterns) };
  if (choice === 1) return { type: 'string', format: random.pick(formats) };
  if (choice === 2) {
    const minLength = random.below(4);
    return { type: 'string', minLength, maxLength: minLength + random.below(20) };
  }
  if (choice === 3) return { type: 'string', pattern: '^[a-zé]+$', minLength: 2, maxLength: 6 };
  return { type: 'string' };
}

function numberSchema(random: Random, type: 'integer' | 'number'): Json {
  const low = random.below(200) - 100;
  const choice = random.below(4);
  if (choice === 0) return { type, minimum: low, maximum: low + 1 + random.below(1000) };
  if (choice === 1) return { type, exclusiveMinimum: low / 8, exclusiveMaximum: low / 8 + 3 };
  if (choice === 2)
    return { type, multipleOf: type === 'integer' ? 1 + random.below(12) : 0.5, minimum: low };
  return { type };
}

function objectSchema(random: Random, inner: () => unknown, only = names, mayClose = true): Json {
  const properties: Json = {};
  for (let i = random.below(5); i >= 0; i--) properties[random.pick(only)] = inner();
  const required = Object.keys(properties).filter(() => random.chance(60));
  const closed = mayClose && random.chance(60) ? { additionalProperties: false } : {};
  return { type: 'object', properties, required, ...closed };
}
