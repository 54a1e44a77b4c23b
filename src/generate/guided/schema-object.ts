// Objects: the properties a schema names in their order, those that need not be there left out or not, others at the end.

import { matches } from './automaton.ts';
import { character } from './code-points.ts';
import { canonicalCharacter, colon, comma, enclosedObject, quoted, stringCharacter } from './json-text.ts';
import { anywhere } from './regex.ts';
import type { SchemaReader } from './schema.ts';
import { isAnnotation, numberAt, type Path, type Schema, unsupported } from './schema-keywords.ts';
import type { JsonSchema } from './spec.ts';
import { alt, both, empty, literal, never, not, repeat, seq, type Term } from './term.ts';

interface Property {
  readonly member: Term;
  readonly required: boolean;
}

/** Texts of the objects that a flat schema allows. */
export function objectText(reader: SchemaReader, schema: Schema, path: Path): Term {
  const properties = namedProperties(reader, schema, path);
  const further = furtherMembers(reader, schema, path);
  const min = numberAt(schema, 'minProperties') ?? 0;
  const max = numberAt(schema, 'maxProperties') ?? Number.POSITIVE_INFINITY;
  return enclosedObject(members(properties, further, min, max, path));
}

/**
 * What follows when property `i` is next and `count` have been written. Counts are told apart only as far as the bounds
 * need it.
 */
function members(properties: readonly Property[], further: Term, min: number, max: number, path: Path): Term {
  const most = max < Number.POSITIVE_INFINITY || min > 1 ? properties.length : 1;
  const known = new Map<string, Term>();
  const from = (i: number, count: number): Term => {
    const key = `${i},${count}`;
    const made = known.get(key) ?? make(i, count);
    known.set(key, made);
    return made;
  };
  const make = (i: number, count: number): Term => {
    const property = properties[i];
    if (!property) return others(further, count, min, max, path);
    const next = Math.min(count + 1, most);
    const present = count >= max ? never : seq(count > 0 ? comma : empty, property.member, from(i + 1, next));
    return property.required ? present : alt(present, from(i + 1, count));
  };
  // From the last property on, so that a long list does not become a deep recursion.
  for (let i = properties.length; i >= 0; i--) for (let count = 0; count <= most; count++) from(i, count);
  return from(0, 0);
}

function others(further: Term, count: number, min: number, max: number, path: Path): Term {
  const missing = Math.max(0, min - count);
  if (further.kind === 'never') return missing > 0 ? never : empty;
  if (missing > 1) {
    throw unsupported(
      path,
      'minProperties',
      'asks for several properties without names, which may come out equal',
    );
  }
  const room = max - count;
  if (count > 0) return repeat(seq(comma, further), missing, room);
  const some = room > 0 ? seq(further, repeat(seq(comma, further), 0, room - 1)) : never;
  return missing > 0 ? some : alt(empty, some);
}

function namedProperties(reader: SchemaReader, schema: Schema, path: Path): readonly Property[] {
  const named = (schema.properties ?? {}) as Readonly<Record<string, JsonSchema>>;
  const required = new Set((schema.required ?? []) as readonly string[]);
  const unnamed = [...required].filter((key) => !Object.hasOwn(named, key));
  const patterns = patternsOf(schema);
  const property = (key: string, value: JsonSchema, at: Path): Property => {
    const matching = patterns.filter(([pattern]) => matches(anywhere(pattern, character), key));
    const all: JsonSchema =
      matching.length === 0 ? value : { allOf: [value, ...matching.map(([, inner]) => inner)] };
    return {
      member: seq(literal(JSON.stringify(key)), colon, reader.text(all, at)),
      required: required.has(key),
    };
  };
  const rest = (schema.additionalProperties ?? true) as JsonSchema;
  return [
    ...Object.entries(named).map(([key, value]) =>
      property(key, value, `${path}/properties/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`),
    ),
    ...unnamed.map((key) => property(key, rest, `${path}/additionalProperties`)),
  ];
}

const patternsOf = (schema: Schema): readonly (readonly [string, JsonSchema])[] =>
  Object.entries((schema.patternProperties ?? {}) as Readonly<Record<string, JsonSchema>>);

/** One member whose key the schema does not name; never when there may be none. */
function furtherMembers(reader: SchemaReader, schema: Schema, path: Path): Term {
  const named = [
    ...Object.keys((schema.properties ?? {}) as object),
    ...((schema.required ?? []) as readonly string[]),
  ];
  const patterns = patternsOf(schema);
  const keys = keyContent(reader, schema, path);
  const matching = patterns.map(([pattern]) => anywhere(pattern, stringCharacter));
  const excluding = (key: Term, others: readonly Term[]): Term => {
    const excluded = [...named.map((name) => literal(JSON.stringify(name).slice(1, -1))), ...others];
    return excluded.length === 0 ? key : both(key, not(alt(...excluded)));
  };
  const member = (key: Term, value: JsonSchema, at: Path): Term =>
    value === false ? never : seq(quoted(key), colon, reader.text(value, at));
  const isClosed =
    schema.properties !== undefined || patterns.length > 0 || schema.unevaluatedProperties === false;
  const rest = (schema.additionalProperties ?? !isClosed) as JsonSchema;
  return alt(
    // A key that two patterns match would have to satisfy both schemas: it is left out.
    ...patterns.map(([, value], i) =>
      member(
        excluding(
          both(keys, matching[i] ?? never),
          matching.filter((_, other) => other !== i),
        ),
        value,
        `${path}/patternProperties/${i}`,
      ),
    ),
    member(excluding(keys, matching), rest, `${path}/additionalProperties`),
  );
}

/** Text between the quotes of a key, as `propertyNames` allows it. */
function keyContent(reader: SchemaReader, schema: Schema, path: Path): Term {
  const names = schema.propertyNames as JsonSchema | undefined;
  if (names === undefined || names === true) return repeat(canonicalCharacter);
  if (names === false) return never;
  const at = `${path}/propertyNames`;
  const flat = reader.flat(names, at);
  if (typeof flat === 'boolean') return flat ? repeat(canonicalCharacter) : never;
  const { enum: listed, const: only, type: _, ...rest } = flat;
  const strange = Object.keys(rest).find(
    (keyword) => !['pattern', 'format', 'minLength', 'maxLength'].includes(keyword) && !isAnnotation(keyword),
  );
  if (strange !== undefined) throw unsupported(at, strange, 'cannot be followed in the names of properties');
  const given = 'const' in flat ? [only] : (listed as readonly unknown[] | undefined);
  const content = reader.stringContent(rest, at);
  if (!given) return content;
  const texts = given.filter((name) => typeof name === 'string');
  return both(content, alt(...texts.map((name) => literal(JSON.stringify(name).slice(1, -1)))));
}
