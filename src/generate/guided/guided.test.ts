// Constraints as sampling meets them: masks over a vocabulary of bytes and of longer tokens, followed at random.

import { describe, expect, it } from 'vitest';
import {
  allows,
  byteVocabulary,
  maskOf,
  randomText,
  sentenceVocabulary,
  vocabularyOf,
} from '../../testing/guided.ts';
import { type ConstraintVocabulary, compileConstraint } from './compile.ts';
import type { ConstraintSpec, JsonSchema } from './spec.ts';

const vocabularies: readonly (readonly [string, ConstraintVocabulary])[] = [
  ['bytes', byteVocabulary],
  ['longer tokens', sentenceVocabulary],
];

const schema = (schema: JsonSchema): ConstraintSpec => ({ kind: 'json_schema', schema });

describe.each(vocabularies)('over %s', (_, vocabulary) => {
  const accepts = (spec: ConstraintSpec, text: string): Promise<boolean> => allows(spec, text, vocabulary);

  it.each<[ConstraintSpec, yes: readonly string[], no: readonly string[]]>([
    [
      { kind: 'choice', choices: ['yes', 'no', 'no way'] },
      ['yes', 'no', 'no way'],
      ['', 'y', 'no ', 'maybe'],
    ],
    [{ kind: 'literal', text: 'é😀' }, ['é😀'], ['é', '😀']],
    [{ kind: 'text', without: ['<x>', 'stop'] }, ['', 'anything <x', 'sto p', 'ß'], ['a<x>b', 'please stop']],
    [
      {
        kind: 'sequence',
        parts: [
          { kind: 'text', without: ['</t>'] },
          { kind: 'literal', text: '</t>' },
        ],
      },
      ['</t>', 'a<b</t>', '</</t>'],
      ['', 'a</t>b</t>'],
    ],
    [
      { kind: 'repeat', part: { kind: 'literal', text: 'ab' }, min: 1, max: 2 },
      ['ab', 'abab'],
      ['', 'a', 'ababab'],
    ],
    [
      {
        kind: 'any_of',
        options: [
          { kind: 'literal', text: 'a' },
          { kind: 'regex', pattern: 'b+' },
        ],
      },
      ['a', 'bbb'],
      ['ab', ''],
    ],
    [
      { kind: 'json_object' },
      ['{}', '{"a": [1, -2.5e3, "\\u00e9\\n", true, null, {}]}'],
      ['[]', '{"a"}', '{"a":01}', '{} {}'],
    ],
    [
      {
        kind: 'ebnf',
        grammar: 'root ::= item ("," item)*\nitem ::= [a-c]+ | "\\"" [^"]* "\\""  # a word or a text\n',
      },
      ['a,bb,"x,é"', 'abc'],
      ['', 'd', 'a,', '"x'],
    ],
    [{ kind: 'ebnf', grammar: 'nest ::= "(" nest? ")"', root: 'nest' }, ['()', '((()))'], ['', '(()', '())']],
  ])('%j', async (spec, yes, no) => {
    for (const text of yes) expect([text, await accepts(spec, text)]).toEqual([text, true]);
    for (const text of no) expect([text, await accepts(spec, text)]).toEqual([text, false]);
  });

  it('ends only where the grammar may end, and there only', async () => {
    const constraint = await compileConstraint({ kind: 'choice', choices: ['ab'] }, byteVocabulary);
    expect(maskOf(constraint)).toEqual([97]);
    constraint.accept(97);
    expect(maskOf(constraint)).toEqual([98]);
    expect(() => constraint.accept(256)).toThrow(/token 256 was sampled/);
    constraint.accept(98);
    expect(maskOf(constraint)).toEqual([...byteVocabulary.eosIds]);
    constraint.accept(256);
    expect(maskOf(constraint)).toEqual([...byteVocabulary.eosIds]);
    constraint.dispose();
  });
});

