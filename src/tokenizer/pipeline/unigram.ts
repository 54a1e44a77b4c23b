// The unigram language model: the segmentation with the best sum of scores.
// Kudo 2018, https://arxiv.org/abs/1804.10959; details as in the tokenizers library's `models/unigram`.

import { FileFormatError, IngotError } from '../../base/errors.ts';
import type { Json } from '../json.ts';
import { byteTokens, pushBytes } from './bpe.ts';
import { symbolsPerStep, type TokenModel } from './model.ts';
import type { Steps } from './steps.ts';

/** What an unknown character scores below the worst token. */
const unknownPenalty = 10;

/** A model from the `model` of a tokenizer.json. Throws FileFormatError for entries that are no token with a score. */
export function* unigramOf(json: Json, file: string): Steps<TokenModel> {
  const { vocab, unk_id: unknown } = json;
  if (!Array.isArray(vocab) || vocab.length === 0)
    throw new FileFormatError(file, 'model.vocab', 'is not a list of [token, score]');
  const trie = new Trie();
  const scores = new Float64Array(vocab.length);
  const ids = new Map<string, number>();
  for (const [id, entry] of (vocab as unknown[]).entries()) {
    const [token, score] = Array.isArray(entry) ? entry : [];
    if (typeof token !== 'string' || typeof score !== 'number')
      throw new FileFormatError(file, `model.vocab[${id}]`, 'is not a [token, score] pair');
    ids.set(token, id);
    scores[id] = score;
    trie.add(token, id);
    if (id % symbolsPerStep === 0) yield;
  }
  if (unknown !== null && unknown !== undefined && !(Number.isInteger(unknown) && ids.size > Number(unknown)))
    throw new FileFormatError(file, 'model.unk_id', `${String(unknown)} is no id of the vocabulary`);
  const bytes = json.byte_fallback === true ? byteTokens(ids) : undefined;
  return new Unigram({
    trie,
    scores,
    ids,
    unknownId: typeof unknown === 'number' ? unknown : undefined,
    bytes,
  });
}

/** Tokens by their characters: one map of (node, character) to node. */
class Trie {
  readonly #nodes = new Map<number, number>();
  readonly #ids: number[] = [-1];

  add(token: string, id: number): void {
    let node = 0;
    for (const char of token) {
      const key = keyOf(node, char);
      let child = this.#nodes.get(key);
      if (child === undefined) {
        child = this.#ids.push(-1) - 1;
        this.#nodes.set(key, child);
      }
      node = child;
    }
    this.#ids[node] = id;
  }

  child(node: number, char: string): number | undefined {
    return this.#nodes.get(keyOf(node, char));
  }

  /** The token that ends at a node; -1 for none. */
  idAt(node: number): number {
    return this.#ids[node] ?? -1;
  }
}

const keyOf = (node: number, char: string): number => node * 0x110000 + (char.codePointAt(0) ?? 0);

const unreached = -1;
/** In place of an id: a character without a token. */
const unknownMark = -2;

interface Parts {
  readonly trie: Trie;
  readonly scores: Float64Array;
  readonly ids: ReadonlyMap<string, number>;
  readonly unknownId: number | undefined;
  readonly bytes: readonly (number | undefined)[] | undefined;
}

class Unigram implements TokenModel {
  readonly #parts: Parts;
  readonly #unknownScore: number;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#unknownScore = parts.scores.reduce((least, score) => Math.min(least, score)) - unknownPenalty;
  }

  *encode(word: string): Steps<readonly number[]> {
    const chars = [...word];
    const { ids, starts } = yield* this.#bestPath(chars);
    const tokens: { id: number; text: string }[] = [];
    for (let end = chars.length; end > 0; ) {
      const start = starts[end] ?? 0;
      const id = ids[end] ?? unknownMark;
      const text = chars.slice(start, end).join('');
      const after = tokens.at(-1);
      // Neighbours without a token become one unknown token.
      if (this.#isUnknown(id) && after && this.#isUnknown(after.id)) after.text = text + after.text;
      else tokens.push({ id, text });
      end = start;
    }
    return this.#written(tokens.reverse());
  }

  #isUnknown(id: number): boolean {
    return id === unknownMark || id === this.#parts.unknownId;
  }

  #written(tokens: readonly { id: number; text: string }[]): number[] {
    const { ids, bytes, unknownId } = this.#parts;
    const out: number[] = [];
    for (const { id, text } of tokens) {
      const known = this.#isUnknown(id) ? ids.get(text) : id;
      if (known !== undefined) out.push(known);
      else if (!(bytes && pushBytes(out, text, bytes))) out.push(unknownId ?? noToken(text));
    }
    return out;
  }

  /** For each place the token that ends there on the best path, and where it starts. */
  *#bestPath(chars: readonly string[]): Steps<{ ids: Int32Array; starts: Int32Array }> {
    const { trie, scores } = this.#parts;
    const size = chars.length + 1;
    const best = new Float64Array(size);
    const starts = new Int32Array(size).fill(unreached);
    const ids = new Int32Array(size);
    const reach = (start: number, end: number, score: number, id: number): void => {
      const candidate = score + (best[start] ?? 0);
      if (starts[end] !== unreached && candidate <= (best[end] ?? 0)) return;
      best[end] = candidate;
      starts[end] = start;
      ids[end] = id;
    };
    for (let start = 0; start < chars.length; start++) {
      let single = false;
      let node: number | undefined = 0;
      for (let at = start; at < chars.length; at++) {
        node = trie.child(node, chars[at] ?? '');
        if (node === undefined) break;
        const id = trie.idAt(node);
        if (id < 0) continue;
        reach(start, at + 1, scores[id] ?? 0, id);
        if (at === start) single = true;
      }
      if (!single) reach(start, start + 1, this.#unknownScore, unknownMark);
      if (start % symbolsPerStep === symbolsPerStep - 1) yield;
    }
    return { ids, starts };
  }
}

function noToken(text: string): never {
  throw new IngotError(
    'unsupported',
    `the tokenizer has no token for ${JSON.stringify(text.slice(0, 20))} and no unknown token`,
  );
}
