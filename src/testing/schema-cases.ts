// JSON schemas as they come from SDKs, model classes and tool definitions, with values that satisfy them and values that do not.

import type { JsonSchema } from '../generate/guided/spec.ts';

export interface SchemaCase {
  readonly name: string;
  readonly schema: JsonSchema;
  /** Properties in the order of the schema. */
  readonly valid: readonly unknown[];
  readonly invalid: readonly unknown[];
}

const one = (
  name: string,
  schema: JsonSchema,
  valid: readonly unknown[],
  invalid: readonly unknown[],
): SchemaCase => ({ name, schema, valid, invalid });

const object = (
  properties: Record<string, unknown>,
  required: readonly string[] = Object.keys(properties),
) => ({
  type: 'object',
  properties,
  required,
  additionalProperties: false,
});
const string = { type: 'string' };
const integer = { type: 'integer' };

const people = object({
  people: {
    type: 'array',
    items: object({ name: string, age: { type: 'integer', minimum: 0, maximum: 150 } }),
  },
});
const tree = {
  $defs: { node: object({ value: integer, children: { type: 'array', items: { $ref: '#/$defs/node' } } }) },
  $ref: '#/$defs/node',
};
const shape = {
  oneOf: [
    object({ type: { const: 'circle' }, radius: { type: 'number', exclusiveMinimum: 0 } }),
    object({ type: { const: 'box' }, width: { type: 'number' }, height: { type: 'number' } }),
  ],
};
const pydantic = {
  $defs: {
    Address: {
      properties: {
        street: { title: 'Street', type: 'string' },
        zip: { pattern: '^\\d{5}$', title: 'Zip', type: 'string' },
      },
      required: ['street', 'zip'],
      title: 'Address',
      type: 'object',
    },
    Role: { enum: ['admin', 'user'], title: 'Role', type: 'string' },
  },
  properties: {
    name: { title: 'Name', type: 'string' },
    role: { $ref: '#/$defs/Role' },
    address: { anyOf: [{ $ref: '#/$defs/Address' }, { type: 'null' }], default: null },
    tags: { items: { type: 'string' }, title: 'Tags', type: 'array' },
  },
  required: ['name', 'role'],
  title: 'User',
  type: 'object',
};

