// Every component of a tokenizer.json against the tokenizers library: tools/goldens/tokenizer_components.py.

import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { buildTokenizer } from './build.ts';
import { Decoder } from './decode.ts';
import type { Json } from './json.ts';
import { decoderOf } from './pipeline/decoders.ts';
import { normalizerOf } from './pipeline/normalizers.ts';
import { preTokenizerOf } from './pipeline/pre-tokenizers.ts';
import { finish } from './pipeline/steps.ts';
import { encodeInSlices } from './slices.ts';
import { checkSpec, tokensOf } from './spec.ts';
import type { Tokenizer } from './tokenizer.ts';

interface Component {
  readonly json: Json | null;
  readonly out: readonly unknown[];
}

interface Whole {
  readonly document: unknown;
  readonly ids: readonly unknown[];
  readonly special: readonly unknown[];
  /** For each long text the number of its ids and their checksum, or an error. */
  readonly long?: Readonly<Record<string, unknown>>;
  readonly specialAsText: readonly unknown[];
  readonly lists: readonly number[][];
  readonly texts: readonly string[];
  readonly skipped: readonly string[];
}

interface Golden {
  readonly texts: readonly string[];
  readonly sentences: readonly string[];
  /** Texts made of a piece and how often it is repeated. */
  readonly long: Readonly<Record<string, readonly [string, number]>>;
  readonly tokenLists: readonly string[][];
  readonly normalizers: readonly Component[];
  readonly preTokenizers: readonly Component[];
  readonly decoders: readonly Component[];
  readonly tokenizers: Readonly<Record<string, Whole>>;
}

const golden = JSON.parse(
  readFileSync(new URL('../../tests/goldens/tokenizer/components.json', import.meta.url), 'utf8'),
) as Golden;

const short = (json: unknown): string => JSON.stringify(json).slice(0, 150);
const wrongOf = <T>(inputs: readonly T[], wanted: readonly unknown[], run: (input: T) => unknown) =>
  inputs
    .map((input, i) => ({ input, want: wanted[i], got: run(input) }))
    .filter(({ want, got }) => want !== null && JSON.stringify(want) !== JSON.stringify(got));

describe('normalisers', () => {
  test.each(golden.normalizers.map(({ json, out }) => [short(json), json, out] as const))(
    '%s',
    (_, json, out) => {
      const normalizer = normalizerOf(json, 'tiny');
      expect(wrongOf(golden.texts, out, (text) => normalizer && finish(normalizer.apply(text)))).toEqual([]);
    },
  );
});

describe('pre-tokenizers', () => {
  test.each(golden.preTokenizers.map(({ json, out }) => [short(json), json, out] as const))(
    '%s',
    (_, json, out) => {
      const { cut, spell } = preTokenizerOf(json, 'tiny');
      expect(
        wrongOf(golden.texts, out, (text) => (text === '' ? [] : [...cut(text, true)].map(spell))),
      ).toEqual([]);
    },
  );
});

describe('decoders', () => {
  test.each(golden.decoders.map(({ json, out }) => [short(json), json, out] as const))(
    '%s',
    (_, json, out) => {
      const stages = decoderOf(json, 'tiny');
      const decode = (tokens: readonly string[]): string =>
        new Decoder({ tokenOf: (id) => tokens[id], specialIds: new Set(), stages }).decode([
          ...tokens.keys(),
        ]);
      expect(wrongOf(golden.tokenLists, out, decode)).toEqual([]);
    },
  );
});

function open(document: unknown): Tokenizer {
  const spec = checkSpec(document, 'tiny');
  const extras = { bosId: undefined, eosIds: [], chatTemplate: undefined };
  return buildTokenizer(spec, tokensOf(spec, 'tiny'), extras, 'tiny');
}

/** Ids, or that there are none: the library refuses a text with a character for which it has nothing. */
function attempt(run: () => number[]): unknown {
  try {
    return run();
  } catch {
    return 'refused';
  }
}
const refusals = (out: readonly unknown[]): unknown[] =>
  out.map((ids) => (Array.isArray(ids) ? ids : 'refused'));

describe('tokenizers', () => {
  test.each(Object.entries(golden.tokenizers))('%s', (_, whole) => {
    const tokenizer = open(whole.document);
    const plain = (text: string) => attempt(() => tokenizer.encode(text, { addSpecial: false }));
    expect(wrongOf(golden.sentences, refusals(whole.ids), plain)).toEqual([]);
    const special = golden.sentences.slice(0, whole.special.length);
    expect(
      wrongOf(special, refusals(whole.special), (text) => attempt(() => tokenizer.encode(text))),
    ).toEqual([]);
    const literal = golden.sentences.slice(-whole.specialAsText.length);
    const asText = (text: string) =>
      attempt(() => tokenizer.encode(text, { addSpecial: false, specialTokens: 'text' }));
    expect(wrongOf(literal, refusals(whole.specialAsText), asText)).toEqual([]);
    expect(wrongOf(whole.lists, whole.texts, (ids) => tokenizer.decode(ids, { skipSpecial: false }))).toEqual(
      [],
    );
    expect(wrongOf(whole.lists, whole.skipped, (ids) => tokenizer.decode(ids))).toEqual([]);
  });
});

/** FNV-1a over ids. */
function checksum(ids: readonly number[]): [number, number] {
  let total = 2166136261;
  for (const id of ids) total = Math.imul(total ^ id, 16777619);
  return [ids.length, total >>> 0];
}

describe('long texts', () => {
  const some = Object.entries(golden.tokenizers).filter(([, { long }]) => long);
  test.each(some)('%s', async (_, { document, long = {} }) => {
    const tokenizer = open(document);
    for (const [name, [piece, count]] of Object.entries(golden.long)) {
      const ids = await encodeInSlices(tokenizer, piece.repeat(count)).catch(() => undefined);
      expect({ [name]: ids ? checksum(ids) : 'refused' }).toEqual({
        [name]: Array.isArray(long[name]) ? long[name] : 'refused',
      });
    }
  });
});
