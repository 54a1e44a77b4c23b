// Jinja2 as transformers sets it up for chat templates: an immutable sandbox with trim_blocks, lstrip_blocks, loop controls,
// generation blocks, raise_exception, strftime_now and its own tojson.

import { Args, integer, text } from './arguments.ts';
import type { Body } from './ast.ts';
import { Budget } from './budget.ts';
import { Interpreter } from './interpreter.ts';
import { parse } from './parser.ts';
import { strftime } from './strftime.ts';
import { str } from './text.ts';
import {
  Attributes,
  Callable,
  Dict,
  fail,
  fromJs,
  itemsOf,
  type Keywords,
  Tuple,
  type Value,
  View,
} from './values.ts';

/** A parsed template. */
export class JinjaTemplate {
  readonly #body: Body;

  /** Throws TemplateError for what is no Jinja. */
  constructor(source: string) {
    this.#body = parse(source);
  }

  /**
   * Renders with variables that are JSON. Throws TemplateError for what the template refuses or does wrong, and bad_file
   * when it costs more than its input justifies.
   */
  render(variables: Readonly<Record<string, unknown>>, now: () => Date = () => new Date()): string {
    const budget = new Budget(JSON.stringify(variables).length);
    const names = new Map(globals(budget, now));
    for (const [name, value] of Object.entries(variables))
      if (value !== undefined) names.set(name, fromJs(value));
    return new Interpreter(names, budget).run(this.#body);
  }
}

/** The longest range of the sandbox. */
const longestRange = 100_000;

function globals(budget: Budget, now: () => Date): [string, Value][] {
  const functions: Readonly<Record<string, Callable['call']>> = {
    range: (args) => range(args, budget),
    dict: (args, keywords) => dictOf(args, keywords),
    namespace: (args, keywords) => namespace(dictOf(args, keywords)),
    cycler: (args) => cycler(args),
    joiner: (args, keywords) => joiner(new Args(args, keywords)),
    lipsum: () => fail('lipsum is not supported: it writes something else each time'),
    raise_exception: (args, keywords) =>
      fail(str(new Args(args, keywords).take('raise_exception', 'message')[0] ?? null)),
    strftime_now: (args, keywords) =>
      strftime(
        now(),
        text(new Args(args, keywords).take('strftime_now', 'format')[0], '', 'strftime() argument 1'),
      ),
  };
  return Object.entries(functions).map(([name, call]) => [name, new Callable(name, call)]);
}

function range(args: readonly Value[], budget: Budget): Value {
  if (args.length < 1 || args.length > 3) fail(`range expected 1 to 3 arguments, got ${args.length}`);
  const numbers = args.map((each) => integer(each, 0));
  const [start = 0, stop = 0] = args.length === 1 ? [0, numbers[0]] : numbers;
  const step = numbers[2] ?? 1;
  if (step === 0) fail('range() arg 3 must not be zero');
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (length > longestRange)
    fail(`Range too big. The sandbox blocks ranges larger than MAX_RANGE (${longestRange}).`);
  budget.step(length);
  const label = `range(${start}, ${stop}${step === 1 ? '' : `, ${step}`})`;
  return new View(
    'range',
    Array.from({ length }, (_, i) => BigInt(start + i * step)),
    label,
  );
}

function dictOf(args: readonly Value[], keywords: Keywords): Dict {
  const made = new Dict();
  const [from] = args;
  if (args.length > 1) fail(`dict expected at most 1 argument, got ${args.length}`);
  if (from instanceof Dict) for (const [key, value] of from.entries()) made.set(key, value);
  else if (from !== undefined) {
    for (const pair of itemsOf(from)) {
      const [key, value, more] = itemsOf(pair);
      if (key === undefined || value === undefined || more !== undefined)
        fail('dictionary update sequence element has a length that is not 2');
      else made.set(key, value);
    }
  }
  for (const [key, value] of keywords) made.set(key, value);
  return made;
}

function namespace(values: Dict): Value {
  const check = (name: Value): void => {
    if (typeof name === 'string' && name.startsWith('_'))
      fail(
        `Chat templates cannot store underscore-prefixed attributes on a namespace, but got '${name}'. Please rename the attribute.`,
      );
  };
  for (const name of values.keys()) check(name);
  return new Attributes('Namespace', (name) => values.get(name), {
    set(name, value) {
      check(name);
      values.set(name, value);
    },
  });
}

function cycler(items: readonly Value[]): Value {
  if (items.length === 0) fail('at least one item has to be provided');
  let at = 0;
  const fields: Readonly<Record<string, () => Value>> = {
    current: () => items[at] ?? null,
    next: () =>
      new Callable('next', () => {
        const item = items[at] ?? null;
        at = (at + 1) % items.length;
        return item;
      }),
    reset: () =>
      new Callable('reset', () => {
        at = 0;
        return null;
      }),
    pos: () => BigInt(at),
    items: () => new Tuple(items),
  };
  return new Attributes('Cycler', (name) => (Object.hasOwn(fields, name) ? fields[name]?.() : undefined));
}

function joiner(args: Args): Value {
  const [separator = ', '] = args.take('joiner', 'sep');
  let used = false;
  return new Callable('joiner', () => {
    const text = used ? separator : '';
    used = true;
    return text;
  });
}
