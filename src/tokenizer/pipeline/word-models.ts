// Vocabularies of whole words and of pieces of words: WordLevel and WordPiece.

import { IngotError } from '../../base/errors.ts';
import type { Json } from '../json.ts';
import type { TokenModel } from './model.ts';

type Vocab = ReadonlyMap<string, number>;

function unknownOf({ unk_token: token }: Json, vocab: Vocab): (word: string) => number {
  const id = typeof token === 'string' ? vocab.get(token) : undefined;
  return (word) => {
    if (id !== undefined) return id;
    throw new IngotError(
      'unsupported',
      `the tokenizer has no token for ${JSON.stringify(word.slice(0, 20))} and no unknown token`,
    );
  };
}

/** One token a word. */
export function wordLevelOf(json: Json, vocab: Vocab): TokenModel {
  const unknown = unknownOf(json, vocab);
  return {
    // biome-ignore lint/correctness/useYield: a word is one look
    *encode(word) {
      return [vocab.get(word) ?? unknown(word)];
    },
  };
}

/** The longest known piece first; a word with a part that is no piece is unknown as a whole. */
export function wordPieceOf(json: Json, vocab: Vocab): TokenModel {
  const unknown = unknownOf(json, vocab);
  const prefix = typeof json.continuing_subword_prefix === 'string' ? json.continuing_subword_prefix : '##';
  const longest = typeof json.max_input_chars_per_word === 'number' ? json.max_input_chars_per_word : 100;
  return {
    // biome-ignore lint/correctness/useYield: words are short
    *encode(word) {
      const chars = word.length > 2 * longest ? undefined : [...word];
      return (chars && chars.length <= longest && piecesOf(chars, prefix, vocab)) || [unknown(word)];
    },
  };
}

function piecesOf(chars: readonly string[], prefix: string, vocab: Vocab): number[] | undefined {
  const ids: number[] = [];
  for (let start = 0; start < chars.length; ) {
    let end = chars.length;
    let id: number | undefined;
    for (; end > start; end--) {
      id = vocab.get((start > 0 ? prefix : '') + chars.slice(start, end).join(''));
      if (id !== undefined) break;
    }
    if (id === undefined) return undefined;
    ids.push(id);
    start = end;
  }
  return ids;
}
