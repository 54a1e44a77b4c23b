// Which tokens end an answer.

import { expect, test } from 'vitest';
import { endIds } from './turns.ts';

const ends = (named: number[], tokens: readonly string[], special: (id: number) => boolean = () => true) =>
  endIds(named, (token) => (tokens.includes(token) ? tokens.indexOf(token) : undefined), special);

test('those that a file names come first, then special tokens that end a turn by their names', () => {
  expect(ends([1], ['<|im_end|>', '</s>', '<|eot_id|>'])).toEqual([1, 0, 2]);
  expect(ends([1], ['<|im_end|>', '</s>'], (id) => id !== 0)).toEqual([1]);
});

test('<|end|> ends an answer, but in harmony only a message of it', () => {
  expect(ends([], ['<|end|>', '<|endoftext|>'])).toEqual([0, 1]);
  const harmony = ['<|start|>', '<|end|>', '<|message|>', '<|channel|>', '<|return|>', '<|call|>'];
  expect(ends([4, 1], harmony)).toEqual([4, 5]);
});

test('an answer of GLM ends where another would speak', () => {
  expect(ends([0], ['<|endoftext|>', '<|user|>', '<|assistant|>', '<|observation|>'])).toEqual([0, 1, 3]);
});
