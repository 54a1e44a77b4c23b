// One schema that says what several say together: for `allOf`, and for keywords beside `$ref`, `anyOf` and `oneOf`.

import {
  isAnnotation,
  isSchema,
  type Path,
  type Schema,
  type Type,
  typesOf,
  unsupported,
} from './schema-keywords.ts';
import type { JsonSchema } from './spec.ts';

/** Values with equal JSON are equal; objects in any order of their keys. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, inner]) => `${JSON.stringify(key)}:${canonical(inner)}`).join()}}`;
}

const smallest = ['maximum', 'exclusiveMaximum', 'maxLength', 'maxItems', 'maxProperties'];
const largest = ['minimum', 'exclusiveMinimum', 'minLength', 'minItems', 'minProperties'];
const schemas = ['items', 'additionalProperties', 'propertyNames', 'additionalItems'];

const both = (a: unknown, b: unknown): JsonSchema =>
  canonical(a) === canonical(b) ? (a as JsonSchema) : { allOf: [a, b] };

/**
 * Both schemas as one. Patterns of both are kept as a list under `pattern`.
 * @throws IngotError `unsupported` for a keyword that both have and that cannot be joined.
 */
export function merge(a: JsonSchema, b: JsonSchema, path: Path): JsonSchema {
  if (a === false || b === false) return false;
  if (a === true) return b;
  if (b === true) return a;
  const result: Record<string, unknown> = { ...a };
  for (const [keyword, value] of Object.entries(b)) {
    const before = a[keyword];
    result[keyword] =
      before === undefined || isAnnotation(keyword) ? value : joined(keyword, before, value, path);
  }
  if (isSchema(result.properties)) result.properties = closedProperties(a, b, result.properties);
  return result;
}

function joined(keyword: string, a: unknown, b: unknown, path: Path): unknown {
  if (canonical(a) === canonical(b)) return a;
  if (smallest.includes(keyword)) return Math.min(a as number, b as number);
  if (largest.includes(keyword)) return Math.max(a as number, b as number);
  if (schemas.includes(keyword) && !Array.isArray(a) && !Array.isArray(b)) return both(a, b);
  switch (keyword) {
    case 'type':
      return commonTypes(typesOf({ type: a }) ?? [], typesOf({ type: b }) ?? []);
    case 'enum':
      return commonValues(a as unknown[], b as unknown[]);
    case 'required':
      return [...new Set([...(a as string[]), ...(b as string[])])];
    case 'properties':
    case 'patternProperties':
      return joinedMaps(a as Schema, b as Schema);
    case 'pattern':
      return [a, b].flat();
    case 'allOf':
      return [...(a as unknown[]), ...(b as unknown[])];
    case 'anyOf':
      return (a as unknown[]).flatMap((x) => (b as unknown[]).map((y) => both(x, y)));
    case 'uniqueItems':
    case 'unevaluatedItems':
    case 'unevaluatedProperties':
      return keyword === 'uniqueItems' ? a || b : a && b;
    default:
      throw unsupported(path, keyword, `is given twice, as ${JSON.stringify(a)} and as ${JSON.stringify(b)}`);
  }
}

function commonTypes(a: readonly Type[], b: readonly Type[]): readonly Type[] {
  const allows = (types: readonly Type[], type: Type): boolean =>
    types.includes(type) || (type === 'integer' && types.includes('number'));
  return [...new Set([...a, ...b])].filter((type) => allows(a, type) && allows(b, type));
}

function commonValues(a: readonly unknown[], b: readonly unknown[]): readonly unknown[] {
  const inB = new Set(b.map(canonical));
  return a.filter((value) => inB.has(canonical(value)));
}

function joinedMaps(a: Schema, b: Schema): Schema {
  const result: Record<string, unknown> = { ...a };
  for (const [key, schema] of Object.entries(b)) {
    result[key] = Object.hasOwn(a, key) ? both(a[key], schema) : schema;
  }
  return result;
}

/** What one schema says of further properties holds for those that only the other names. */
function closedProperties(a: Schema, b: Schema, properties: Schema): Schema {
  const result: Record<string, unknown> = { ...properties };
  for (const [schema, other] of [
    [a, b],
    [b, a],
  ] as const) {
    const further = schema.additionalProperties;
    if (further === undefined || further === true) continue;
    const named = isSchema(schema.properties) ? schema.properties : {};
    for (const key of Object.keys(isSchema(other.properties) ? other.properties : {})) {
      if (!Object.hasOwn(named, key)) result[key] = further === false ? false : both(result[key], further);
    }
  }
  return result;
}