describe('regular expressions agree with the language', () => {
  const patterns = [
    ...[
      'a*b+c?',
      '(ab|cd){2,3}',
      '[^a-c]{2}',
      '\\d{1,3}(\\.\\d+)?',
      '\\w+\\s\\S',
      'x{0}y',
      '(?:a|b(?:c|d))*',
      '.',
      '[\\]\\-a]',
    ],
    ...[
      '\\u00e9|\\x41|\\cA',
      '[a-z&&]',
      '(?<year>\\d{4})',
      'a{2,}',
      '[^]',
      '\\.\\*',
      '\\/',
      'é+',
      '\\u{1f600}',
      'a|',
      '()',
    ],
  ];
  it.each(patterns)('%s', async (pattern) => {
    const whole = new RegExp(`^(?:${pattern})$`, 'u');
    const texts = [
      '',
      'a',
      'b',
      'abc',
      'aabb',
      'abcd',
      'cdab',
      'abab',
      'dd',
      '12',
      '1.5',
      'a b',
      'y',
      'xy',
      'bcbd',
      '\n',
      ']',
      '-',
    ];
    for (const text of [
      ...texts,
      'é',
      'éé',
      'A',
      '\u0001',
      '&',
      '2024',
      'aaa',
      '.*',
      '/',
      '😀',
      'ab',
      '€',
      '\u{10ffff}',
    ]) {
      expect([text, await allows({ kind: 'regex', pattern }, text)]).toEqual([text, whole.test(text)]);
    }
  });

  it.each([
    ['(a)\\1', 'unsupported', /a back reference/],
    ['(?:(?=[ab]).)*c', 'unsupported', /a condition in a repetition/],
    ['.(?!a)b(?<=cb)', 'unsupported', /conditions that look in both directions/],
    ['\\p{Nothing}', 'invalid_argument', /no Unicode property "Nothing"/],
    ['a^b', 'invalid_argument', /no text satisfies/],
    [`${'a'.repeat(20_001)}`, 'invalid_argument', /has 20001 characters, and may have 20000/],
    ['(a', 'invalid_argument', /wrong at 2: a group is not closed/],
    ['a)', 'invalid_argument', /unexpected "\)"/],
    ['[z-a]', 'invalid_argument', /a range ends before it begins/],
    ['*', 'invalid_argument', /nothing before "\*" to repeat/],
    ['a{3,2}', 'invalid_argument', /ends before it begins/],
    ['a{100001}', 'invalid_argument', /more than 100000/],
    ['\\', 'invalid_argument', /at the end/],
  ])('%s is refused: %s', async (pattern, code, message) => {
    const compiled = compileConstraint({ kind: 'regex', pattern }, byteVocabulary);
    await expect(compiled).rejects.toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    );
  });
});

describe('conditions in regular expressions agree with the language', () => {
  const patterns = [
    ...['^(?!foo)\\w+$', 'a(?=b)', '(?=.*\\d)(?=.*[a-z])^.{2,5}$', '^(?!.*b$).*$', '^(?:(?!ab).)*$'],
    ...['(?<!a)b', '(?<=a)b', '\\bab\\b', '^\\w+\\b', 'a\\Bb', '^\\p{Lu}\\p{L}*$', '\\P{L}', '[\\p{Nd}a]$'],
    ...['^a|b$', '^(?:a|b$)', '(^a)?b', 'a$|^$', '(a|^)b', '^(?!a|b)', '(?!)', '(?=a)(?!ab).{2}'],
  ];
  const texts = [
    '',
    'a',
    'b',
    'ab',
    'ba',
    'abb',
    'foo',
    'foob',
    'fo',
    'a b',
    'ab ab',
    'cab',
    'a1',
    '1a',
    'É',
    'Éa',
    '٣',
    '-ab-',
  ];
  it.each(patterns)('%s', async (pattern) => {
    const somewhere = new RegExp(pattern, 'u');
    for (const text of texts) {
      const allowed = await allows(schema({ type: 'string', pattern }), JSON.stringify(text));
      expect([text, allowed]).toEqual([text, somewhere.test(text)]);
    }
  });
});

describe('grammars that are wrong say where', () => {
  it.each([
    ['root = "a"', /line 1, column 6: expected "::=" after "root"/],
    ['root ::= "a" other', /line 1, column 14: there is no rule "other"/],
    ['start ::= "a"', /no rule "root" to start from/],
    ['root ::= root "a" | "b"', /rule "root" begins with itself/],
    ['root ::= a "x"\na ::= "y"? b\nb ::= a', /rule "[ab]" begins with itself/],
    ['root ::= ("a"', /a group is not closed/],
    ['root ::= "a', /a text or a class is not closed/],
    ['root ::= "a"\nroot ::= "b"', /line 2, column 5: rule "root" is there already/],
  ])('%s', async (grammar, message) => {
    const compiled = compileConstraint({ kind: 'ebnf', grammar }, byteVocabulary);
    await expect(compiled).rejects.toThrow(
      expect.objectContaining({ code: 'invalid_argument', message: expect.stringMatching(message) }),
    );
  });
});

describe('numbers', () => {
  it.each<[Record<string, unknown>, yes: readonly string[], no: readonly string[]]>([
    [
      { type: 'integer' },
      ['0', '-7', '12345678901234567', '170141183460469231731687303715884105727'],
      ['01', '1.0', '+1', ''],
    ],
    [
      { type: 'integer', minimum: 3, maximum: 120 },
      ['3', '99', '100', '120'],
      ['2', '121', '1000', '-3', '03'],
    ],
    [{ type: 'integer', exclusiveMinimum: -5, exclusiveMaximum: 5 }, ['-4', '0', '4'], ['-5', '5', '-0']],
    [{ type: 'integer', multipleOf: 7, minimum: 10 }, ['14', '70', '700'], ['7', '15', '71']],
    [
      { type: 'number', minimum: 0.5, maximum: 1.25 },
      ['0.5', '1', '1.25', '0.75001'],
      ['0.49', '1.26', '2', '0.'],
    ],
    [{ type: 'number', exclusiveMinimum: 0 }, ['0.001', '10'], ['0', '0.0', '-1']],
    [{ type: 'number', multipleOf: 0.25 }, ['0.25', '-1.5', '3'], ['0.3', '0.255']],
    [{ type: 'number', maximum: -1e3 }, ['-1000', '-1000.5', '-99999'], ['-999', '0']],
    [{ type: 'number' }, ['1e5', '-2.5E-3', '0'], ['1e', '.5', '1e555']],
    [{ type: 'integer', format: 'int32' }, ['2147483647', '-2147483648'], ['2147483648', '-2147483649']],
  ])('%j', async (bounds, yes, no) => {
    for (const text of yes) expect([text, await allows(schema(bounds), text)]).toEqual([text, true]);
    for (const text of no) expect([text, await allows(schema(bounds), text)]).toEqual([text, false]);
  });
});

