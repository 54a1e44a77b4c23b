// JSON Schema as a grammar: the texts of values that validate. Properties come in the order in which the schema names them,
// and an object that names properties has no others unless `additionalProperties` says so.

import { IngotError } from '../../base/errors.ts';
import { anyCodePoint, character } from './code-points.ts';
import {
  anyArray,
  anyBoolean,
  anyInteger,
  anyNumber,
  anyObject,
  anyString,
  anyValue,
  comma,
  commaSeparated,
  enclosedArray,
  nullText,
  quoted,
  stringCharacter,
  valueText,
} from './json-text.ts';
import { numberMachine } from './number.ts';
import { anywhere, type Spelling, wholeMatch } from './regex.ts';
import { checkDisjoint } from './schema-disjoint.ts';
import { numberFormats, stringFormats } from './schema-formats.ts';
import {
  checkKeywords,
  isAnnotation,
  keywords,
  numberAt,
  type Path,
  resolveReference,
  type Schema,
  type Type,
  typeOfValue,
  types,
  typesOf,
  unsupported,
  wrong,
} from './schema-keywords.ts';
import { merge } from './schema-merge.ts';
import { objectText } from './schema-object.ts';
import type { JsonSchema } from './spec.ts';
import {
  alt,
  both,
  call,
  empty,
  machine,
  never,
  optional,
  type Rule,
  repeat,
  rule,
  seq,
  type Term,
} from './term.ts';

/** Throws unsupported or invalid_argument with the keyword and its path. */
export const schemaText = (root: JsonSchema): Term => new SchemaReader(root).text(root, '#');

/** Texts of the strings that a schema allows, without quotes and escapes. */
export function plainStringText(root: JsonSchema): Term {
  const reader = new SchemaReader(root);
  const schema = reader.flat(root, '#');
  if (typeof schema === 'boolean') return schema ? repeat(character(anyCodePoint)) : never;
  return reader.stringContent(schema, '#', character);
}

/** Why a schema cannot be followed; undefined when it can. */
export function schemaProblem(root: JsonSchema): IngotError | undefined {
  try {
    schemaText(root);
    return undefined;
  } catch (error) {
    if (error instanceof IngotError) return error;
    throw error;
  }
}

/** Schemas that contain each other deeper than this are a loop of references. */
const maxDepth = 200;

export class SchemaReader {
  readonly #root: JsonSchema;
  /** Rules by the schema they stand for, so that references may recur. */
  readonly #rules = new Map<object, Rule>();
  #depth = 0;

  constructor(root: JsonSchema) {
    this.#root = root;
  }

  /** Texts of the values that `schema` allows. */
  text(schema: JsonSchema, path: Path): Term {
    if (typeof schema === 'boolean') return schema ? anyValue : never;
    let known = this.#rules.get(schema);
    if (!known) {
      known = rule(path);
      this.#rules.set(schema, known);
      known.term = this.#deeper(path, () => this.#flatText(this.flat(schema, path), path));
    }
    return call(known);
  }

  /** Text between the quotes of the strings that a flat `schema` allows. */
  stringContent(schema: Schema, path: Path, spell: Spelling = stringCharacter): Term {
    const parts = [schema.pattern ?? []].flat().map((pattern) => anywhere(String(pattern), spell));
    if (schema.format !== undefined) {
      const format = stringFormats[String(schema.format)];
      if (!format)
        throw unsupported(path, 'format', `is ${JSON.stringify(schema.format)}, which cannot be followed`);
      parts.push(wholeMatch(format, spell));
    }
    const min = numberAt(schema, 'minLength') ?? 0;
    const max = numberAt(schema, 'maxLength') ?? Number.POSITIVE_INFINITY;
    if (min > 0 || max < Number.POSITIVE_INFINITY || parts.length === 0) {
      parts.push(max < min ? never : repeat(spell(anyCodePoint), min, max));
    }
    return parts.reduce((all, part) => both(all, part));
  }

  /** `schema` with all it refers to and consists of put together; alternatives stay as they are. */
  flat(schema: JsonSchema, path: Path): JsonSchema {
    if (typeof schema === 'boolean') return schema;
    checkKeywords(schema, path);
    const { $ref, allOf, ...rest } = schema;
    if ($ref === undefined && allOf === undefined) return schema;
    return this.#deeper(path, () => {
      const all = (allOf ?? []) as readonly JsonSchema[];
      const parts = all.map((part, i) => this.flat(part, `${path}/allOf/${i}`));
      if (typeof $ref === 'string') {
        parts.push(this.flat(resolveReference(this.#root, $ref, path), $ref));
        // A reference alone is the schema it names: recursion must come back to the same one.
        if (parts.length === 1 && Object.keys(rest).every(isAnnotation)) return parts[0] ?? true;
      }
      return parts.reduce((merged, part) => merge(merged, part, path), rest as JsonSchema);
    });
  }

  #flatText(schema: JsonSchema, path: Path): Term {
    if (typeof schema === 'boolean') return schema ? anyValue : never;
    for (const keyword of ['anyOf', 'oneOf'] as const) {
      const { [keyword]: options, ...base } = schema;
      if (options === undefined) continue;
      const merged = (options as readonly JsonSchema[]).map((option, i) => {
        const at = `${path}/${keyword}/${i}`;
        return merge(base, this.flat(option, at), at);
      });
      if (keyword === 'oneOf') checkDisjoint(merged, path);
      const isPlain = Object.keys(base).every(isAnnotation);
      return alt(
        ...merged.map((option, i) => {
          const original = (options as readonly JsonSchema[])[i] ?? true;
          const at = `${path}/${keyword}/${i}`;
          // Without anything to merge, an alternative keeps its own rule, which references may share.
          return isPlain ? this.text(original, at) : this.#deeper(at, () => this.#flatText(option, at));
        }),
      );
    }
    return this.#values(schema, path);
  }

