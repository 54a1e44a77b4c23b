// A Tokenizer over the tokenizer library: the library cuts and merges, Ingot decodes.

import { Tokenizer as Encoder } from '@huggingface/tokenizers';
import { IngotError } from '../base/errors.ts';
import { Decoder } from './decode.ts';
import { decodeRule, type TokenizerSpec } from './spec.ts';
import { widenPreTokenizer } from './split.ts';
import type { DecodeOptions, EncodeOptions, StreamDecoder, StreamOptions, Tokenizer } from './tokenizer.ts';

/** What stands beside a tokenizer.json: which ids begin and end a text, and the chat template. */
export interface TokenizerExtras {
  readonly bosId: number | undefined;
  readonly eosIds: readonly number[];
  readonly chatTemplate: string | undefined;
  /** Settings of the library (`tokenizer_config.json`). */
  readonly config: Readonly<Record<string, unknown>>;
}

/** Tokens by id, with holes where a file skips ids. */
export type Tokens = readonly (string | undefined)[];

/** Builds a tokenizer from a checked tokenizer.json and its tokens. The encoder is made when the first text is encoded. */
export function buildTokenizer(
  spec: TokenizerSpec,
  tokens: Tokens,
  extras: TokenizerExtras,
  file: string,
): Tokenizer {
  return new LibraryTokenizer(spec, tokens, extras, file);
}

class LibraryTokenizer implements Tokenizer {
  readonly vocabSize: number;
  readonly bosId: number | undefined;
  readonly bosToken: string | undefined;
  readonly eosIds: readonly number[];
  readonly eosToken: string | undefined;
  readonly specialIds: ReadonlySet<number>;
  readonly chatTemplate: string | undefined;
  readonly #tokens: Tokens;
  readonly #decoder: Decoder;
  readonly #makeEncoder: () => Encoder;
  #ids: Map<string, number> | undefined;
  #encoder: Encoder | undefined;

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
    this.#decoder = new Decoder({
      tokenOf: (id) => tokens[id],
      addedIds: new Set(spec.added_tokens.map(({ id }) => id)),
      specialIds: this.specialIds,
      rule: decodeRule(spec.decoder, file),
    });
    this.#makeEncoder = () => makeEncoder(spec, tokens, this.#idsByToken(), extras.config, file);
  }

  encode(text: string, options: EncodeOptions = {}): number[] {
    if (text === '' && options.addSpecial === false) return [];
    this.#encoder ??= this.#makeEncoder();
    const { ids } = this.#encoder.encode(text, { add_special_tokens: options.addSpecial ?? true });
    const unknown = ids.findIndex((id: number | undefined) => id === undefined);
    if (unknown >= 0) {
      throw new IngotError(
        'unsupported',
        `the tokenizer has no token for a part of the text (piece ${unknown}) and no unknown token`,
      );
    }
    return ids;
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

function makeEncoder(
  spec: TokenizerSpec,
  tokens: Tokens,
  ids: Map<string, number>,
  config: Readonly<Record<string, unknown>>,
  file: string,
): Encoder {
  const isBpe = spec.model.type === 'BPE';
  const model = isBpe ? { ...spec.model, vocab: {} } : spec.model;
  try {
    const encoder = new Encoder(
      { ...spec, model, pre_tokenizer: widenPreTokenizer(spec.pre_tokenizer) },
      config,
    );
    if (isBpe && encoder.model) {
      // Handed over as they are: going through an object of all tokens takes longer than the rest of the start.
      encoder.model.tokens_to_ids = ids;
      encoder.model.vocab = tokens as string[];
      const unknown = spec.model.unk_token;
      if (typeof unknown === 'string') encoder.model.unk_token_id = ids.get(unknown) ?? 0;
    }
    return encoder;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new IngotError(
      'unsupported',
      `${file}: the tokenizer cannot be built: ${reason}; use token ids instead of text`,
      { cause, details: { file } },
    );
  }
}
