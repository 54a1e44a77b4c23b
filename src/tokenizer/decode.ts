// From token ids to text. Every supported decoder is one rule per token (id -> bytes) and at most one dropped leading
// space, so that decoding a list and decoding a stream are the same code.

import { IngotError } from '../base/errors.ts';
import { bytesOfSpelling } from './byte-alphabet.ts';
import type { DecodeOptions, StreamDecoder, StreamOptions } from './tokenizer.ts';

/** How a vocabulary spells text. */
export interface DecodeRule {
  readonly kind: 'byte-level' | 'sentencepiece' | 'plain';
  /** Drop one space at the start of the whole text (SentencePiece puts one there when it encodes). */
  readonly stripLeadingSpace: boolean;
}

export interface DecodeTable {
  /** Token of an id as the vocabulary spells it; undefined beyond the vocabulary. */
  readonly tokenOf: (id: number) => string | undefined;
  /** Ids whose token is literal text, whatever the rule says. */
  readonly addedIds: ReadonlySet<number>;
  readonly specialIds: ReadonlySet<number>;
  readonly rule: DecodeRule;
}

const utf8 = new TextEncoder();
const nothing = new Uint8Array(0);
const byteToken = /^<0x([0-9A-Fa-f]{2})>$/;
const space = 0x20;

function bytesOfToken(token: string, added: boolean, rule: DecodeRule): Uint8Array {
  if (added || rule.kind === 'plain') return utf8.encode(token);
  if (rule.kind === 'byte-level') return bytesOfSpelling(token) ?? utf8.encode(token);
  const byte = byteToken.exec(token)?.[1];
  if (byte !== undefined) return Uint8Array.of(Number.parseInt(byte, 16));
  return utf8.encode(token.replaceAll('\u2581', ' '));
}

/** Decodes ids of one vocabulary. Bytes of a token are worked out when it is first met. */
export class Decoder {
  readonly #table: DecodeTable;
  readonly #bytes = new Map<number, Uint8Array>();

  constructor(table: DecodeTable) {
    this.#table = table;
  }

  /** Text of `ids`. Throws invalid_argument for an id that is no non-negative integer. */
  decode(ids: readonly number[], options: DecodeOptions = {}): string {
    const stream = this.stream(options);
    let text = '';
    for (const id of ids) text += stream.push(id);
    return text + stream.end();
  }

  stream(options: StreamOptions = {}): StreamDecoder {
    const { skipSpecial = true, keep, continuation = false } = options;
    const strip = this.#table.rule.stripLeadingSpace && !continuation;
    const utf8Decoder = new TextDecoder('utf-8', { ignoreBOM: true });
    let atStart = true;
    return {
      push: (id) => {
        if (skipSpecial && this.#table.specialIds.has(id) && keep?.has(id) !== true) return '';
        let bytes = this.#known(id);
        if (bytes.length === 0) return '';
        if (atStart && strip && bytes[0] === space) bytes = bytes.subarray(1);
        atStart = false;
        return utf8Decoder.decode(bytes, { stream: true });
      },
      end: () => {
        atStart = true;
        return utf8Decoder.decode();
      },
    };
  }

  /** What an id adds to a text. Throws invalid_argument for an id that is no non-negative integer. */
  bytesOf(id: number): Uint8Array {
    if (!Number.isInteger(id) || id < 0) {
      throw new IngotError('invalid_argument', `token id ${id} is not a non-negative integer`, {
        details: { id },
      });
    }
    const token = this.#table.tokenOf(id);
    return token === undefined
      ? nothing
      : bytesOfToken(token, this.#table.addedIds.has(id), this.#table.rule);
  }

  #known(id: number): Uint8Array {
    let bytes = this.#bytes.get(id);
    if (!bytes) {
      bytes = this.bytesOf(id);
      this.#bytes.set(id, bytes);
    }
    return bytes;
  }
}
