// A Unigram tokenizer.json as GGUF's vocabulary "t5": pieces with scores, and the table of SentencePiece's normaliser.

import { isObject, type Json } from './json.ts';
import type { TokenizerSpec } from './spec.ts';
import { patternOf, stepsOf } from './steps-of.ts';
import type { TokenizerMetadata } from './to-gguf.ts';
import { type PieceNormalizer, pieceTypes, spaceMark } from './unigram-spec.ts';

/**
 * Keys of the model. `types` gets what bytes and the unknown token are; `refuse` throws for what GGUF has no name for: another
 * normaliser than SentencePiece's, words that are cut where tokens have spaces, no unknown token.
 */
export function unigramKeys(
  spec: TokenizerSpec,
  tokens: readonly string[],
  types: Int32Array,
  refuse: (why: string) => never,
): TokenizerMetadata {
  const { vocab, unk_id: unk, byte_fallback: bytes } = spec.model;
  const scores = new Float32Array(tokens.length);
  if (Array.isArray(vocab))
    vocab.forEach((entry: unknown, id) => {
      scores[id] = Array.isArray(entry) ? Number(entry[1]) : 0;
    });
  if (typeof unk !== 'number') return refuse('is a Unigram tokenizer without an unknown token');
  types[unk] = pieceTypes.unknown;
  if (bytes === true)
    tokens.forEach((token, id) => {
      if (/^<0x[0-9A-F]{2}>$/.test(token)) types[id] = pieceTypes.byte;
    });
  const { charsmap, addPrefix, removeSpaces } = normalizerOf(spec, tokens, types, refuse);
  return {
    'tokenizer.ggml.model': 't5',
    'tokenizer.ggml.pre': 'default',
    'tokenizer.ggml.scores': scores,
    'tokenizer.ggml.unknown_token_id': unk,
    'tokenizer.ggml.add_space_prefix': addPrefix,
    'tokenizer.ggml.remove_extra_whitespaces': removeSpaces,
    ...(charsmap.length === 0 ? {} : { 'tokenizer.ggml.precompiled_charsmap': charsmap }),
  };
}

function normalizerOf(
  { normalizer, pre_tokenizer: cut }: TokenizerSpec,
  tokens: readonly string[],
  types: Int32Array,
  refuse: (why: string) => never,
): PieceNormalizer {
  let charsmap = new Uint8Array(0);
  let addPrefix = false;
  const removed = { left: false, right: false, runs: false };
  stepsOf(normalizer, 'normalizers').forEach((step, i) => {
    if (step.type === 'Precompiled' && i === 0) charsmap = bytesOf(step);
    else if (step.type === 'Strip')
      Object.assign(removed, { left: step.strip_left !== false, right: step.strip_right !== false });
    else if (isRuns(step)) removed.runs = true;
    else if (step.type === 'Prepend' && step.prepend === spaceMark) addPrefix = true;
    else if (!(step.type === 'Replace' && patternOf(step) === ' ' && step.content === spaceMark))
      refuse(`normalises texts (${String(step.type)})`);
  });
  for (const step of stepsOf(cut, 'pretokenizers')) {
    // Other spaces than ' ' are cut away, too: the table makes them that.
    if (step.type === 'WhitespaceSplit' && charsmap.length > 0)
      Object.assign(removed, { left: true, right: true, runs: true });
    else if (step.type === 'Metaspace' && (step.replacement ?? spaceMark) === spaceMark) {
      addPrefix ||=
        step.prepend_scheme === undefined ? step.add_prefix_space !== false : step.prepend_scheme !== 'never';
      // Where words are cut no token can reach over a space; readers of GGUF do not cut.
      const over = (token: string, id: number): boolean =>
        types[id] === pieceTypes.normal && token.lastIndexOf(spaceMark) > 0;
      if (step.split !== false && tokens.some(over)) refuse('cuts texts within tokens (Metaspace)');
    } else refuse(`cuts texts (${String(step.type)})`);
  }
  // A run of spaces in front is one mark, and no other is put before it.
  const left = removed.left || (removed.runs && addPrefix);
  if ((removed.runs || removed.right) && !(removed.runs && removed.right && left))
    refuse('removes spaces in some places only');
  return { charsmap, addPrefix, removeSpaces: removed.runs };
}

const isRuns = (step: Json): boolean =>
  step.type === 'Replace' &&
  isObject(step.pattern) &&
  step.pattern.Regex === ' {2,}' &&
  (step.content === ' ' || step.content === spaceMark);

const bytesOf = ({ precompiled_charsmap: table }: Json): Uint8Array<ArrayBuffer> =>
  typeof table === 'string' ? Uint8Array.from(atob(table), (c) => c.charCodeAt(0)) : new Uint8Array(0);
