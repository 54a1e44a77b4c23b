// `npm run bench -- masks`: what the masks of constraints cost. Texts of allowed tokens are taken at random through a varied
// set of schemas over made-up vocabularies of 49,152 and 128,256 tokens, and the CPU time of every mask is counted, the time
// that a schema takes before its first mask, and the longest time that the event loop is held meanwhile.

import { performance } from 'node:perf_hooks';
import { significant } from '../src/base/statistics.ts';
import type { TokenConstraint } from '../src/generate/constraint.ts';
import { rowsSoFar } from '../src/generate/guided/automaton.ts';
import { type ConstraintVocabulary, compileConstraint } from '../src/generate/guided/compile.ts';
import type { ConstraintSpec, JsonSchema } from '../src/generate/guided/spec.ts';
import { madeUpWords, randomNumber, vocabularyOf } from '../src/testing/guided.ts';

const list = <T>(count: number, make: (i: number) => T): T[] =>
  Array.from({ length: count }, (_, i) => make(i));
const named = <T>(count: number, make: (i: number) => T): Record<string, T> =>
  Object.fromEntries(list(count, (i) => [`field_${i}`, make(i)]));
const word = (i: number): string => `${['red', 'Green', 'blue', 'ultra violet'][i % 4]} ${i.toString(36)}`;
const object = (properties: Record<string, JsonSchema>, more: object = {}): JsonSchema => ({
  type: 'object',
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
  ...more,
});
const text = (more: object): JsonSchema => ({ type: 'string', ...more });
const union = (count: number): JsonSchema => ({
  anyOf: list(count, (i) =>
    object({ kind: { const: word(i) }, ...named(3, (j) => ({ type: j % 2 ? 'number' : 'string' })) }),
  ),
});

const schemas: Readonly<Record<string, JsonSchema>> = {
  'any object': { type: 'object' },
  'any value': true,
  'an enum of 5,000': { enum: list(5000, word) },
  'an enum of 50,000': { enum: list(50_000, word) },
  'a field of 5,000 names': object({ name: { enum: list(5000, word) }, count: { type: 'integer' } }),
  'numbers in an enum': { type: 'array', items: { enum: list(3000, (i) => i * 7) } },
  'strings of 10 to 60': { type: 'array', items: text({ minLength: 10, maxLength: 60 }) },
  'a string of 10,000': text({ maxLength: 10_000 }),
  'fields with lengths': object(named(30, (i) => text({ minLength: i, maxLength: 10 + 7 * i }))),
  'a date and a time': object({ a: text({ format: 'date-time' }), b: text({ format: 'date' }) }),
  'a uuid and an address': object({
    a: text({ format: 'uuid' }),
    b: text({ format: 'email' }),
    c: text({ format: 'ipv4' }),
    d: text({ format: 'uri' }),
  }),
  'a pattern': text({ pattern: '^([A-Z][a-z]+ ){2,5}[a-z]+\\.$' }),
  'a pattern anywhere': text({ pattern: '[0-9]{3}-[a-f]+' }),
  'letters of all scripts': text({ pattern: '^\\p{L}[\\p{L}\\p{N} ]{0,40}$' }),
  'patterns that all hold': {
    allOf: [text({ pattern: '[0-9].*[0-9]' }), text({ pattern: '[A-Z].*[A-Z]' }), text({ maxLength: 80 })],
  },
  'a pattern and a length': text({ pattern: '^([a-z]+ )*[a-z]+\\.$', minLength: 20, maxLength: 300 }),
  'names by pattern': {
    type: 'object',
    patternProperties: { '^a': { type: 'number' }, b$: { type: 'string' }, '[0-9]': { type: 'boolean' } },
    additionalProperties: { type: 'null' },
  },
  'names that are pattern': {
    type: 'object',
    propertyNames: { pattern: '^[a-z_]{1,20}$' },
    additionalProperties: { type: 'integer' },
  },
  'numbers within bounds': {
    type: 'array',
    items: { type: 'number', minimum: -17.25, maximum: 123_456.5, multipleOf: 0.25 },
  },
  'a hundred optional fields': {
    type: 'object',
    properties: named(100, (i) => ({ type: i % 2 ? 'string' : 'number' })),
  },
  'a hundred fields, closed': object(
    named(100, (i) => (i % 2 ? text({ maxLength: 99 }) : { enum: list(100, word) })),
  ),
  'twenty kinds of objects': union(20),
  'objects in an array, of 12 kinds': { type: 'array', items: union(12), uniqueItems: true },
  'a tree': {
    $ref: '#/$defs/node',
    $defs: {
      node: object({ value: {}, children: { type: 'array', items: { $ref: '#/$defs/node' } } }),
    },
  },
  'not these texts': { type: 'string', not: { enum: list(2000, word) } },
  'an object that is not that': { type: 'object', not: { required: ['a', 'b'] } },
  'conditions on names': {
    type: 'object',
    properties: { a: { type: 'string' }, b: { type: 'number' } },
    allOf: [
      { anyOf: [{ not: { required: ['a'] } }, { required: ['b'] }] },
      { not: { required: ['c', 'd'] } },
    ],
  },
};

