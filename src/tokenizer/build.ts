// A Tokenizer from the components of a tokenizer.json.

import { Decoder } from './decode.ts';
import { decoderOf } from './pipeline/decoders.ts';
import { Encoder, type EncoderParts, encoderParts, modelOf, shrinkage } from './pipeline/encoder.ts';
import { finish, type Steps } from './pipeline/steps.ts';
import type { TokenizerSpec } from './spec.ts';
import type { DecodeOptions, EncodeOptions, StreamDecoder, StreamOptions, Tokenizer } from './tokenizer.ts';

/** What stands beside a tokenizer.json: which ids begin and end a text, and the chat template. */
export interface TokenizerExtras {
  readonly bosId: number | undefined;
  readonly eosIds: readonly number[];
  readonly chatTemplate: string | undefined;
}

/** Tokens by id, with holes where a file skips ids. */
export type Tokens = readonly (string | undefined)[];

/**
 * Builds a tokenizer from a checked tokenizer.json and its tokens. The model is made when the first text is encoded.
 * Throws `unsupported` for components that are not known, by their names, and FileFormatError for those that are wrong.
 */
export function buildTokenizer(
  spec: TokenizerSpec,
  tokens: Tokens,
  extras: TokenizerExtras,
  file: string,
): Tokenizer {
  return new BuiltTokenizer(spec, tokens, extras, file);
}

class BuiltTokenizer implements Tokenizer {
  readonly vocabSize: number;
  readonly bosId: number | undefined;
  readonly bosToken: string | undefined;
  readonly eosIds: readonly number[];
  readonly eosToken: string | undefined;
  readonly specialIds: ReadonlySet<number>;
  readonly chatTemplate: string | undefined;
  readonly #tokens: Tokens;
  readonly #decoder: Decoder;
  readonly #spec: TokenizerSpec;
  readonly #file: string;
  readonly #parts: EncoderParts;
  #ids: Map<string, number> | undefined;
  #encoder: Encoder | undefined;
  /** Tokens that a character is worth at least. */
  #perCharacter: number | undefined;

  constructor(spec: TokenizerSpec, tokens: Tokens, extras: TokenizerExtras, file: string) {
    this.#tokens = tokens;
    this.vocabSize = tokens.length;
    this.bosId = extras.bosId;
    this.bosToken = this.tokenOf(extras.bosId ?? -1);
    this.eosIds = extras.eosIds;
    this.eosToken = this.tokenOf(extras.eosIds[0] ?? -1);
    this.chatTemplate = extras.chatTemplate;
    this.specialIds = new Set(
      spec.added_tokens.filter((token) => token.special === true).map(({ id }) => id),
    );
    this.#spec = spec;
    this.#file = file;
    this.#parts = encoderParts(spec, (token) => this.idOf(token), file);
    const { spelled } = this.#parts;
    this.#decoder = new Decoder({
      tokenOf: (id) => spelled.get(id) ?? tokens[id],
      specialIds: this.specialIds,
      stages: decoderOf(spec.decoder, file),
    });
  }

  encode(text: string, options: EncodeOptions = {}): number[] {
    return finish(this.encodeSteps(text, options));
  }

  *encodeSteps(text: string, options: EncodeOptions = {}): Steps<number[]> {
    if (text === '' && options.addSpecial === false) return [];
    this.#encoder ??= new Encoder(this.#parts, yield* modelOf(this.#spec, this.#idsByToken(), this.#file));
    return yield* this.#encoder.encode(text, options);
  }

  fewestTokens(text: string): number {
    this.#perCharacter ??=
      shrinkage(this.#parts, this.#spec, (token) => this.idOf(token)) /
      this.#tokens.reduce((longest, token) => Math.max(longest, token?.length ?? 0), 1);
    return Math.floor(text.length * this.#perCharacter);
  }

  decode(ids: readonly number[], options: DecodeOptions = {}): string {
    return this.#decoder.decode(ids, options);
  }

  idOf(token: string): number | undefined {
    return this.#idsByToken().get(token);
  }

  tokenOf(id: number): string | undefined {
    return this.#tokens[id];
  }

  bytesOf(id: number): Uint8Array {
    return this.#decoder.bytesOf(id);
  }

  stream(options: StreamOptions = {}): StreamDecoder {
    return this.#decoder.stream(options);
  }

  #idsByToken(): Map<string, number> {
    if (!this.#ids) {
      const ids = new Map<string, number>();
      this.#tokens.forEach((token, id) => {
        if (token !== undefined) ids.set(token, id);
      });
      this.#ids = ids;
    }
    return this.#ids;
  }
}
