// Whether the alternatives of a `oneOf` exclude each other. A value that satisfies two of them would be invalid, so what
// cannot be shown to be apart is refused.

import {
  isSchema,
  type Path,
  type Schema,
  type Type,
  typeOfValue,
  typesOf,
  unsupported,
} from './schema-keywords.ts';
import { canonical } from './schema-merge.ts';
import type { JsonSchema } from './spec.ts';

/** Throws unsupported when two of the flat schemas may have a value in common. */
export function checkDisjoint(options: readonly JsonSchema[], path: Path): void {
  options.forEach((a, i) => {
    options.slice(i + 1).forEach((b, j) => {
      if (areApart(a, b)) return;
      throw unsupported(
        path,
        'oneOf',
        `has alternatives ${i} and ${i + 1 + j} that may both hold: use anyOf, or tell them apart by type or by a required property with a const`,
      );
    });
  });
}

function areApart(a: JsonSchema, b: JsonSchema): boolean {
  if (a === false || b === false) return true;
  if (a === true || b === true) return false;
  const [valuesA, valuesB] = [valuesOf(a), valuesOf(b)];
  if (valuesA && valuesB) {
    const inB = new Set(valuesB.map(canonical));
    return !valuesA.some((value) => inB.has(canonical(value)));
  }
  const shared = commonTypes(allowedTypes(a, valuesA), allowedTypes(b, valuesB));
  if (shared.length === 0) return true;
  return shared.every((type) => type === 'object') && objectsApart(a, b);
}

const valuesOf = (schema: Schema): readonly unknown[] | undefined =>
  'const' in schema ? [schema.const] : (schema.enum as readonly unknown[] | undefined);

const allowedTypes = (schema: Schema, values: readonly unknown[] | undefined): readonly Type[] | undefined =>
  values?.map(typeOfValue) ?? typesOf(schema);

/** Undefined stands for any type. */
function commonTypes(a: readonly Type[] | undefined, b: readonly Type[] | undefined): readonly Type[] {
  if (!a || !b) return a ?? b ?? ['string'];
  const meets = (type: Type, others: readonly Type[]): boolean =>
    others.includes(type) ||
    (type === 'integer' && others.includes('number')) ||
    (type === 'number' && others.includes('integer'));
  return a.filter((type) => meets(type, b));
}

/** Objects are apart when a property that both must have is, or when one must have what the other forbids. */
function objectsApart(a: Schema, b: Schema): boolean {
  return (
    requiredOf(a).some((key) => {
      const inA = propertyOf(a, key);
      const inB = propertyOf(b, key);
      if (inB === false) return true;
      return requiredOf(b).includes(key) && isApartHere(inA, inB);
    }) || requiredOf(b).some((key) => propertyOf(a, key) === false)
  );
}

const isApartHere = (a: JsonSchema, b: JsonSchema): boolean =>
  isSchema(a) && isSchema(b) && !('$ref' in a) && !('$ref' in b) && areApart(a, b);

const requiredOf = (schema: Schema): readonly string[] => (schema.required ?? []) as readonly string[];

function propertyOf(schema: Schema, key: string): JsonSchema {
  const named = (schema.properties ?? {}) as Readonly<Record<string, JsonSchema>>;
  if (Object.hasOwn(named, key)) return named[key] ?? true;
  return schema.additionalProperties !== false || schema.patternProperties !== undefined;
}
