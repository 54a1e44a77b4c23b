// Encoding without holding up the event loop. A long text is cut where no token can reach across, and the pieces are encoded
// with pauses between them: the ids are those of the whole text.

import { Turns } from '../base/turn.ts';
import type { EncodeOptions, Tokenizer } from './tokenizer.ts';

/** Characters per piece: some milliseconds of work, also for texts that a vocabulary knows badly. */
const PIECE = 512;
/** Letters without any place to cut are cut here all the same; no language has such words, and the text stays the same. */
const LONGEST_RUN = 4 * PIECE;

/** A way to cut. Tokenizers take a run of letters for a word of its own, so no token spans its end. */
interface Rule {
  /** Where a piece may end: behind the match. */
  readonly end: RegExp;
  /** What a token that spans such a place contains. */
  readonly spans: RegExp;
  /** The space that begins the next piece is left out, since the tokenizer puts one there. */
  readonly dropSpace: boolean;
}

const endOfWord = {
  end: /\p{L}(?![\p{L}\p{M}'’])/gu,
  spans: /\p{L}[^\p{L}\p{M}'’\ufffd]/u,
};
const beforeSpace = { end: /[A-Za-z](?= [A-Za-z])/g, spans: /[A-Za-z] / };
const rules: readonly Rule[] = [
  { ...endOfWord, dropSpace: false },
  { ...beforeSpace, dropSpace: false },
  { ...beforeSpace, dropSpace: true },
];

interface Slicing {
  readonly rule: Rule;
  /** Tokens of their own, such as turn markers, that must stay whole. */
  readonly whole: RegExp | undefined;
}

const slicings = new WeakMap<Tokenizer, Promise<Slicing | undefined>>();

/**
 * The ids of `text`, the same as `tokenizer.encode` gives, with pauses. Texts of tokenizers that put no boundary between
 * words are encoded at once.
 */
export async function encodeInSlices(
  tokenizer: Tokenizer,
  text: string,
  options: EncodeOptions & {
    readonly signal?: AbortSignal | undefined;
    /** Ids beyond which nothing more is encoded: what comes back is longer than that, and not all of the text. */
    readonly limit?: number | undefined;
  } = {},
): Promise<number[]> {
  if (text.length <= 2 * PIECE) return tokenizer.encode(text, options);
  let found = slicings.get(tokenizer);
  if (!found) {
    found = findSlicing(tokenizer);
    slicings.set(tokenizer, found);
  }
  const slicing = await found;
  if (!slicing) return tokenizer.encode(text, options);
  const ids: number[] = [];
  const turns = new Turns();
  const { limit = Number.POSITIVE_INFINITY } = options;
  let i = -1;
  for (const piece of pieces(text, slicing)) {
    i++;
    await turns.next();
    options.signal?.throwIfAborted();
    for (const id of tokenizer.encode(piece, { addSpecial: i === 0 && (options.addSpecial ?? true) }))
      ids.push(id);
    if (ids.length > limit) return ids;
  }
  return ids;
}

function* pieces(text: string, { rule, whole }: Slicing): Generator<string> {
  let from = 0;
  while (text.length - from > PIECE) {
    const to = cutAfter(text, from + PIECE, rule, whole) ?? text.length;
    yield text.slice(from, to);
    from = rule.dropSpace && text[to] === ' ' ? to + 1 : to;
  }
  if (from < text.length) yield text.slice(from);
}

/** The first place at or after `from` where the text may be cut. */
function cutAfter(text: string, from: number, rule: Rule, whole: RegExp | undefined): number | undefined {
  const window = text.slice(from, from + LONGEST_RUN);
  rule.end.lastIndex = 0;
  for (let match = rule.end.exec(window); match !== null; match = rule.end.exec(window)) {
    const at = from + match.index + match[0].length;
    if (at < text.length && !inside(text, at, whole)) return at;
  }
  const forced = from + LONGEST_RUN;
  return forced < text.length ? forced + (isHighSurrogate(text.charCodeAt(forced - 1)) ? 1 : 0) : undefined;
}

const isHighSurrogate = (code: number): boolean => code >= 0xd800 && code < 0xdc00;

/** Whether a token that must stay whole has `at` in it. None is longer than the window that is looked at. */
function inside(text: string, at: number, whole: RegExp | undefined): boolean {
  if (!whole) return false;
  const start = Math.max(0, at - LONGEST_WHOLE);
  const window = text.slice(start, at + LONGEST_WHOLE);
  for (const match of window.matchAll(whole)) {
    const from = start + match.index;
    if (from < at && at < from + match[0].length) return true;
  }
  return false;
}

const LONGEST_WHOLE = 64;
const MOST_WHOLE = 2048;

/** The first rule that the vocabulary and a few words agree with. */
async function findSlicing(tokenizer: Tokenizer): Promise<Slicing | undefined> {
  const turns = new Turns();
  const spanning = rules.map((): string[] => []);
  for (let id = 0; id < tokenizer.vocabSize; id++) {
    const token = tokenizer.decode([id], { skipSpecial: false });
    rules.forEach(({ spans }, i) => {
      if (spans.test(token)) spanning[i]?.push(token);
    });
    await turns.next();
  }
  for (const [i, rule] of rules.entries()) {
    const whole = spanning[i] ?? [];
    if (whole.length > MOST_WHOLE || !agrees(tokenizer, rule)) continue;
    // Only tokens that are found in a text as they are can be kept whole.
    const added: string[] = [];
    for (const token of whole) {
      await turns.next();
      if (isAdded(tokenizer, token)) added.push(token);
    }
    if (added.length === whole.length) return { rule, whole: anyOf(whole) };
  }
  return undefined;
}

const isAdded = (tokenizer: Tokenizer, token: string): boolean =>
  token.length <= LONGEST_WHOLE && tokenizer.encode(token, { addSpecial: false }).length <= 2;

const anyOf = (texts: readonly string[]): RegExp | undefined =>
  texts.length === 0
    ? undefined
    : new RegExp(texts.map((text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|'), 'g');

const samples = [
  'The quick brown fox jumps over the lazy dog and does it again tomorrow',
  'alpha beta; gamma(delta) epsilon = zeta[eta] == theta, iota\nkappa\n\n  lambda mu "nu" xi/omicron',
  'Straße und Käse sind ganz schön weit weg. Да это так и есть',
];

/** Whether each sample has the same ids in one piece and cut at any one place. */
const agrees = (tokenizer: Tokenizer, rule: Rule): boolean =>
  samples.every((text) => {
    const expected = tokenizer.encode(text, { addSpecial: false }).join();
    return [...text.matchAll(rule.end)].every(({ index, 0: match }) => {
      const at = index + match.length;
      const rest = rule.dropSpace ? text.slice(at + 1) : text.slice(at);
      return (
        rest === '' ||
        [text.slice(0, at), rest].flatMap((part) => tokenizer.encode(part, { addSpecial: false })).join() ===
          expected
      );
    });
  });
