// Arguments of functions that take them as MLX does: one after the other, in an object of options, or the first ones so and the
// rest by name.

import { IngotError } from '../base/errors.ts';

/** A plain object: options, as opposed to arrays, lists and numbers. */
export const isOptions = (x: unknown): x is Readonly<Record<string, unknown>> =>
  typeof x === 'object' && x !== null && Object.getPrototypeOf(x) === Object.prototype;

/** Positions that may be left out, hold null, or end with options. */
export type Given<P extends readonly unknown[], O> = { readonly [K in keyof P]?: P[K] | O | null };

/**
 * What was given, by name: values in the order of `names`, then options, which may also have the names in `more`. Null and
 * undefined count as left out. Throws invalid_argument for too many values, unknown names, and what is given twice.
 */
export function named<T extends object>(
  what: string,
  names: readonly (keyof T & string)[],
  given: readonly unknown[],
  more: readonly (keyof T & string)[] = [],
): T {
  const fail = (problem: string): never => {
    throw new IngotError('invalid_argument', `${what}: ${problem}`);
  };
  const last = given.at(-1);
  const values = isOptions(last) ? given.slice(0, -1) : given;
  const found: Record<string, unknown> = {};
  for (const [i, value] of values.entries()) {
    if (value == null) continue;
    const name = names[i] ?? fail(`${given.length} arguments after the first ones, at most ${names.length}`);
    if (isOptions(value)) fail(`options come last, they are at the place of ${name}`);
    found[name] = value;
  }
  for (const [name, value] of Object.entries(isOptions(last) ? last : {})) {
    const known: readonly string[] = [...names, ...more];
    if (!known.includes(name)) fail(`option ${name} is none of ${known.join(', ')}`);
    if (value == null) continue;
    if (name in found) fail(`${name} is given twice`);
    found[name] = value;
  }
  return found as T;
}

/** Throws invalid_argument for an option that is none of `names`: a misspelt one would be as if it were not there. */
export function knownOptions(what: string, options: object, names: readonly string[]): void {
  const odd = Object.keys(options).find((name) => !names.includes(name));
  if (odd === undefined) return;
  throw new IngotError('invalid_argument', `${what}: option ${odd} is none of ${names.join(', ')}`, {
    details: { argument: odd },
  });
}
