// Alternatives of objects that a property tells apart, as unions of models have one: no two of them need be compared.

import { each, type Patience, type Work } from './patience.ts';
import { isSchema, requiredNames, type Schema, typesOf } from './schema-keywords.ts';

/** One alternative: the schemas of which all hold. */
type Tagged = readonly Schema[];

type Values = readonly string[];

/** For each alternative those that may hold beside it, itself among them. */
export function* rivalsOf(all: readonly Tagged[], patience: Patience): Work<readonly (readonly number[])[]> {
  const tags: (ReadonlyMap<string, Values> | undefined)[] = [];
  const counts = new Map<string, number>();
  for (const one of all) {
    const found = tagsOf(one);
    tags.push(found);
    yield* each(found.keys(), patience, (name) => counts.set(name, (counts.get(name) ?? 0) + 1));
    if (patience.over) yield;
  }
  const [name = ''] = [...counts].sort(([, a], [, b]) => b - a)[0] ?? [];
  const byValue = new Map<string, number[]>();
  const untagged: number[] = [];
  for (const [i, found] of tags.entries()) {
    const values = found?.get(name);
    if (!values) untagged.push(i);
    for (const value of values ?? []) {
      const same = byValue.get(value);
      if (same) same.push(i);
      else byValue.set(value, [i]);
    }
    if (patience.over) yield;
  }
  const every = [...all.keys()];
  const found: (readonly number[])[] = [];
  for (const values of tags.map((each) => each?.get(name))) {
    found.push(values ? [...new Set([...values.flatMap((v) => byValue.get(v) ?? []), ...untagged])] : every);
    if (patience.over) yield;
  }
  return found;
}

/** The properties that all objects of an alternative have, with the few values they may have; none where others hold, too. */
function tagsOf(schemas: Tagged): ReadonlyMap<string, Values> {
  const found = new Map<string, Values>();
  if (!schemas.some((schema) => typesOf(schema)?.join() === 'object')) return found;
  const required = new Set(schemas.flatMap(requiredNames));
  for (const { properties } of schemas) {
    if (!isSchema(properties)) continue;
    for (const name of required) {
      const said = Object.hasOwn(properties, name) ? properties[name] : undefined;
      const values = isSchema(said) ? valuesOf(said) : undefined;
      if (values && !found.has(name)) found.set(name, values);
    }
  }
  return found;
}

function valuesOf(schema: Schema): Values | undefined {
  const all = 'const' in schema ? [schema.const] : schema.enum;
  if (!Array.isArray(all) || all.length > maxValues) return undefined;
  if (all.some((value) => typeof value === 'object' && value !== null)) return undefined;
  return all.map((value) => JSON.stringify(value));
}

/** Values of a property that tells alternatives apart. */
const maxValues = 100;