it.each(['(a?){5000}', '(a|b?)*(a?){2000}'])(
  'gives up on %s, which can be read in too many ways',
  async (pattern) => {
    const compiled = compileConstraint({ kind: 'regex', pattern }, byteVocabulary);
    await expect(compiled).rejects.toThrow(/more than 1024 ways to go on at one place/);
  },
);

it('names properties by patterns that are no patterns', async () => {
  const spec = schema({ properties: { a: true }, patternProperties: { '(': true } });
  await expect(compileConstraint(spec, byteVocabulary)).rejects.toThrow(/a group is not closed/);
});

it('says that nothing satisfies a contradiction', async () => {
  const never = schema({ type: 'integer', minimum: 5, maximum: 4 });
  await expect(compileConstraint(never, byteVocabulary)).rejects.toThrow(/no text satisfies the constraint/);
});

it('refuses a schema that would take long to read', async () => {
  const large = schema({ enum: Array.from({ length: 250_000 }, (_, i) => i) });
  await expect(compileConstraint(large, byteVocabulary)).rejects.toThrow(/may have 200000 values/);
});

it('leaves out a property whose value cannot be', async () => {
  const spec = schema({ type: 'object', properties: { a: false, b: { type: 'null' } } });
  expect(await allows(spec, '{"b": null}')).toBe(true);
  expect(await allows(spec, '{"a"')).toBe(false);
});

it('never allows special tokens, but for those that are kept', async () => {
  const special = new Set([300]);
  const vocabulary: ConstraintVocabulary = {
    ...byteVocabulary,
    vocabSize: 301,
    specialIds: new Set([...byteVocabulary.specialIds, ...special]),
    bytesOf: (id) => (id === 300 ? new TextEncoder().encode('<call>') : byteVocabulary.bytesOf(id)),
  };
  const spec: ConstraintSpec = { kind: 'regex', pattern: '<call>|x' };
  expect(maskOf(await compileConstraint(spec, vocabulary))).toEqual([60, 120]);
  expect(maskOf(await compileConstraint(spec, vocabulary, { keep: special }))).toEqual([60, 120, 300]);
});

it('keeps a grammar: the second of two equal specs is there at once, and both are independent', async () => {
  const spec = schema({ type: 'array', items: { type: 'boolean' }, minItems: 1 });
  const [a, b] = [
    await compileConstraint(spec, byteVocabulary),
    await compileConstraint(spec, byteVocabulary),
  ];
  a.accept(91);
  expect(maskOf(b)).toEqual([91]);
  expect(maskOf(a)).toContain(116);
});

it('follows tokens that hold a whole element where none may be there twice', async () => {
  const vocabulary = vocabularyOf(['","","', '","', '",""', '["', '"]', '"a","', '1,2', ',1,', '1,1', '},{']);
  const unique = (items: JsonSchema): ConstraintSpec => schema({ type: 'array', uniqueItems: true, items });
  for (const [items, yes, no] of [
    [{ type: 'string' }, ['["a","","b"]', '["","a"]', '["a","b","","c"]'], ['["a","","a"]', '["","",""]']],
    [{ type: 'integer' }, ['[1,2,11]', '[11,1,2]'], ['[1,11,1]', '[1,1]']],
    [true, ['["a","",1]', '[1,"1"]', '[{"a":1},{"a":2}]'], ['[[1],[1]]', '[{"a":1},{"a":1}]']],
  ] as const) {
    for (const text of yes) expect(await allows(unique(items), text, vocabulary), text).toBe(true);
    for (const text of no) expect(await allows(unique(items), text, vocabulary), text).toBe(false);
  }
});

it('follows what the third draft says of required properties and of any type', async () => {
  const properties = { a: { type: 'string', required: true }, b: { type: 'any' } };
  const spec = schema({ type: 'object', properties });
  for (const text of ['{"a":"x"}', '{"b":[1],"a":""}']) expect(await allows(spec, text)).toBe(true);
  for (const text of ['{"b":1}', '{"a":1}', '{}']) expect(await allows(spec, text)).toBe(false);
});

it('makes random texts that are whole', async () => {
  for (let seed = 1; seed < 30; seed++) {
    const text = await randomText({ kind: 'json_object' }, sentenceVocabulary, seed);
    expect(typeof JSON.parse(text)).toBe('object');
  }
});
