// The tokenizer.json that a list of scored pieces stands for: what SentencePiece and GGUF files have of a Unigram model.

import type { TokenizerSpec } from './spec.ts';

/** The mark of a space in pieces. */
export const spaceMark = '\u2581';

/** Types of pieces, in SentencePiece and GGUF alike. */
export const pieceTypes = {
  normal: 1,
  unknown: 2,
  control: 3,
  userDefined: 4,
  unused: 5,
  byte: 6,
} as const;

/** What happens to a text before it is cut. */
export interface PieceNormalizer {
  /** The table of the normaliser as SentencePiece has it; empty: none. */
  readonly charsmap: Uint8Array;
  /** Whether texts begin with a mark of a space. */
  readonly addPrefix: boolean;
  /** Whether runs of spaces become one, and those at the ends none. */
  readonly removeSpaces: boolean;
}

export interface UnigramPieces extends PieceNormalizer {
  readonly pieces: readonly string[];
  readonly scores: ArrayLike<number>;
  readonly types: ArrayLike<number>;
  readonly byteFallback: boolean;
  readonly unkId: number;
}

/** What happens to a text before its spaces become marks. */
export const normalizersOf = ({
  charsmap,
  removeSpaces,
}: Pick<PieceNormalizer, 'charsmap' | 'removeSpaces'>): readonly object[] => [
  ...(charsmap.length > 0 ? [{ type: 'Precompiled', precompiled_charsmap: base64(charsmap) }] : []),
  ...(removeSpaces
    ? [
        { type: 'Strip', strip_left: true, strip_right: true },
        { type: 'Replace', pattern: { Regex: ' {2,}' }, content: ' ' },
      ]
    : []),
];

const replaced = (pattern: string, content: string): object => ({
  type: 'Replace',
  pattern: { String: pattern },
  content,
});

/** Without what a template puts around a text. Unused pieces at the end are rows without a token. */
export function unigramSpec(model: UnigramPieces): TokenizerSpec {
  const { pieces, scores, types, unkId, byteFallback, addPrefix } = model;
  const added = pieces.flatMap((content, id) =>
    types[id] === pieceTypes.control || types[id] === pieceTypes.userDefined || id === unkId
      ? [{ id, content, special: types[id] !== pieceTypes.userDefined, normalized: false }]
      : [],
  );
  const prefix = addPrefix ? [{ type: 'Prepend', prepend: spaceMark }] : [];
  let used = pieces.length;
  while (used > 0 && types[used - 1] === pieceTypes.unused) used--;
  return {
    added_tokens: added,
    normalizer: {
      type: 'Sequence',
      normalizers: [...normalizersOf(model), ...prefix, replaced(' ', spaceMark)],
    },
    pre_tokenizer: null,
    post_processor: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        replaced(spaceMark, ' '),
        ...(byteFallback ? [{ type: 'ByteFallback' }] : []),
        { type: 'Fuse' },
        ...(addPrefix ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
      ],
    },
    model: {
      type: 'Unigram',
      unk_id: unkId,
      byte_fallback: byteFallback,
      vocab: pieces.slice(0, used).map((piece, id) => [piece, scores[id] ?? 0]),
    },
  };
}

function base64(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 4096)
    text += String.fromCharCode(...bytes.subarray(at, at + 4096));
  return btoa(text);
}
