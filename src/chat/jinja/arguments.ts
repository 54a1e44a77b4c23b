// Arguments of a call, by place and by name.

import type { Budget } from './budget.ts';
import { str } from './text.ts';
import { Callable, fail, type Keywords, typeName, Undefined, type Value } from './values.ts';

/** What filters, tests and methods may ask of the interpreter. */
export interface Runtime {
  readonly budget: Budget;
  /** A call of a value; fails for one that cannot be called. */
  call(callee: Value, args: readonly Value[], keywords: Keywords): Value;
  filter(name: string, input: Value, args: Args): Value;
  test(name: string, input: Value, args: Args): boolean;
  /** `value.name`, or with `isItem` `value[name]`, by the sandbox's rules. */
  lookup(value: Value, name: Value, isItem: boolean): Value;
}

export class Args {
  readonly positional: readonly Value[];
  readonly keywords: Keywords;

  constructor(positional: readonly Value[] = [], keywords: Keywords = new Map()) {
    this.positional = positional;
    this.keywords = keywords;
  }

  /** The values of parameters `names`; undefined for those that are not given. Fails for more than these. */
  take(what: string, ...names: readonly string[]): (Value | undefined)[] {
    if (this.positional.length > names.length)
      fail(`${what}() takes at most ${names.length} arguments (${this.positional.length} given)`);
    for (const name of this.keywords.keys()) {
      const at = names.indexOf(name);
      if (at < 0) fail(`${what}() got an unexpected keyword argument '${name}'`);
      if (at < this.positional.length) fail(`${what}() got multiple values for argument '${name}'`);
    }
    return names.map((name, i) =>
      i < this.positional.length ? this.positional[i] : this.keywords.get(name),
    );
  }

  rest(from: number): Args {
    return new Args(this.positional.slice(from), this.keywords);
  }
}

/** An integer argument, or its default. */
export function integer(value: Value | undefined, otherwise: number): number {
  if (value === undefined) return otherwise;
  if (typeof value === 'bigint' || typeof value === 'boolean') return Number(value);
  if (value instanceof Undefined) return value.fail();
  return fail(`'${typeName(value)}' object cannot be interpreted as an integer`);
}

/** A text argument, or its default. */
export function text(value: Value | undefined, otherwise: string, what: string): string {
  if (value === undefined) return otherwise;
  if (typeof value === 'string') return value;
  if (value instanceof Undefined) return value.fail();
  return fail(`${what} must be str, not ${typeName(value)}`);
}

/** What a value is as a text in filters: everything is one. */
export const soft = (value: Value): string => str(value);

export const isCallable = (value: Value): boolean =>
  value instanceof Callable ||
  (typeof value === 'object' && value !== null && 'call' in value && value.call !== undefined);
