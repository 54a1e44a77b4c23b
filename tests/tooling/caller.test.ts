// Errors of arrays point at the line outside of the package that caused them.

import { expect, it } from 'vitest';
import { fromData } from '../../src/array/creation.ts';
import * as a from '../../src/array/library.ts';
import { IngotError } from '../../src/base/errors.ts';
import * as nn from '../../src/nn/index.ts';

const x = fromData([1, 2, 3]);

it.each([
  ['an op', () => x.add(fromData([1, 2])), /^add: .*\[3\].*\[2\]/],
  ['a function', () => a.split(x, 2), /^split: 3 elements do not divide into 2/],
  ['an axis', () => x.sum(4), /^sum: axis 4/],
  [
    'a gradient',
    () => a.grad((y: typeof x) => y.matmul(fromData([[1, 2]])).sum())(x),
    /^matmul: .*\[1, 3\].*\[1, 2\]/,
  ],
  ['a map over batches', () => a.vmap((y: typeof x) => y.reshape([7]))(a.stack([x, x])), /^reshape: /],
  ['a layer', () => new nn.Linear(4, 2).forward(x), /^Linear: the last axis/],
])('%s', (_, cause, message) => {
  let found: unknown;
  try {
    cause();
  } catch (error) {
    found = error;
  }
  expect(found).toBeInstanceOf(IngotError);
  const { stack = '', details, message: text } = found as IngotError;
  expect(text).toMatch(message);
  expect(stack.split('\n').find((line) => line.trim().startsWith('at '))).toContain(
    'tests/tooling/caller.test.ts',
  );
  expect(details.caller).toMatch(/tests\/tooling\/caller\.test\.ts:\d+:\d+$/);
});
