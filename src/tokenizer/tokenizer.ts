// What the rest of Ingot knows of a tokenizer. An engine works without one, on token ids.

/** A part of a text, in UTF-16 code units, end exclusive. */
export interface TextSpan {
  readonly from: number;
  readonly to: number;
}

export interface EncodeOptions {
  /** Add what the model expects around a text, such as a BOS token. Default true. Templates bring their own: false. */
  readonly addSpecial?: boolean;
  /** What a special token's name in the text is: the token (`match`, the default), or text like any other (`text`). */
  readonly specialTokens?: 'match' | 'text' | undefined;
  /** Parts of the text, in order and apart, in which special tokens are text; for texts that have both. */
  readonly literal?: readonly TextSpan[] | undefined;
  /** Ids beyond which nothing more is encoded: what comes back is longer than that, and not all of the text. */
  readonly limit?: number | undefined;
}

export interface DecodeOptions {
  /** Leave out special tokens such as `<|im_end|>`. Default true. */
  readonly skipSpecial?: boolean;
  /** Special tokens that are not left out, such as those that mark a tool call. */
  readonly keep?: ReadonlySet<number> | undefined;
}

export interface StreamOptions extends DecodeOptions {
  /** Text goes on from a prompt: keep the leading space that a SentencePiece decoder drops. Default false. */
  readonly continuation?: boolean;
}

export interface Tokenizer {
  /** Number of ids the tokenizer knows; a model's vocabulary may be padded beyond it. */
  readonly vocabSize: number;
  readonly bosId: number | undefined;
  /** The token of `bosId`, as chat templates want it. */
  readonly bosToken: string | undefined;
  /** Ids that end an answer: the end of the text and the end of a turn. */
  readonly eosIds: readonly number[];
  readonly eosToken: string | undefined;
  readonly specialIds: ReadonlySet<number>;
  /** Jinja source of the chat template that came with the tokenizer. */
  readonly chatTemplate: string | undefined;
  encode(text: string, options?: EncodeOptions): number[];
  /** `encode` in steps of about a millisecond, for texts of any length; without it they are encoded at once. */
  encodeSteps?(text: string, options?: EncodeOptions): Generator<undefined, number[], undefined>;
  /** A number of tokens that `text` has at least, from its length alone. */
  fewestTokens?(text: string): number;
  /** Text of `ids`. Bytes that are no UTF-8 become U+FFFD. Ids beyond the vocabulary give nothing. */
  decode(ids: readonly number[], options?: DecodeOptions): string;
  /** The id of one token as the vocabulary spells it. */
  idOf(token: string): number | undefined;
  /** The token of an id as the vocabulary spells it. */
  tokenOf(id: number): string | undefined;
  /** What `id` adds to a text, in UTF-8; a character may go on in the next token. Empty beyond the vocabulary. */
  bytesOf(id: number): Uint8Array;
  stream(options?: StreamOptions): StreamDecoder;
}

/** Decodes token by token. Everything returned by `push` and `end`, joined, equals `decode` of all ids. */
export interface StreamDecoder {
  /** The text that `id` completes; empty while a character is still incomplete. Never part of a character. */
  push(id: number): string;
  /** What is left: empty, or U+FFFD when the ids stopped inside a character. The stream starts anew afterwards. */
  end(): string;
}