const specs: Readonly<Record<string, ConstraintSpec>> = {
  'any JSON': { kind: 'json_object' },
  ...Object.fromEntries(
    Object.entries(schemas).map(([name, schema]) => [name, { kind: 'json_schema', schema }]),
  ),
  'choices, 50,000': { kind: 'choice', choices: list(50_000, word) },
  'a call of 60 tools': {
    kind: 'any_of',
    options: list(60, (i) => ({
      kind: 'sequence',
      parts: [
        { kind: 'literal', text: `<tool_call>{"name": "tool_${i}", "arguments": ` },
        { kind: 'json_schema', schema: object(named(i % 5, () => text({ maxLength: 20 + i }))) },
        { kind: 'literal', text: '}</tool_call>' },
      ],
    })),
  },
  'text without a marker': { kind: 'text', without: ['<tool_call>', '</think>'] },
  'an expression': { kind: 'regex', pattern: '(\\w+@\\w+\\.(com|org|net)(, )?){1,20}' },
  arithmetic: {
    kind: 'ebnf',
    grammar:
      'root ::= term (("+" | "-") term)*\nterm ::= factor (("*" | "/") factor)*\nfactor ::= [0-9]+ | "(" root ")"',
  },
};

interface Cost {
  readonly grammar: string;
  readonly ms: number;
  readonly rows: number;
  readonly at: string;
}

export interface MaskCosts {
  readonly vocabulary: number;
  readonly masks: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** CPU time from a spec to its first mask, and the longest hold of the event loop in that. */
  readonly compileMaxMs: number;
  readonly holdMaxMs: number;
  readonly worst: readonly string[];
}

const cpuMs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

/** Measures over one vocabulary; grammars and masks that others have made before are new to it. */
export async function measure(
  vocabulary: ConstraintVocabulary,
  only: string,
  log: (line: string) => void,
): Promise<MaskCosts> {
  await (await compileConstraint({ kind: 'literal', text: 'x' }, vocabulary)).dispose();
  const costs: Cost[] = [];
  let [compileMaxMs, holdMaxMs] = [0, 0];
  for (const [grammar, spec] of Object.entries(specs)) {
    if (!grammar.includes(only)) continue;
    const before = costs.length;
    const compiled = cpuMs();
    const hold = await longestHold(compileConstraint(spec, vocabulary).then((first) => first.dispose()));
    const compileMs = cpuMs() - compiled;
    compileMaxMs = Math.max(compileMaxMs, compileMs);
    holdMaxMs = Math.max(holdMaxMs, hold);
    for (let seed = 1; seed <= 3; seed++) {
      const constraint = await compileConstraint(spec, vocabulary);
      follow(constraint, vocabulary, seed, (cost) => costs.push({ grammar, ...cost }));
      constraint.dispose();
    }
    const own = costs
      .slice(before)
      .map(({ ms }) => ms)
      .sort((a, b) => a - b);
    log(
      `${grammar}: first mask after ${compileMs.toFixed(1)} ms, hold ${hold.toFixed(1)}; ${own.length} masks, ` +
        `p50 ${at(own, 0.5).toFixed(2)}, p99 ${at(own, 0.99).toFixed(2)}, max ${at(own, 1).toFixed(1)} ms`,
    );
  }
  const all = costs.map(({ ms }) => ms).sort((a, b) => a - b);
  const worst = [...costs].sort((a, b) => b.ms - a.ms).slice(0, 8);
  return {
    vocabulary: vocabulary.vocabSize,
    masks: all.length,
    p50Ms: significant(at(all, 0.5), 2),
    p99Ms: significant(at(all, 0.99), 2),
    maxMs: significant(at(all, 1), 2),
    compileMaxMs: significant(compileMaxMs, 2),
    holdMaxMs: significant(holdMaxMs, 2),
    worst: worst.map(
      ({ grammar, ms, rows, at: where }) => `${ms.toFixed(1)} ms, ${rows} rows: ${grammar} after ${where}`,
    ),
  };
}

const at = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;

/** The longest time between two turns of the event loop while some work goes on. */
async function longestHold(work: Promise<unknown>): Promise<number> {
  let [longest, working] = [0, true];
  void work.finally(() => {
    working = false;
  });
  for (let last = performance.now(); working; ) {
    await new Promise((resolve) => setImmediate(resolve));
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  }
  await work;
  return longest;
}

/** Up to 80 tokens at random; what ends a part is taken more often than its share of the vocabulary. */
function follow(
  constraint: TokenConstraint,
  { vocabSize, bytesOf, eosIds }: ConstraintVocabulary,
  seed: number,
  found: (cost: Omit<Cost, 'grammar'>) => void,
): void {
  const random = randomNumber(seed);
  const mask = new Int32Array(Math.ceil(vocabSize / 32));
  let written = '';
  for (let n = 0; n < 80; n++) {
    const [start, rows] = [cpuMs(), rowsSoFar()];
    constraint.fill(mask);
    found({ ms: cpuMs() - start, rows: rowsSoFar() - rows, at: JSON.stringify(written.slice(-40)) });
    const isAllowed = (id: number): boolean => ((mask[id >> 5] ?? 0) & (1 << (id & 31))) !== 0;
    const closing = [...'"}],:'].map((char) => char.charCodeAt(0)).filter(isAllowed);
    let id = random(vocabSize);
    while (!isAllowed(id) || (eosIds.includes(id) && mask.some((word, i) => word !== 0 && i !== id >> 5)))
      id = (id + 1) % vocabSize;
    if (closing.length > 0 && random(4) === 0) id = closing[random(closing.length)] as number;
    if (eosIds.includes(id)) return;
    written += Buffer.from(bytesOf(id)).toString('latin1');
    constraint.accept(id);
  }
}

/** Over both sizes of vocabularies; `only`: grammars whose name has it. */
export async function benchMasks(only: string, log: (line: string) => void): Promise<readonly MaskCosts[]> {
  const results: MaskCosts[] = [];
  await measure(vocabularyOf(madeUpWords(4000)), only, () => undefined); // what follows is compiled by then
  for (const size of [49_152, 128_256]) {
    log(`vocabulary of ${size}`);
    results.push(await measure(vocabularyOf(madeUpWords(size - 257)), only, log));
  }
  return results;
}
