// Decoders of a tokenizer.json, as stages that take tokens one by one: decoding a list and a stream are the same code.

import { FileFormatError, IngotError } from '../../base/errors.ts';
import { bytesOfSpelling } from '../byte-alphabet.ts';
import { isObject, type Json } from '../json.ts';
import { escapeExpression, literalOf, patternOf } from './pattern.ts';
import { prependScheme } from './pre-tokenizers.ts';

/** One text on its way through a stage. */
export interface Flow {
  /** What `token` completes. */
  push(token: string): readonly string[];
  /** What was held back. The flow starts anew afterwards. */
  end(): readonly string[];
}

export interface Stage {
  /** `begun`: tokens went before, the first is not special. */
  start(begun: boolean): Flow;
  /** What a token in the middle of a text becomes, as bytes where the stage is the one that reads them. */
  readonly middle: (token: string) => string | Uint8Array;
}

const utf8 = new TextEncoder();
const none: readonly string[] = [];

/** The decoder of a tokenizer.json. Throws `unsupported` with the name of one that is not known or cannot go token by token. */
export function decoderOf(json: Json | null, file: string): readonly Stage[] {
  if (json === null) return [spaced];
  const parts = flatten(json, file);
  return parts.map((part, i) => stageOf(part, parts.slice(0, i).some(joins), file));
}

/** Whether what comes after sees one text instead of tokens. */
const joins = ({ type }: Json): boolean => type === 'Fuse' || type === 'ByteLevel';

function flatten(json: Json, file: string): Json[] {
  if (json.type !== 'Sequence') return [json];
  if (!Array.isArray(json.decoders)) throw new FileFormatError(file, 'decoder.decoders', 'is not an array');
  return json.decoders.filter(isObject).flatMap((part) => flatten(part, file));
}

function stageOf(json: Json, joined: boolean, file: string): Stage {
  const type = String(json.type);
  if (!joined || type === 'Fuse' || type === 'ByteFallback') {
    switch (type) {
      case 'ByteLevel':
        return byteLevel;
      case 'ByteFallback':
        return byteFallback;
      case 'Fuse':
        return each((token) => token);
      case 'Metaspace':
        return metaspace(json, file);
      case 'WordPiece':
        return wordPiece(json, file);
      case 'BPEDecoder':
        return endOfWord(text(json, 'suffix', file));
      case 'Replace':
        return replace(json, file);
      case 'Strip':
        return strip(json, file);
    }
  }
  if (type === 'Strip') return stripWhole(json, file);
  if (type === 'Replace' && literalOf(json.pattern)?.length === 1) return replace(json, file);
  throw new IngotError(
    'unsupported',
    `${file}: decoder "${type}"${joined ? ' after Fuse or ByteLevel' : ''} is not supported; use token ids instead of text`,
    { details: { file, decoder: type } },
  );
}

function text(json: Json, name: string, file: string): string {
  const value = json[name];
  if (typeof value !== 'string') throw new FileFormatError(file, `decoder.${name}`, 'is not a string');
  return value;
}

/** A stage that treats all tokens alike, but perhaps the first. */
function each(middle: (token: string) => string, first = middle): Stage {
  return {
    middle,
    start: (begun) => {
      let began = begun;
      return {
        push(token) {
          const made = began ? middle(token) : first(token);
          began = true;
          return [made];
        },
        end: () => {
          began = begun;
          return none;
        },
      };
    },
  };
}

/** What is left when a tokenizer has no decoder. */
const spaced: Stage = each(
  (token) => ` ${token}`,
  (token) => token,
);

function metaspace(json: Json, file: string): Stage {
  const mark = typeof json.replacement === 'string' ? json.replacement : '\u2581';
  const never = prependScheme(json, file) === 'never';
  return each(
    (token) => token.replaceAll(mark, ' '),
    never ? undefined : (token) => token.replaceAll(mark, ''),
  );
}

function replace(json: Json, file: string): Stage {
  const pattern = patternOf(json.pattern, 'decoder.pattern', file);
  const content = text(json, 'content', file);
  return each((token) => token.replace(pattern, () => content));
}

