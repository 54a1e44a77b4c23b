// Schemas as callers have them: JSON Schema, or a validator of theirs such as one of zod, whose JSON Schema is asked for.

import type { ZodType } from 'zod';
import type { JsonSchema } from '../generate/guided/spec.ts';
import { refuse } from './check.ts';

/** A schema of zod 4, or of any library that writes JSON Schema by https://standardschema.dev/json-schema. */
export interface Validator<T = unknown> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => unknown;
    readonly types?: { readonly output: T } | undefined;
  };
}

/** What describes a value: its JSON Schema, or a validator. */
export type SchemaInput<T = unknown> = Readonly<Record<string, unknown>> | Validator<T>;

interface StandardJson {
  readonly jsonSchema?: { readonly input: (options: { readonly target: string }) => Record<string, unknown> };
}

/** Whether a schema is a validator, whose objects have the properties that it names and no others unless it says so. */
export const isValidator = (schema: unknown): schema is Validator =>
  (typeof schema === 'object' || typeof schema === 'function') && schema !== null && '~standard' in schema;

/**
 * The JSON Schema of `schema`. @throws IngotError `invalid_argument` naming `name` for what has none; a validator's own error for
 * what it cannot write down.
 */
export async function jsonSchemaOf(schema: unknown, name: string): Promise<JsonSchema> {
  if (typeof schema === 'boolean') return schema;
  const expected = 'a JSON Schema or a schema of zod 4';
  if ((typeof schema !== 'object' && typeof schema !== 'function') || schema === null)
    refuse(name, expected, schema);
  if (!('~standard' in schema)) {
    // A schema of zod 3 looks like an object with anything in it.
    if ('_def' in schema) refuse(name, expected, schema);
    return schema as Readonly<Record<string, unknown>>;
  }
  const { jsonSchema } = schema['~standard'] as StandardJson;
  if (jsonSchema) return jsonSchema.input({ target: 'draft-2020-12' });
  if (!('_zod' in schema)) refuse(name, expected, schema);
  const { toJSONSchema } = await import('zod');
  return toJSONSchema(schema as unknown as ZodType, { io: 'input' });
}

/** What a validator makes of `value`; the value itself for a JSON Schema. Throws an Error that says what does not fit. */
export async function validated(schema: unknown, value: unknown): Promise<unknown> {
  if (!isValidator(schema)) return value;
  const result = (await schema['~standard'].validate(value)) as {
    readonly value?: unknown;
    readonly issues?: readonly { readonly message: string; readonly path?: readonly unknown[] }[] | undefined;
  };
  if (!result.issues) return result.value;
  throw new Error(
    result.issues
      .map(
        ({ message, path = [] }) =>
          `${path.map((key) => (typeof key === 'object' && key && 'key' in key ? key.key : key)).join('.')}: ${message}`,
      )
      .join('; '),
  );
}
