// Vocabularies and walks for tests of constraints: what a model with random weights would write.

import { IngotError } from '../base/errors.ts';
import type { TokenConstraint } from '../generate/constraint.ts';
import { analyse } from '../generate/guided/analysis.ts';
import { Automaton, follows } from '../generate/guided/automaton.ts';
import { type ConstraintVocabulary, compileConstraint } from '../generate/guided/compile.ts';
import { atOnce, endless } from '../generate/guided/patience.ts';
import type { ConstraintSpec, JsonSchema } from '../generate/guided/spec.ts';
import { termOf } from '../generate/guided/term-of.ts';

const utf8 = new TextEncoder();

/** A token per byte, the end of the text, and these words. */
export function vocabularyOf(words: readonly string[]): ConstraintVocabulary {
  const bytes = [
    ...Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)),
    new Uint8Array(0),
    ...words.map((word) => utf8.encode(word)),
  ];
  return {
    vocabSize: bytes.length,
    eosIds: [256],
    specialIds: new Set([256]),
    bytesOf: (id) => bytes[id] ?? new Uint8Array(0),
  };
}

const letters = 'etaoinshrdlucmfwypvbgkjqxz';

/** Whole numbers below the one that is asked for, from a seed. */
export function randomNumber(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return Math.floor((((state ^ (state >>> 15)) >>> 0) / 2 ** 32) * below);
  };
}

/** Words as such vocabularies have them: with and without a space, capitals, digits, runs of spaces, pieces of code. */
export function madeUpWords(count: number): readonly string[] {
  const next = randomNumber(1);
  const some = (from: string, length: number): string =>
    Array.from({ length }, () => from[Math.min(next(from.length), next(from.length))]).join('');
  const stems: string[] = [];
  const found = new Set<string>(Array.from({ length: 40 }, (_, i) => ' '.repeat(i + 2)));
  while (found.size < count) {
    // As pairs are merged: most words are a shorter one and a little more.
    const stem = next(5) === 0 ? '' : (stems[next(stems.length)] ?? '');
    const word = (stem + some(letters, 1 + next(stem === '' ? 6 : 3))).slice(0, 15);
    if (word.length < 9) stems.push(word);
    const kind = next(20);
    if (kind < 12) found.add(` ${word}`);
    else if (kind < 16) found.add(word);
    else if (kind < 18) found.add(word[0]?.toUpperCase() + word.slice(1));
    else if (kind < 19) found.add(some('0123456789', 2 + next(2)));
    if (kind === 19) found.add(some('"\\{}[]():;,.=<>/-_ \n', 2 + next(3)));
    if (kind === 18) found.add(some('éüñ日本語中文字Жщю', 1 + next(3)));
  }
  return [...found];
}

/** A token per byte, and the end of the text: 256. */
export const byteVocabulary = vocabularyOf([]);

/** Also tokens that cross the borders of JSON's parts. */
export const sentenceVocabulary = vocabularyOf([
  ...[
    '{"',
    '":',
    '": ',
    '",',
    '", "',
    '"}',
    '{}',
    '[]',
    '[{',
    '}]',
    '},',
    '}}',
    '"]',
    ': "',
    ', ',
    '\n  ',
    ' {',
  ],
  ...[
    'true',
    'false',
    'null',
    'name',
    'the',
    ' of',
    'ing',
    '10',
    '100',
    '0.',
    '-1',
    'é',
    '😀',
    'café"',
    '\\n',
    '\\u00',
  ],
  ...['<tool', '_call>', '</tool_call>', 'a', 'ab', 'abc', '  ', '    '],
]);

/** Ids that may come next. */
export function maskOf(constraint: TokenConstraint, vocabSize = 512): number[] {
  const mask = new Int32Array(Math.ceil(vocabSize / 32));
  constraint.fill(mask);
  return Array.from({ length: vocabSize }, (_, id) => id).filter(
    (id) => ((mask[id >> 5] ?? 0) >> (id & 31)) & 1,
  );
}

/** Whether a text, in the longest tokens there are, is allowed token by token, and may end. */
export async function allows(
  spec: ConstraintSpec,
  text: string,
  vocabulary: ConstraintVocabulary = byteVocabulary,
): Promise<boolean> {
  const constraint = await compileConstraint(spec, vocabulary);
  const mask = new Int32Array(Math.ceil(vocabulary.vocabSize / 32));
  for (const id of [...tokensOf(text, vocabulary), ...vocabulary.eosIds]) {
    constraint.fill(mask);
    if ((((mask[id >> 5] ?? 0) >> (id & 31)) & 1) === 0) return false;
    constraint.accept(id);
  }
  return true;
}

function tokensOf(text: string, vocabulary: ConstraintVocabulary): number[] {
  const left = Buffer.from(text);
  const ids: number[] = [];
  for (let at = 0; at < left.length; ) {
    let best = left[at] ?? 0;
    for (let id = 257; id < vocabulary.vocabSize; id++) {
      const bytes = vocabulary.bytesOf(id);
      const fits = left.subarray(at, at + bytes.length).equals(bytes);
      if (fits && bytes.length > vocabulary.bytesOf(best).length) best = id;
    }
    ids.push(best);
    at += vocabulary.bytesOf(best).length;
  }
  return ids;
}

/** A text of allowed tokens taken at random, ended as soon as may be after `length` tokens. */
export async function randomText(
  spec: ConstraintSpec,
  vocabulary: ConstraintVocabulary,
  seed: number,
  length = 60,
): Promise<string> {
  const constraint = await compileConstraint(spec, vocabulary);
  const bytes: number[] = [];
  let state = seed;
  const random = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return Math.floor((((state ^ (state >>> 15)) >>> 0) / 2 ** 32) * below);
  };
  for (let count = 0; count < length + 1000; count++) {
    const allowed = maskOf(constraint, vocabulary.vocabSize);
    const closing = allowed.filter((id) => [34, 93, 125].includes(id));
    const mayEnd = allowed.includes(256);
    if (mayEnd && (allowed.length === 1 || count > length || random(8) === 0))
      return Buffer.from(bytes).toString();
    // Past the length, brackets and quotes are closed where they can be.
    const ascii = allowed.filter((id) => id < 128);
    const short = closing.length > 0 && random(3) > 0 ? closing : ascii;
    const from = count > length && short.length > 0 ? short : allowed.filter((id) => id !== 256);
    const id = from[random(from.length)] ?? 0;
    bytes.push(...vocabulary.bytesOf(id));
    constraint.accept(id);
  }
  throw new Error(
    `a text of ${length + 1000} tokens has no end: ${Buffer.from(bytes).toString().slice(0, 200)}`,
  );
}

/** The automaton of a schema; undefined when no value satisfies it, or when it cannot be followed. */
export function grammarOf(schema: JsonSchema): Automaton | undefined {
  try {
    return automatonOf({ kind: 'json_schema', schema });
  } catch (error) {
    if (error instanceof IngotError && error.code === 'unsupported') return undefined;
    throw error;
  }
}

/** The automaton of a spec. */
export function automatonOf(spec: ConstraintSpec): Automaton {
  const term = atOnce(termOf(spec, endless));
  return new Automaton(term, atOnce(analyse(term, endless)));
}

/** Whether an automaton accepts a text. */
export const accepts = (automaton: Automaton, text: string): boolean => follows(automaton, text);
