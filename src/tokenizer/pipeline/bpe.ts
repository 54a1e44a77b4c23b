// Byte-pair encoding: characters become tokens, and the pair with the best merge is joined until none is left.
// Sennrich et al. 2016, https://arxiv.org/abs/1508.07909; details as in the tokenizers library's `models/bpe`.

import { FileFormatError, IngotError } from '../../base/errors.ts';
import type { Json } from '../json.ts';
import { symbolsPerStep, type TokenModel } from './model.ts';
import { NumberHeap } from './number-heap.ts';
import { PairTable } from './pair-table.ts';
import type { Steps } from './steps.ts';

interface Options {
  readonly prefix: string;
  readonly suffix: string;
  readonly unknownId: number | undefined;
  readonly fuseUnknown: boolean;
  /** Ids of the 256 byte tokens, those that there are. */
  readonly bytes: readonly (number | undefined)[] | undefined;
  readonly ignoreMerges: boolean;
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '');

/** A model from the `model` of a tokenizer.json. Throws FileFormatError for merges that make no sense. */
export function* bpeOf(json: Json, vocab: ReadonlyMap<string, number>, file: string): Steps<TokenModel> {
  if (typeof json.dropout === 'number' && json.dropout > 0) {
    throw new IngotError(
      'unsupported',
      `${file}: model.dropout is ${json.dropout}: such a tokenizer gives other ids each time; set it to null`,
      { details: { file, dropout: json.dropout } },
    );
  }
  const unknown = typeof json.unk_token === 'string' ? json.unk_token : undefined;
  const options: Options = {
    prefix: text(json.continuing_subword_prefix),
    suffix: text(json.end_of_word_suffix),
    unknownId: unknown === undefined ? undefined : vocab.get(unknown),
    fuseUnknown: json.fuse_unk === true,
    bytes: json.byte_fallback === true ? byteTokens(vocab) : undefined,
    ignoreMerges: json.ignore_merges === true,
  };
  const merges = yield* mergeTable(json, vocab, options.prefix.length, file);
  return new Bpe(vocab, merges, options);
}

/** The names of the tokens of bytes. */
export const byteTokenNames: readonly string[] = Array.from(
  { length: 256 },
  (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
);

export const byteTokens = (vocab: ReadonlyMap<string, number>): (number | undefined)[] =>
  byteTokenNames.map((name) => vocab.get(name));

function* mergeTable(
  { merges, skip_unknown_merges: skip }: Json,
  vocab: ReadonlyMap<string, number>,
  prefixLength: number,
  file: string,
): Steps<PairTable> {
  if (!Array.isArray(merges)) throw new FileFormatError(file, 'model.merges', 'is not an array');
  const table = new PairTable(merges.length);
  for (const [rank, merge] of merges.entries()) {
    const [left, right, more] = (typeof merge === 'string' ? merge.split(' ') : merge) as unknown[];
    const wrong = (problem: string) =>
      new FileFormatError(file, `model.merges[${rank}]`, `${JSON.stringify(merge)} ${problem}`);
    if (typeof left !== 'string' || typeof right !== 'string' || more !== undefined)
      throw wrong('is no pair of tokens');
    const a = vocab.get(left);
    const b = vocab.get(right);
    const id = vocab.get(left + right.slice(prefixLength));
    if (a !== undefined && b !== undefined && id !== undefined) table.set(a, b, { rank, id });
    else if (skip !== true) throw wrong('has a token that is not in the vocabulary');
    if (rank % symbolsPerStep === 0) yield;
  }
  return table;
}

const utf8 = new TextEncoder();

class Bpe implements TokenModel {
  readonly #vocab: ReadonlyMap<string, number>;
  readonly #merges: PairTable;
  readonly #options: Options;

  constructor(vocab: ReadonlyMap<string, number>, merges: PairTable, options: Options) {
    this.#vocab = vocab;
    this.#merges = merges;
    this.#options = options;
  }

  *encode(word: string): Steps<readonly number[]> {
    if (this.#options.ignoreMerges) {
      const id = this.#vocab.get(word);
      if (id !== undefined) return [id];
    }
    const symbols = yield* this.#symbols(word);
    return symbols.length < 2 ? symbols : yield* this.#merge(symbols);
  }

  /** Ids of the characters of a word: their own, those of their bytes, or the unknown one. */
  *#symbols(word: string): Steps<number[]> {
    const { prefix, suffix, unknownId, fuseUnknown, bytes } = this.#options;
    const ids: number[] = [];
    // Runs of unknown characters are written when a known one follows, as in the reference.
    let unknown = 0;
    const flush = (): void => {
      for (; unknown > 0 && unknownId !== undefined; unknown--) ids.push(unknownId);
    };
    let at = 0;
    for (const char of word) {
      const first = at === 0;
      at += char.length;
      const symbol = `${first ? '' : prefix}${char}${at === word.length ? suffix : ''}`;
      const id = this.#vocab.get(symbol);
      if (id !== undefined) {
        flush();
        ids.push(id);
      } else if (!(bytes && pushBytes(ids, symbol, bytes))) {
        unknown = fuseUnknown ? 1 : unknown + 1;
      }
      if (ids.length % symbolsPerStep === symbolsPerStep - 1) yield;
    }
    flush();
    return ids;
  }

  /** Joins the pair of the best rank, the leftmost of equals, until no pair has a merge. Changes `ids`. */
  *#merge(ids: number[]): Steps<number[]> {
    const count = ids.length;
    const next = Int32Array.from({ length: count }, (_, i) => (i + 1 < count ? i + 1 : -1));
    const previous = Int32Array.from({ length: count }, (_, i) => i - 1);
    const queue = new NumberHeap();
    const offer = (left: number, right: number): void => {
      const rank = this.#merges.rankOf(ids[left] ?? -1, ids[right] ?? -1);
      if (rank >= 0) queue.push(rank * places + left);
    };
    for (let i = 0; i + 1 < count; i++) {
      offer(i, i + 1);
      if (i % symbolsPerStep === symbolsPerStep - 1) yield;
    }
    for (let steps = 1, top = queue.pop(); top !== undefined; top = queue.pop(), steps++) {
      if (steps % symbolsPerStep === 0) yield;
      const left = top % places;
      const right = next[left] ?? -1;
      const leftId = ids[left] ?? gone;
      // What was queued may be merged otherwise since.
      if (leftId === gone || right < 0) continue;
      const rightId = ids[right] ?? gone;
      if (this.#merges.rankOf(leftId, rightId) !== Math.floor(top / places)) continue;
      ids[left] = this.#merges.idOf(leftId, rightId);
      ids[right] = gone;
      const after = next[right] ?? -1;
      next[left] = after;
      const before = previous[left] ?? -1;
      if (before >= 0) offer(before, left);
      if (after >= 0) {
        previous[after] = left;
        offer(left, after);
      }
    }
    return ids.filter((id) => id !== gone);
  }
}

const gone = -1;
/** Ranks and places share a number of 53 bits: two million merges, texts of 4 GB. */
const places = 2 ** 32;

/** Appends the tokens of the bytes of a text; false when one of them has no token. */
export function pushBytes(ids: number[], symbol: string, bytes: readonly (number | undefined)[]): boolean {
  const found = Array.from(utf8.encode(symbol), (byte) => bytes[byte]);
  if (found.some((id) => id === undefined)) return false;
  for (const id of found) if (id !== undefined) ids.push(id);
  return true;
}
