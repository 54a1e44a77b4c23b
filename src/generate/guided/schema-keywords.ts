// Which keywords of JSON Schema are followed, and reading their values. What is not followed is an error, never ignored.
// https://json-schema.org/draft/2020-12/json-schema-validation

import { IngotError } from '../../base/errors.ts';
import type { JsonSchema } from './spec.ts';

export type Schema = Readonly<Record<string, unknown>>;

/** Where a schema stands in its document, as `#/properties/name`. */
export type Path = string;

export const isSchema = (value: unknown): value is Schema =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Say nothing about what is valid. */
const annotations: ReadonlySet<string> = new Set([
  ...['title', 'description', 'default', 'example', 'examples', 'deprecated', 'readOnly', 'writeOnly'],
  ...['$schema', '$id', 'id', '$anchor', '$comment', '$defs', 'definitions', '$vocabulary'],
  ...['contentEncoding', 'contentMediaType', 'contentSchema'],
]);

/** Keywords by the type they speak of; `any` are those for every type. */
export const keywords = {
  any: ['type', 'enum', 'const', 'anyOf', 'oneOf', 'allOf', '$ref'],
  string: ['minLength', 'maxLength', 'pattern', 'format'],
  number: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'],
  array: [
    'items',
    'prefixItems',
    'additionalItems',
    'minItems',
    'maxItems',
    'uniqueItems',
    'unevaluatedItems',
  ],
  object: [
    ...['properties', 'required', 'additionalProperties', 'patternProperties', 'propertyNames'],
    ...['minProperties', 'maxProperties', 'unevaluatedProperties'],
  ],
} as const;

const followed: ReadonlySet<string> = new Set(Object.values(keywords).flat());

export const types = ['null', 'boolean', 'object', 'array', 'number', 'integer', 'string'] as const;
export type Type = (typeof types)[number];

export const isAnnotation = (keyword: string): boolean =>
  annotations.has(keyword) || keyword.startsWith('x-');

/** Throws unsupported for a keyword that is not followed, and invalid_argument for a value of the wrong kind. */
export function checkKeywords(schema: Schema, path: Path): void {
  for (const [keyword, value] of Object.entries(schema)) {
    if (isAnnotation(keyword)) continue;
    if (!followed.has(keyword))
      throw unsupported(path, keyword, 'is not supported in a schema that answers must follow');
    const problem = problemOf(keyword, value);
    if (problem !== undefined) throw wrong(path, keyword, problem);
  }
  if (schema.uniqueItems === true)
    throw unsupported(path, 'uniqueItems', 'cannot be followed while text is generated');
  for (const keyword of ['unevaluatedItems', 'unevaluatedProperties']) {
    if (isSchema(schema[keyword])) throw unsupported(path, keyword, 'is supported as true or false only');
  }
}

export const unsupported = (path: Path, keyword: string, why: string): IngotError =>
  new IngotError('unsupported', `JSON Schema: "${keyword}" at ${path} ${why}`, {
    details: { keyword, path },
  });

export const wrong = (path: Path, keyword: string, why: string): IngotError =>
  new IngotError('invalid_argument', `JSON Schema: "${keyword}" at ${path} ${why}`, {
    details: { keyword, path },
  });

type Check = readonly [(value: unknown) => boolean, string];

const isStrings = (value: unknown): boolean =>
  Array.isArray(value) && value.every((each) => typeof each === 'string');
const isJsonSchema = (value: unknown): boolean => typeof value === 'boolean' || isSchema(value);
const isSchemas = (value: unknown): boolean => Array.isArray(value) && value.every(isJsonSchema);

