// Large given values, of a `const` or an `enum`, that are followed as one text: a rule for each of their parts would take longer
// to make than any answer to write. Their members come in the order that was given.

import { each, type Patience, type Work } from './patience.ts';
import type { Path } from './schema-keywords.ts';
import type { Shapes } from './schema-shape.ts';
import { never, oneOfMany, type Term } from './term.ts';

/** A given array or object. */
export interface Whole {
  readonly value: object;
  /** Values in it, at all depths. */
  readonly size: number;
  readonly path: Path;
}

/** Parts between looks at the clock. */
const partsPerLook = 256;

export const isList = ({ value }: Whole): boolean => Array.isArray(value);

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;

/** The parts of a value by name, which an element of a list has none of: to ask for all at once takes long of many. */
function* partsOf(value: object): Generator<readonly [name: string | undefined, part: unknown], void, void> {
  if (Array.isArray(value)) for (const part of value) yield [undefined, part];
  else for (const name of Object.keys(value)) yield [name, value[name as keyof typeof value]];
}

/** How many values there are in one, at all depths. */
export function* sizeOf(value: object, patience: Patience): Work<number> {
  const todo: object[] = [value];
  let size = 0;
  for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
    size++;
    yield* each(partsOf(next), patience, ([, part]) => {
      if (isObject(part)) todo.push(part);
      else size++;
    });
  }
  return size;
}

/** Whether two are equal, whatever the order of their members. */
export function* areEqual(a: Whole, b: Whole, patience: Patience): Work<boolean> {
  if (a.value === b.value) return true;
  if (a.size !== b.size) return false;
  const todo: (readonly [unknown, unknown])[] = [[a.value, b.value]];
  for (let count = 1, next = todo.pop(); next !== undefined; next = todo.pop(), count++) {
    const [x, y] = next;
    if (count % partsPerLook === 0 && patience.over) yield;
    if (!isObject(x) || !isObject(y)) {
      if (x !== y) return false;
      continue;
    }
    const names = Object.keys(x);
    if (Array.isArray(x) !== Array.isArray(y) || names.length !== Object.keys(y).length) return false;
    for (const name of names) {
      if (!Object.hasOwn(y, name)) return false;
      todo.push([x[name as keyof typeof x], y[name as keyof typeof y]]);
    }
  }
  return true;
}

/** The texts of all of them, each as `JSON.stringify` writes it. */
export function* wholesText({ wholes }: Shapes, patience: Patience): Work<Term> {
  if (wholes.length === 0) return never;
  const texts: string[] = [];
  for (const { value } of wholes) {
    const to = { text: '' };
    yield* write(value, to, patience);
    texts.push(to.text);
  }
  return yield* oneOfMany(texts, patience);
}

/** Writes a value piece by piece. */
function* write(value: object, to: { text: string }, patience: Patience): Work<void> {
  const list = Array.isArray(value);
  to.text += list ? '[' : '{';
  let count = 0;
  for (const [name, part] of partsOf(value)) {
    if (count % partsPerLook === 0 && patience.over) yield;
    if (count++ > 0) to.text += ',';
    if (name !== undefined) to.text += `${JSON.stringify(name)}:`;
    if (isObject(part)) yield* write(part, to, patience);
    else to.text += JSON.stringify(part);
  }
  to.text += list ? ']' : '}';
}
