// A tokenizer without training: a token per byte, and the markers of ChatML.

import { byteAlphabet } from '../tokenizer/byte-alphabet.ts';
import { Decoder } from '../tokenizer/decode.ts';
import { AddedTokens } from '../tokenizer/pipeline/added-tokens.ts';
import { decoderOf } from '../tokenizer/pipeline/decoders.ts';
import { literalRule } from '../tokenizer/pipeline/literal.ts';
import { finish, type Steps } from '../tokenizer/pipeline/steps.ts';
import type {
  DecodeOptions,
  EncodeOptions,
  StreamDecoder,
  StreamOptions,
  Tokenizer,
} from '../tokenizer/tokenizer.ts';

const markers: readonly string[] = ['<|im_start|>', '<|im_end|>'];
const found = new AddedTokens(markers.map((content, i) => ({ id: 256 + i, content, special: true })));
const utf8 = new TextEncoder();
/** Characters that are encoded at once. */
const piece = 4096;

export class ByteTokenizer implements Tokenizer {
  readonly vocabSize = 256 + markers.length;
  readonly bosId = undefined;
  readonly bosToken = undefined;
  readonly eosIds = [257];
  readonly eosToken = '<|im_end|>';
  readonly specialIds: ReadonlySet<number> = new Set([256, 257]);
  readonly chatTemplate: string | undefined;
  readonly #decoder: Decoder;

  /** Without a template the ChatML one is used, as for other tokenizers with its markers. */
  constructor(chatTemplate?: string) {
    this.chatTemplate = chatTemplate;
    this.#decoder = new Decoder({
      tokenOf: (id) => (id < 256 ? byteAlphabet[id] : this.tokenOf(id)),
      specialIds: this.specialIds,
      stages: decoderOf({ type: 'ByteLevel' }, 'the byte tokenizer'),
    });
  }

  encode(text: string, options: EncodeOptions = {}): number[] {
    return finish(this.encodeSteps(text, options));
  }
  *encodeSteps(text: string, options: EncodeOptions = {}): Steps<number[]> {
    const { limit = Number.POSITIVE_INFINITY } = options;
    const ids: number[] = [];
    for (const { id, from, to } of yield* found.sections(text, literalRule(options))) {
      if (id !== undefined) ids.push(id);
      for (let at = from; id === undefined && at < to && ids.length <= limit; ) {
        const end = Math.min(to, at + piece);
        // Not between the halves of a character.
        const whole = end < to && (text.codePointAt(end - 1) ?? 0) > 0xffff ? end + 1 : end;
        for (const byte of utf8.encode(text.slice(at, whole))) ids.push(byte);
        at = whole;
        yield;
      }
      if (ids.length > limit) break;
    }
    return ids;
  }
  decode(ids: readonly number[], options: DecodeOptions = {}): string {
    return this.#decoder.decode(ids, options);
  }
  idOf(token: string): number | undefined {
    const byte = /^<0x([0-9A-F]{2})>$/.exec(token)?.[1];
    if (byte !== undefined) return Number.parseInt(byte, 16);
    const special = markers.indexOf(token);
    return special >= 0 ? 256 + special : undefined;
  }
  tokenOf(id: number): string | undefined {
    return id < 256 ? `<0x${id.toString(16).toUpperCase().padStart(2, '0')}>` : markers[id - 256];
  }
  /** What an id adds to a text, in UTF-8. */
  bytesOf(id: number): Uint8Array {
    return id < 256 ? Uint8Array.of(id) : utf8.encode(markers[id - 256] ?? '');
  }
  stream(options: StreamOptions = {}): StreamDecoder {
    return this.#decoder.stream(options);
  }
}