const checks = {
  count: [(v) => Number.isSafeInteger(v) && (v as number) >= 0, 'must be an integer of at least 0'],
  number: [Number.isFinite, 'must be a number'],
  positive: [(v) => Number.isFinite(v) && (v as number) > 0, 'must be a number above 0'],
  string: [(v) => typeof v === 'string', 'must be a string'],
  strings: [isStrings, 'must be a list of strings'],
  schema: [isJsonSchema, 'must be a schema: an object, true or false'],
  schemas: [
    (v) => isSchemas(v) && (v as unknown[]).length > 0,
    'must be a list of schemas that is not empty',
  ],
  schemaOrList: [(v) => isJsonSchema(v) || isSchemas(v), 'must be a schema or a list of schemas'],
  schemaMap: [
    (v) => isSchema(v) && Object.values(v).every(isJsonSchema),
    'must be an object whose values are schemas',
  ],
  list: [(v) => Array.isArray(v) && v.length > 0, 'must be a list that is not empty'],
  types: [
    (v) => (Array.isArray(v) ? v.length > 0 && v.every(isType) : isType(v)),
    `must be one or a list of ${types.join(', ')}`,
  ],
  boolean: [(v) => typeof v === 'boolean', 'must be true or false'],
} as const satisfies Record<string, Check>;

function isType(value: unknown): value is Type {
  return types.some((type) => type === value);
}

const checkOf: Readonly<Record<string, keyof typeof checks>> = {
  type: 'types',
  enum: 'list',
  anyOf: 'schemas',
  oneOf: 'schemas',
  allOf: 'schemas',
  $ref: 'string',
  minLength: 'count',
  maxLength: 'count',
  pattern: 'string',
  format: 'string',
  minimum: 'number',
  maximum: 'number',
  exclusiveMinimum: 'number',
  exclusiveMaximum: 'number',
  multipleOf: 'positive',
  items: 'schemaOrList',
  prefixItems: 'schemas',
  additionalItems: 'schema',
  unevaluatedItems: 'schema',
  minItems: 'count',
  maxItems: 'count',
  uniqueItems: 'boolean',
  properties: 'schemaMap',
  patternProperties: 'schemaMap',
  required: 'strings',
  additionalProperties: 'schema',
  unevaluatedProperties: 'schema',
  propertyNames: 'schema',
  minProperties: 'count',
  maxProperties: 'count',
};

function problemOf(keyword: string, value: unknown): string | undefined {
  const name = checkOf[keyword];
  const check: Check | undefined = name && checks[name];
  return !check || check[0](value) ? undefined : `${check[1]}, got ${JSON.stringify(value)?.slice(0, 80)}`;
}

/** Types a schema allows; undefined when it does not say. `number` includes `integer`. */
export function typesOf(schema: Schema): readonly Type[] | undefined {
  if (schema.type === undefined) return undefined;
  return (Array.isArray(schema.type) ? schema.type : [schema.type]) as readonly Type[];
}

export function typeOfValue(value: unknown): Type {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value as 'boolean' | 'object' | 'string';
}

export const numberAt = (schema: Schema, keyword: string): number | undefined =>
  schema[keyword] as number | undefined;

/** The part of a document that a `$ref` names. */
export function resolveReference(root: JsonSchema, reference: string, path: Path): JsonSchema {
  if (!reference.startsWith('#')) {
    throw unsupported(path, '$ref', `names ${JSON.stringify(reference)}, outside of the schema`);
  }
  const pointer = decoded(reference.slice(1));
  const found =
    pointer === '' || pointer.startsWith('/') ? atPointer(root, pointer) : withAnchor(root, pointer);
  if (typeof found === 'boolean' || isSchema(found)) return found;
  throw wrong(path, '$ref', `names ${JSON.stringify(reference)}, and there is no schema`);
}

/** Percent signs that are no encoding stay. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function atPointer(root: unknown, pointer: string): unknown {
  let at = root;
  for (const part of pointer.split('/').slice(1)) {
    const key = part.replaceAll('~1', '/').replaceAll('~0', '~');
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) return undefined;
    at = (at as Record<string, unknown>)[key];
  }
  return at;
}

function withAnchor(at: unknown, anchor: string): unknown {
  if (typeof at !== 'object' || at === null) return undefined;
  if ((at as Schema).$anchor === anchor) return at;
  for (const part of Object.values(at)) {
    const found = withAnchor(part, anchor);
    if (found !== undefined) return found;
  }
  return undefined;
}
