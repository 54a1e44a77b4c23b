// The keywords of JSON Schema, and reading their values.
// https://json-schema.org/draft/2020-12/json-schema-validation

import { IngotError } from '../../base/errors.ts';

export type Schema = Readonly<Record<string, unknown>>;

/** Where a schema stands in its document, as `#/properties/name`. */
export type Path = string;

export const isSchema = (value: unknown): value is Schema =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Keywords of the standard, of OpenAPI and of editors that say nothing about what is valid. */
const annotations: ReadonlySet<string> = new Set([
  ...['title', 'description', 'default', 'example', 'examples', 'deprecated', 'readOnly', 'writeOnly'],
  ...['$schema', '$id', 'id', '$anchor', '$dynamicAnchor', '$recursiveAnchor', '$comment', '$defs'],
  ...['definitions', '$vocabulary', 'contentEncoding', 'contentMediaType', 'contentSchema'],
  ...['nullable', 'discriminator', 'xml', 'externalDocs', 'enumNames', 'enumDescriptions', 'strict'],
  ...['markdownDescription', 'errorMessage', 'name', 'version', 'links'],
]);

export const types = ['null', 'boolean', 'object', 'array', 'number', 'integer', 'string'] as const;
export type Type = (typeof types)[number];

/**
 * Throws invalid_argument for a keyword whose value is of the wrong kind, and `unsupported` for one that is not followed:
 * all keywords that are no known annotations when that is `strict`.
 */
export function checkKeywords(schema: Schema, path: Path, strict: boolean): void {
  for (const [keyword, value] of Object.entries(schema)) {
    const problem = problemOf(keyword, value);
    if (problem !== undefined) throw wrong(path, keyword, problem);
    if (!strict || checkOf[keyword] !== undefined) continue;
    if (!annotations.has(keyword) && !keyword.startsWith('x-')) {
      throw unsupported(path, keyword, 'is no keyword of JSON Schema, and the schema is strict');
    }
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
  // Draft 3 says with true that a property must be there.
  required: [(v) => isStrings(v) || typeof v === 'boolean', 'must be a list of strings'],
  schema: [isJsonSchema, 'must be a schema: an object, true or false'],
  schemas: [
    (v) => isSchemas(v) && (v as unknown[]).length > 0,
    'must be a list of schemas that is not empty',
  ],
  items: [isSchemas, 'must be a list of schemas'],
  schemaOrList: [(v) => isJsonSchema(v) || isSchemas(v), 'must be a schema or a list of schemas'],
  bound: [(v) => typeof v === 'boolean' || Number.isFinite(v), 'must be a number'],
  dependencies: [
    (v) => isSchema(v) && Object.values(v).every((each) => isJsonSchema(each) || isStrings(each)),
    'must be an object of schemas and of lists of names',
  ],
  stringsMap: [
    (v) => isSchema(v) && Object.values(v).every(isStrings),
    'must be an object whose values are lists of names',
  ],
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
  any: [() => true, ''],
} as const satisfies Record<string, Check>;

/** Draft 3 has `any` for what needs no name since. */
const isType = (value: unknown): boolean => value === 'any' || types.some((type) => type === value);

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
  exclusiveMinimum: 'bound',
  exclusiveMaximum: 'bound',
  multipleOf: 'positive',
  items: 'schemaOrList',
  prefixItems: 'items',
  additionalItems: 'schema',
  unevaluatedItems: 'schema',
  minItems: 'count',
  maxItems: 'count',
  uniqueItems: 'boolean',
  properties: 'schemaMap',
  patternProperties: 'schemaMap',
  required: 'required',
  additionalProperties: 'schema',
  unevaluatedProperties: 'schema',
  propertyNames: 'schema',
  minProperties: 'count',
  maxProperties: 'count',
  const: 'any',
  ...Object.fromEntries(
    ['not', 'if', 'then', 'else', 'contains'].map((keyword) => [keyword, 'schema' as const]),
  ),
  minContains: 'count',
  maxContains: 'count',
  dependentRequired: 'stringsMap',
  dependentSchemas: 'schemaMap',
  dependencies: 'dependencies',
  $dynamicRef: 'string',
  $recursiveRef: 'string',
};

function problemOf(keyword: string, value: unknown): string | undefined {
  const name = checkOf[keyword];
  const check: Check | undefined = name && checks[name];
  return !check || check[0](value) ? undefined : `${check[1]}, got ${JSON.stringify(value)?.slice(0, 80)}`;
}

/** Types a schema allows; undefined when it does not say. `number` includes `integer`. */
export function typesOf(schema: Schema): readonly Type[] | undefined {
  if (schema.type === undefined) return undefined;
  const given = (Array.isArray(schema.type) ? schema.type : [schema.type]) as readonly (Type | 'any')[];
  return given.some((type) => type === 'any') ? undefined : (given as readonly Type[]);
}

/** Names of properties that must be there. */
export function requiredNames(schema: Schema): readonly string[] {
  const listed = Array.isArray(schema.required) ? (schema.required as readonly string[]) : [];
  const properties = Object.entries((schema.properties ?? {}) as Schema);
  const marked = properties.filter(([, value]) => isSchema(value) && value.required === true);
  return [...listed, ...marked.map(([name]) => name)];
}

export const numberAt = (schema: Schema, keyword: string): number | undefined =>
  schema[keyword] as number | undefined;
