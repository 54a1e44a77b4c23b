// Tests of values: what stands behind `is`.

import { Args, isCallable, type Runtime, soft } from './arguments.ts';
import { binary, compareBy, equal } from './operators.ts';
import { Dict, isIterable, isNumber, Markup, Tuple, Undefined, type Value, View } from './values.ts';

type Test = (value: Value, args: Args, runtime: Runtime) => boolean;

const compared =
  (operator: '==' | '!=' | '<' | '<=' | '>' | '>=' | 'in'): Test =>
  (value, args) =>
    compareBy(operator, value, args.take(operator, 'other')[0] ?? null);

const modulo = (value: Value, by: bigint, runtime: Runtime): Value => binary('%', value, by, runtime.budget);

export const tests: Readonly<Record<string, Test>> = {
  defined: (value) => !(value instanceof Undefined),
  undefined: (value) => value instanceof Undefined,
  none: (value) => value === null,
  boolean: (value) => typeof value === 'boolean',
  true: (value) => value === true,
  false: (value) => value === false,
  integer: (value) => typeof value === 'bigint',
  float: (value) => typeof value === 'number',
  number: (value) => isNumber(value),
  string: (value) => typeof value === 'string' || value instanceof Markup,
  mapping: (value) => value instanceof Dict,
  sequence: (value) =>
    typeof value === 'string' ||
    value instanceof Markup ||
    Array.isArray(value) ||
    value instanceof Tuple ||
    value instanceof Dict ||
    value instanceof Undefined ||
    (value instanceof View && value.kind === 'range'),
  iterable: (value) => isIterable(value),
  callable: (value) => isCallable(value) || value instanceof Undefined, // it has a __call__ there
  sameas(value, args) {
    return value === (args.take('sameas', 'other')[0] ?? null);
  },
  even: (value, _, runtime) => equal(modulo(value, 2n, runtime), 0n),
  odd: (value, _, runtime) => equal(modulo(value, 2n, runtime), 1n),
  divisibleby: (value, args, runtime) =>
    equal(binary('%', value, args.take('divisibleby', 'num')[0] ?? null, runtime.budget), 0n),
  lower: (value) => isCase(soft(value), false),
  upper: (value) => isCase(soft(value), true),
  escaped: (value) => value instanceof Markup,
  filter: (value, _, runtime) =>
    typeof value === 'string' && known(() => runtime.filter(value, null, new Args())),
  test: (value) => typeof value === 'string' && Object.hasOwn(tests, value),
  eq: compared('=='),
  equalto: compared('=='),
  '==': compared('=='),
  ne: compared('!='),
  '!=': compared('!='),
  lt: compared('<'),
  lessthan: compared('<'),
  '<': compared('<'),
  le: compared('<='),
  '<=': compared('<='),
  gt: compared('>'),
  greaterthan: compared('>'),
  '>': compared('>'),
  ge: compared('>='),
  '>=': compared('>='),
  in: compared('in'),
};

function isCase(text: string, upper: boolean): boolean {
  return /[\p{Lu}\p{Ll}\p{Lt}]/u.test(text) && !(upper ? /[\p{Ll}\p{Lt}]/u : /[\p{Lu}\p{Lt}]/u).test(text);
}

/** Whether a filter is there: any failure but that it is not. */
function known(run: () => unknown): boolean {
  try {
    run();
    return true;
  } catch (error) {
    return !(error instanceof Error && error.message.startsWith('No filter named'));
  }
}