  #values(schema: Schema, path: Path): Term {
    const { const: only, enum: listed, ...rest } = schema;
    if ('const' in schema) return this.#given([only], { ...rest, ...(listed ? { enum: listed } : {}) }, path);
    if (listed !== undefined) return this.#given(listed as readonly unknown[], rest, path);
    return alt(...(typesOf(schema) ?? impliedTypes(schema)).map((type) => this.#typed(type, schema, path)));
  }

  /** Those of some values that also satisfy the rest of their schema. */
  #given(values: readonly unknown[], rest: Schema, path: Path): Term {
    const allowed = typesOf(rest);
    const { type: _, ...others } = rest;
    const fitting = values.filter((value) => {
      const type = typeOfValue(value);
      return !allowed || allowed.includes(type) || (type === 'integer' && allowed.includes('number'));
    });
    const texts = alt(...fitting.map(valueText));
    return Object.keys(others).every(isAnnotation) ? texts : both(texts, this.#values(rest, path));
  }

  #typed(type: Type, schema: Schema, path: Path): Term {
    switch (type) {
      case 'null':
        return nullText;
      case 'boolean':
        return anyBoolean;
      case 'string':
        return says(schema, keywords.string) ? quoted(this.stringContent(schema, path)) : anyString;
      case 'integer':
      case 'number':
        return numberText(type === 'integer', schema, path);
      case 'array':
        return says(schema, keywords.array) ? this.#array(schema, path) : anyArray;
      case 'object':
        return says(schema, keywords.object) ? objectText(this, schema, path) : anyObject;
    }
  }

  #array(schema: Schema, path: Path): Term {
    const isTuple = Array.isArray(schema.items);
    const prefix = ((isTuple ? schema.items : schema.prefixItems) ?? []) as readonly JsonSchema[];
    const open = schema.unevaluatedItems !== false;
    const further = ((isTuple ? schema.additionalItems : schema.items) ?? open) as JsonSchema;
    const min = numberAt(schema, 'minItems') ?? 0;
    const max = numberAt(schema, 'maxItems') ?? Number.POSITIVE_INFINITY;
    const item = further === false ? never : this.text(further, `${path}/items`);
    const from = (i: number): Term => {
      const part = prefix[i];
      const enough = i >= min;
      if (i >= max) return enough ? empty : never;
      if (part === undefined) {
        if (i === 0) return commaSeparated(item, min, max);
        return repeat(seq(comma, item), Math.max(0, min - i), max - i);
      }
      const more = seq(i > 0 ? comma : empty, this.text(part, `${path}/prefixItems/${i}`), from(i + 1));
      return enough ? optional(more) : more;
    };
    return enclosedArray(from(0));
  }

  #deeper<T>(path: Path, work: () => T): T {
    if (++this.#depth > maxDepth) {
      throw wrong(
        path,
        '$ref',
        `is nested deeper than ${maxDepth}, or refers to itself without an object or array between`,
      );
    }
    try {
      return work();
    } finally {
      this.#depth--;
    }
  }
}

const says = (schema: Schema, about: readonly string[]): boolean =>
  about.some((keyword) => schema[keyword] !== undefined);

/** A schema that names no type allows those its keywords speak of, or all. */
function impliedTypes(schema: Schema): readonly Type[] {
  const implied = (['object', 'array', 'string', 'number'] as const).filter((type) =>
    says(schema, keywords[type]),
  );
  return implied.length > 0 ? implied : types.filter((type) => type !== 'integer');
}

function numberText(integer: boolean, schema: Schema, path: Path): Term {
  const format = schema.format === undefined ? {} : numberFormats[String(schema.format)];
  if (!format)
    throw unsupported(path, 'format', `is ${JSON.stringify(schema.format)}, which is none of numbers`);
  const bounds = keywords.number.map((keyword) => [keyword, numberAt(schema, keyword)] as const);
  const given = { ...format, ...Object.fromEntries(bounds.filter(([, bound]) => bound !== undefined)) };
  if (Object.keys(given).length === 0) return integer ? anyInteger : anyNumber;
  const start = numberMachine({ integer, ...given });
  return start ? machine(start) : never;
}