function wordPiece(json: Json, file: string): Stage {
  const prefix = text(json, 'prefix', file);
  const tidy = json.cleanup === false ? (token: string) => token : cleanUp;
  return each((token) => tidy(token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`), tidy);
}

const untidy: readonly [string, string][] = [
  [' .', '.'],
  [' ?', '?'],
  [' !', '!'],
  [' ,', ','],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [' do not', " don't"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
];
const cleanUp = (token: string): string =>
  untidy.reduce((made, [from, to]) => made.replaceAll(from, to), token);

/** Words end with `suffix`, which becomes a space unless the text ends there: a token waits for the one after it. */
function endOfWord(suffix: string): Stage {
  // By characters: an empty suffix stands beside each.
  const ends = new RegExp(escapeExpression(suffix), 'gu');
  const middle = (token: string): string => token.replace(ends, ' ');
  return {
    middle,
    start: () => {
      let held: string | undefined;
      return {
        push(token) {
          const before = held;
          held = token;
          return before === undefined ? none : [middle(before)];
        },
        end() {
          const last = held;
          held = undefined;
          return last === undefined ? none : [last.replace(ends, '')];
        },
      };
    },
  };
}

interface Cut {
  readonly content: string;
  readonly start: number;
  readonly stop: number;
}

function cutOf(json: Json, file: string): Cut {
  const count = (name: string): number => {
    const value = json[name] ?? 0;
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0) return value;
    throw new FileFormatError(file, `decoder.${name}`, `${JSON.stringify(value)} is no count`);
  };
  return { content: text(json, 'content', file), start: count('start'), stop: count('stop') };
}

/** How many times `content` stands at an end of `token`, `most` at most. */
function repeats(token: string, content: string, most: number, atEnd: boolean): number {
  let count = 0;
  while (count < most) {
    const at = atEnd ? token.length - (count + 1) * content.length : count * content.length;
    if (at < 0 || content === '' || !token.startsWith(content, at)) break;
    count++;
  }
  return count;
}

function strip(json: Json, file: string): Stage {
  const { content, start, stop } = cutOf(json, file);
  return each((token) => {
    const from = repeats(token, content, start, false) * content.length;
    const to = token.length - repeats(token, content, stop, true) * content.length;
    return token.slice(from, Math.max(from, to));
  });
}

/** Strips a text that comes in pieces: what may have to go at its end is held back. */
function stripWhole(json: Json, file: string): Stage {
  const { content, start, stop } = cutOf(json, file);
  return {
    middle: (token) => token,
    start: (begun) => {
      let left = begun ? 0 : start;
      let held = '';
      return {
        push(token) {
          let piece = held + token;
          held = '';
          if (left > 0 && piece !== '') {
            const count = repeats(piece, content, left, false);
            piece = piece.slice(count * content.length);
            left = piece === '' ? left - count : 0;
          }
          const tail = repeats(piece, content, stop, true) * content.length;
          held = piece.slice(piece.length - tail);
          return [piece.slice(0, piece.length - tail)];
        },
        end() {
          left = begun ? 0 : start;
          held = '';
          return none;
        },
      };
    },
  };
}

const byteLevel: Stage = {
  middle: (token) => bytesOfSpelling(token) ?? utf8.encode(token),
  start: () => {
    const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
    return {
      push: (token) => [decoder.decode(bytesOfSpelling(token) ?? utf8.encode(token), { stream: true })],
      end: () => [decoder.decode()],
    };
  },
};

const byteToken = /^<0x([0-9A-Fa-f]{2})>$/;
const byteOf = (token: string): number | undefined => {
  const digits = byteToken.exec(token)?.[1];
  return digits === undefined ? undefined : Number.parseInt(digits, 16);
};

/** Runs of byte tokens are a text when they are UTF-8, else U+FFFD for each of them. */
const byteFallback: Stage = {
  middle: (token) => {
    const byte = byteOf(token);
    return byte === undefined ? token : Uint8Array.of(byte);
  },
  start: () => {
    const decoder = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true });
    let run: number[] = [];
    const flush = (): readonly string[] => {
      if (run.length === 0) return none;
      const bytes = Uint8Array.from(run);
      run = [];
      try {
        return [decoder.decode(bytes)];
      } catch {
        return ['\ufffd'.repeat(bytes.length)];
      }
    };
    return {
      push(token) {
        const byte = byteOf(token);
        if (byte === undefined) return [...flush(), token];
        run.push(byte);
        return none;
      },
      end: flush,
    };
  },
};
