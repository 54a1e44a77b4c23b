// `--format` and `/set format`: json, a JSON Schema, or a file that holds one.

import { readFileSync } from 'node:fs';
import { IngotError } from '../base/errors.ts';
import type { ConstraintSpec, JsonSchema } from '../generate/guided/spec.ts';

/** @throws IngotError `not_found` for a file that cannot be read, `invalid_argument` for what is no schema. */
export function formatOf(text: string): ConstraintSpec {
  const given = text.trim();
  if (given === 'json') return { kind: 'json_object' };
  const inline = given.startsWith('{');
  let source = given;
  if (!inline) {
    try {
      source = readFileSync(given, 'utf8');
    } catch (cause) {
      throw new IngotError(
        'not_found',
        `${given} cannot be read: ${(cause as Error).message}; a format is "json", a JSON Schema, or a file with one`,
        { cause },
      );
    }
  }
  return { kind: 'json_schema', schema: schemaOf(source, inline ? 'the schema' : given) };
}

function schemaOf(source: string, name: string): JsonSchema {
  let value: unknown;
  try {
    value = JSON.parse(source);
  } catch (cause) {
    throw new IngotError('invalid_argument', `${name} is not JSON: ${(cause as Error).message}`, { cause });
  }
  if (typeof value === 'boolean') return value;
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new IngotError('invalid_argument', `${name} must be a JSON Schema: an object, true or false`);
  return value as JsonSchema;
}
