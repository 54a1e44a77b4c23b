// The document a schema stands in: what its references name, and which draft it is written in.
// https://json-schema.org/draft/2020-12/json-schema-core#section-8.2

import { isSchema, type Path, type Schema, unsupported, wrong } from './schema-keywords.ts';
import type { JsonSchema } from './spec.ts';

/** A schema and where it was found. */
export interface Found {
  readonly schema: JsonSchema;
  readonly path: Path;
}

/** The address of a document that gives itself none. */
const home = 'schema://document/';
/** Keywords whose values are values, not schemas. */
const values: ReadonlySet<string> = new Set(['const', 'enum', 'default', 'examples', 'example']);
/** Values between looks at the clock. */
const valuesPerLook = 512;

/** The values of one object or list, gone through one after another, and what holds for all of them. */
interface Level {
  readonly inner: Iterator<readonly [key: string, value: unknown]>;
  readonly base: string;
  readonly isMap: boolean;
}

function* innerOf(at: object): Generator<readonly [string, unknown]> {
  if (Array.isArray(at)) for (const value of at) yield ['', value];
  else for (const key of Object.keys(at)) yield [key, (at as Readonly<Record<string, unknown>>)[key]];
}

export class SchemaDocument {
  readonly root: JsonSchema;
  /** Draft 7 or older: `$ref` stands for all of its schema, and `$id: '#name'` is an anchor. */
  readonly isOld: boolean;
  readonly #idKey: string;
  /** By address without fragment: the schemas that have one. */
  readonly #resources = new Map<string, JsonSchema>();
  /** By address with fragment. */
  readonly #anchors = new Map<string, Schema>();
  /** How many schemas a dynamic reference may mean. */
  readonly #dynamic = new Map<string, Schema[]>();
  /** Addresses of the schemas inside of those that are not the document's own. */
  readonly #bases = new Map<object, string>();

  private constructor(root: JsonSchema) {
    this.root = root;
    const draft = isSchema(root) && typeof root.$schema === 'string' ? root.$schema : '';
    this.isOld = /draft-0[3-7]/.test(draft);
    this.#idKey = /draft-0[34]/.test(draft) ? 'id' : '$id';
  }

  /** Reads where the schemas of a document are, with a pause now and then. */
  static *read(root: JsonSchema): Generator<void, SchemaDocument, void> {
    const document = new SchemaDocument(root);
    document.#resources.set(home, root);
    const levels: Level[] = [{ inner: [['', root] as const].values(), base: home, isMap: true }];
    for (let count = 1, level = levels.at(-1); level !== undefined; level = levels.at(-1), count++) {
      const next = level.inner.next();
      if (count % valuesPerLook === 0) yield;
      if (next.done === true) {
        levels.pop();
        continue;
      }
      const [key, at] = next.value;
      if (typeof at !== 'object' || at === null || (!level.isMap && values.has(key))) continue;
      const isMap = !level.isMap && maps.has(key);
      const base = isSchema(at) && !isMap ? document.#enter(at, level.base) : level.base;
      if (base !== home) document.#bases.set(at, base);
      levels.push({ inner: innerOf(at), base, isMap });
    }
    return document;
  }

  /** Notes the names of a schema; the base of the references in it. */
  #enter(schema: Schema, outer: string): string {
    if (this.isOld && schema.$ref !== undefined) return outer;
    const given = schema[this.#idKey];
    let base = outer;
    if (typeof given === 'string') {
      if (given.startsWith('#')) this.#anchors.set(withoutFragment(outer) + given, schema);
      else {
        base = withoutFragment(absolute(given, outer));
        if (!this.#resources.has(base)) this.#resources.set(base, schema);
      }
    }
    for (const key of ['$anchor', '$dynamicAnchor']) {
      const name = schema[key];
      if (typeof name === 'string') this.#anchors.set(`${base}#${name}`, schema);
    }
    if (typeof schema.$dynamicAnchor === 'string') {
      const name = schema.$dynamicAnchor;
      this.#dynamic.set(name, [...(this.#dynamic.get(name) ?? []), schema]);
    }
    return base;
  }

  /** What a `$ref` in `from` names. */
  resolve(reference: string, from: Schema, path: Path): Found {
    const base = this.#bases.get(from) ?? home;
    const target = absolute(reference, base);
    const address = withoutFragment(target);
    const fragment = decoded(target.slice(address.length + 1));
    const resource = this.#resources.get(address);
    if (resource === undefined) {
      throw unsupported(path, '$ref', `names ${JSON.stringify(reference)}, outside of the schema`);
    }
    const found =
      fragment === '' || fragment.startsWith('/')
        ? atPointer(resource, fragment)
        : this.#anchors.get(`${address}#${fragment}`);
    if (typeof found !== 'boolean' && !isSchema(found)) {
      throw wrong(path, '$ref', `names ${JSON.stringify(reference)}, and there is no schema`);
    }
    return { schema: found, path: reference };
  }

  /** What a `$dynamicRef` names, where only one schema is meant. */
  resolveDynamic(reference: string, from: Schema, path: Path): Found {
    const name = reference.slice(reference.indexOf('#') + 1);
    if ((this.#dynamic.get(name)?.length ?? 0) > 1) {
      throw unsupported(path, '$dynamicRef', `names "${name}", which stands at several places`);
    }
    return this.resolve(reference, from, path);
  }
}

/** Keywords whose values are schemas by name: a name may look like a keyword. */
const maps: ReadonlySet<string> = new Set([
  ...['properties', 'patternProperties', '$defs', 'definitions', 'dependentSchemas', 'dependencies'],
]);

function absolute(reference: string, base: string): string {
  try {
    return new URL(reference, base).href;
  } catch {
    return reference.startsWith('#') ? withoutFragment(base) + reference : reference;
  }
}

const withoutFragment = (address: string): string => {
  const end = address.indexOf('#');
  return end < 0 ? address : address.slice(0, end);
};

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