export const realisticSchemas: readonly SchemaCase[] = [
  one(
    'not a given list',
    { type: 'array', maxItems: 3, not: { const: [1, 2] } },
    [[], [1], [1, 3], [2, 2], [1, 2, 3]],
    [[1, 2]],
  ),
  one(
    'none of some given values',
    { type: ['array', 'object'], not: { enum: [[1, 2], [1, 3], [], { a: [1], b: 2 }, { a: [1] }, {}] } },
    [[1, 4], [2, 2], [1, 2, 3], [1], { a: [2] }, { a: [1], b: 3 }, { a: [1], c: 2 }, { b: 2 }],
    [[1, 2], [1, 3], [], { a: [1] }, { a: [1], b: 2 }, {}],
  ),
  one(
    'exports of a package',
    {
      $defs: {
        entry: { type: ['string', 'null'], pattern: '^\\./' },
        conditions: {
          type: 'object',
          properties: { import: { $ref: '#/$defs/entry' } },
          patternProperties: { '^[^.0-9]+$': { $ref: '#/$defs/entry' } },
          additionalProperties: false,
        },
      },
      oneOf: [
        { $ref: '#/$defs/entry' },
        {
          type: 'object',
          properties: { '.': { oneOf: [{ $ref: '#/$defs/entry' }, { $ref: '#/$defs/conditions' }] } },
          patternProperties: { '^\\./': { $ref: '#/$defs/entry' } },
          additionalProperties: false,
        },
        { $ref: '#/$defs/conditions' },
      ],
    },
    ['./a.js', { '.': './a.js' }, { '.': { import: './a.js' }, './b': null }, { import: './a.js' }],
    ['a.js', { '.': 'a.js' }, { '.': './a.js', import: './a.js' }, {}],
  ),
  one(
    'one of several credentials',
    {
      type: 'object',
      oneOf: ['a', 'b', 'c', 'd', 'e'].map((k) => ({ required: [k], properties: { [k]: string } })),
    },
    [{ a: 'x' }, { e: 'y' }, { c: 'x', other: 1 }],
    [{}, { a: 'x', b: 'y' }, { a: 1 }],
  ),
  one(
    'sentiment',
    object({
      sentiment: { enum: ['positive', 'neutral', 'negative'] },
      confidence: { type: 'number', minimum: 0, maximum: 1 },
    }),
    [{ sentiment: 'neutral', confidence: 0.5 }],
    [
      { sentiment: 'meh', confidence: 0.5 },
      { sentiment: 'neutral', confidence: 1.5 },
      { sentiment: 'neutral' },
    ],
  ),
  one(
    'people',
    people,
    [{ people: [] }, { people: [{ name: 'Ada', age: 36 }] }],
    [{ people: [{ name: 'Ada' }] }, { people: [{ name: 'Ada', age: 151 }] }, {}],
  ),
  one(
    'calendar event',
    object({
      name: string,
      date: { type: 'string', format: 'date' },
      participants: { type: 'array', items: string },
    }),
    [{ name: 'x', date: '2024-02-28', participants: ['a'] }],
    [{ name: 'x', date: '2024-13-01', participants: [] }],
  ),
  one(
    'math steps',
    object({
      steps: { type: 'array', items: object({ explanation: string, output: string }) },
      final_answer: string,
    }),
    [{ steps: [{ explanation: 'e', output: 'o' }], final_answer: '1' }],
    [{ steps: {}, final_answer: '1' }],
  ),
  one(
    'recursive ui',
    {
      $defs: {
        ui: object({
          type: { enum: ['div', 'button'] },
          label: string,
          children: { type: 'array', items: { $ref: '#/$defs/ui' } },
        }),
      },
      ...object({ root: { $ref: '#/$defs/ui' } }),
    },
    [{ root: { type: 'div', label: '', children: [{ type: 'button', label: 'ok', children: [] }] } }],
    [{ root: { type: 'p', label: '', children: [] } }],
  ),
  one(
    'recursive by #',
    object({ value: integer, next: { anyOf: [{ $ref: '#' }, { type: 'null' }] } }),
    [{ value: 1, next: { value: 2, next: null } }],
    [{ value: 1, next: { value: 'x', next: null } }],
  ),
  one('tree', tree, [{ value: 1, children: [{ value: 2, children: [] }] }], [{ value: 1, children: [3] }]),
  one(
    'discriminated union',
    shape,
    [
      { type: 'circle', radius: 2 },
      { type: 'box', width: 1, height: 2.5 },
    ],
    [
      { type: 'circle', width: 1, height: 2 },
      { type: 'circle', radius: 0 },
    ],
  ),
  one(
    'list of unions',
    { type: 'array', items: shape, minItems: 1 },
    [[{ type: 'circle', radius: 2 }]],
    [[], [{ type: 'line' }]],
  ),
  one(
    'model class',
    pydantic,
    [
      { name: 'a', role: 'user' },
      { name: 'a', role: 'admin', address: { street: 's', zip: '12345' }, tags: ['x'] },
      { name: 'a', role: 'user', address: null },
    ],
    [
      { name: 'a', role: 'root' },
      { name: 'a', role: 'user', address: { street: 's', zip: '1234' } },
    ],
  ),
  one(
    'optional everywhere',
    object({ a: string, b: integer, c: { type: 'boolean' } }, []),
    [{}, { a: '' }, { b: 1 }, { c: true }, { a: 'x', c: false }],
    [{ d: 1 }, { b: 'x' }],
  ),
  one(
    'required in the middle',
    object({ a: string, b: integer, c: string }, ['b']),
    [{ b: 1 }, { a: '', b: 2 }, { b: 3, c: 'x' }],
    [{ a: '' }, { a: '', c: '' }],
  ),
  one(
    'required but not described',
    { type: 'object', required: ['id', 'name'], properties: { name: string } },
    [{ name: 'x', id: [1] }],
    [{ name: 'x' }, { id: 1 }],
  ),
  one(
    'weather tool',
    object(
      { location: { type: 'string', description: 'City' }, unit: { type: 'string', enum: ['c', 'f'] } },
      ['location'],
    ),
    [{ location: 'Paris' }, { location: 'Paris', unit: 'c' }],
    [{ unit: 'c' }, { location: 'Paris', unit: 'k' }],
  ),
  one(
    'search tool',
    object(
      {
        query: { type: 'string', minLength: 1, maxLength: 200 },
        limit: { type: 'integer', minimum: 1, maximum: 50, default: 10 },
        filters: { type: 'object', additionalProperties: { type: 'string' } },
      },
      ['query'],
    ),
    [{ query: 'x', limit: 50, filters: { a: 'b' } }],
    [{ query: '' }, { query: 'x', limit: 0 }, { query: 'x', filters: { a: 1 } }],
  ),
  one(
    'edit file tool',
    object({
      path: string,
      edits: {
        type: 'array',
        items: object({ old: string, new: string, all: { type: 'boolean' } }, ['old', 'new']),
        minItems: 1,
      },
    }),
    [{ path: '/a', edits: [{ old: 'x\n"y"', new: '\\' }] }],
    [{ path: '/a', edits: [] }],
  ),
  one(
    'shell tool',
    object({
      command: { type: 'array', items: string, minItems: 1 },
      timeout_ms: { type: ['integer', 'null'] },
    }),
    [{ command: ['ls'], timeout_ms: null }],
    [
      { command: 'ls', timeout_ms: 1 },
      { command: [], timeout_ms: 1 },
    ],
  ),
  one(
    'sql tool',
    object({ sql: { type: 'string', pattern: '^SELECT ' } }),
    [{ sql: 'SELECT 1' }],
    [{ sql: 'DROP TABLE x' }],
  ),
  one('pattern without anchors', { type: 'string', pattern: '\\d{2}' }, ['12', 'a12b', '9123'], ['1a2', '']),
  one('pattern with alternatives', { type: 'string', pattern: '^a|b$' }, ['ax', 'xb', 'ab'], ['xa', 'bx']),
  one('pattern over quotes', { type: 'string', pattern: '^"\\\\\\n[^"]$' }, ['"\\\nx'], ['"\\\n"', 'x']),
  one(
    'semver',
    { type: 'string', pattern: '^(0|[1-9]\\d*)\\.(0|[1-9]\\d*)\\.(0|[1-9]\\d*)(?:-[\\w.-]+)?$' },
    ['1.2.3', '0.0.1-rc.1'],
    ['1.2', '01.2.3'],
  ),
  one(
    'pattern and length',
    { type: 'string', pattern: '^(ab)+$', minLength: 3, maxLength: 7 },
    ['abab', 'ababab'],
    ['ab', 'abababab', 'aba'],
  ),
  one(
    'length counts characters',
    { type: 'string', minLength: 2, maxLength: 3 },
    ['é😀', '"\\\n'],
    ['😀', 'abcd'],
  ),
  one('uuid', { type: 'string', format: 'uuid' }, ['f81d4fae-7dec-11d0-a765-00a0c91e6bf6'], ['f81d4fae']),
  one(
    'date-time',
    { type: 'string', format: 'date-time' },
    ['2024-12-31T23:59:59Z', '1999-04-30T00:00:00.123+02:00'],
    ['2024-12-31', '2024-02-30T00:00:00Z'],
  ),
  one('email', { type: 'string', format: 'email' }, ['a.b+c@example.com'], ['a@', 'a b@c.de']),
  one(
    'ip addresses',
    {
      type: 'array',
      items: {
        anyOf: [
          { type: 'string', format: 'ipv4' },
          { type: 'string', format: 'ipv6' },
        ],
      },
    },
    [['127.0.0.1', '::1']],
    [['256.0.0.1']],
  ),
  one('uri', { type: 'string', format: 'uri' }, ['https://example.com/a?b=c#d'], ['example']),
  one('duration', { type: 'string', format: 'duration' }, ['P1DT2H', 'PT5M', 'P3W'], ['1D', 'P']),
  one(
    'constants',
    object({ a: { const: 'x' }, b: { const: 1 }, c: { const: null }, d: { const: [1, { e: 'f' }] } }),
    [{ a: 'x', b: 1, c: null, d: [1, { e: 'f' }] }],
    [{ a: 'y', b: 1, c: null, d: [1, { e: 'f' }] }],
  ),
  one(
    'enum of many kinds',
    { enum: ['a', 1, null, true, [1], { b: 2 }] },
    ['a', 1, null, true, [1], { b: 2 }],
    ['b', 2, false, [], {}],
  ),
  one('enum with a type', { type: 'string', enum: ['a', 'b', 1] }, ['a'], [1]),
  one('enum with a bound', { enum: [1, 5, 10], minimum: 3 }, [5, 10], [1, 3]),
  one(
    'tuple',
    { type: 'array', prefixItems: [string, integer], items: false, minItems: 2 },
    [['a', 1]],
    [['a'], ['a', 1, 2], [1, 'a']],
  ),
  one(
    'tuple with more',
    { type: 'array', prefixItems: [string], items: integer },
    [[], ['a'], ['a', 1, 2]],
    [['a', 'b']],
  ),
  one(
    'nested lists',
    { type: 'array', items: { type: 'array', items: { type: 'array', items: integer, maxItems: 2 } } },
    [[[[1, 2]], []]],
    [[[[1, 2, 3]]], [1]],
  ),
  one(
    'bounded list',
    { type: 'array', items: { type: 'boolean' }, minItems: 2, maxItems: 3 },
    [
      [true, false],
      [true, true, true],
    ],
    [[true], [true, true, true, true]],
  ),
  one('empty list only', { type: 'array', maxItems: 0 }, [[]], [[1]]),
  one(
    'map of numbers',
    { type: 'object', additionalProperties: { type: 'number' } },
    [{}, { a: 1, b: 2.5 }],
    [{ a: '1' }],
  ),
  one(
    'map with named keys',
    { type: 'object', properties: { id: integer }, required: ['id'], additionalProperties: string },
    [{ id: 1 }, { id: 1, x: 'y' }],
    [{ id: 'x' }, { id: 1, x: 2 }],
  ),
  one(
    'pattern properties',
    { type: 'object', patternProperties: { '^x_': string, '^n_': integer }, additionalProperties: false },
    [{ x_a: 'b', n_a: 1 }, {}],
    [{ x_a: 1 }, { y: 1 }],
  ),
  one(
    'property names',
    { type: 'object', propertyNames: { enum: ['a', 'b'] }, additionalProperties: integer },
    [{ a: 1 }, { b: 2, a: 1 }],
    [{ c: 1 }],
  ),
  one(
    'at least one property',
    {
      type: 'object',
      properties: { a: integer, b: integer, c: integer },
      minProperties: 1,
      maxProperties: 2,
      additionalProperties: false,
    },
    [{ a: 1 }, { b: 1, c: 2 }],
    [{}, { a: 1, b: 2, c: 3 }],
  ),
  one(
    'allOf',
    {
      allOf: [
        { type: 'object', properties: { a: string }, required: ['a'] },
        { type: 'object', properties: { b: integer }, required: ['b'] },
      ],
    },
    [{ a: 'x', b: 1 }],
    [{ a: 'x' }, { b: 1 }],
  ),
  one(
    'extended reference',
    {
      $defs: { base: { type: 'object', properties: { id: integer }, required: ['id'] } },
      allOf: [{ $ref: '#/$defs/base' }],
      properties: { name: string },
      required: ['name'],
    },
    [{ name: 'x', id: 1 }],
    [{ name: 'x' }],
  ),
  one(
    'bounds that tighten',
    { allOf: [{ type: 'integer', minimum: 0 }, { maximum: 10 }, { minimum: 5 }] },
    [5, 10],
    [4, 11],
  ),
  one(
    'any of with base',
    {
      type: 'object',
      properties: { a: integer, b: integer },
      additionalProperties: false,
      anyOf: [{ required: ['a'] }, { required: ['b'] }],
    },
    [{ a: 1 }, { b: 1 }, { a: 1, b: 2 }],
    [{}, { c: 1 }],
  ),
  one(
    'one of types',
    { oneOf: [string, { type: 'integer' }, { type: 'array', items: string }] },
    ['a', 1, ['b']],
    [1.5, [1], null],
  ),
  one(
    'nullable by type',
    object({ a: { type: ['string', 'null'] }, b: { type: ['number', 'boolean'] } }),
    [
      { a: null, b: true },
      { a: 'x', b: 1.5 },
    ],
    [{ a: 1, b: true }],
  ),
  one(
    'keys that need escapes',
    object({ 'a"b': integer, 'c\\d': integer, 'é\n': integer, '': integer }),
    [{ 'a"b': 1, 'c\\d': 2, 'é\n': 3, '': 4 }],
    [{ 'a"b': 1 }],
  ),
  one(
    'money',
    object({
      amount: { type: 'number', multipleOf: 0.01, minimum: 0 },
      currency: { type: 'string', pattern: '^[A-Z]{3}$' },
    }),
    [{ amount: 12.34, currency: 'EUR' }],
    [
      { amount: 12.345, currency: 'EUR' },
      { amount: 1, currency: 'eur' },
    ],
  ),
  one(
    'anchored by name',
    {
      $defs: { p: { $anchor: 'point', ...object({ x: integer, y: integer }) } },
      type: 'array',
      items: { $ref: '#point' },
    },
    [[{ x: 1, y: 2 }]],
    [[{ x: 1 }]],
  ),
  one('anything', true, [1, 'a', [{}], null], []),
  one('any object', { type: 'object' }, [{}, { a: [1] }], [1, []]),
];
