// Normalisers of a tokenizer.json: what happens to a text before it is cut.

import { FileFormatError, IngotError } from '../../base/errors.ts';
import { spell } from '../byte-alphabet.ts';
import { isObject, type Json } from '../json.ts';
import { lowerCase, trimEnd, trimStart } from './characters.ts';
import { literalOf, patternOf } from './pattern.ts';
import { charsMap } from './precompiled.ts';
import type { Steps } from './steps.ts';

interface Stage {
  apply(text: string): string;
  /** Where a text may be cut without a change of the result: anywhere, between letters without marks, nowhere. */
  readonly cuts: 'anywhere' | 'letters' | 'nowhere';
  /** The shortest a text can become, for each character it had. */
  readonly shrinks: number;
}

export interface Normalizer {
  apply(text: string): Steps<string>;
  readonly shrinks: number;
}

/** The normaliser of a tokenizer.json. Throws `unsupported` with the type's name for one that is not known. */
export function normalizerOf(json: Json | null, file: string): Normalizer | undefined {
  if (json === null) return undefined;
  const stages = stagesOf(json, file);
  return {
    *apply(text) {
      let done = text;
      for (const stage of stages) done = yield* inChunks(stage, done);
      return done;
    },
    shrinks: stages.reduce((product, { shrinks }) => product * shrinks, 1),
  };
}

/** Characters between two turns: a millisecond or two of the slowest stage. */
const chunk = 1 << 14;

function* inChunks(stage: Stage, text: string): Steps<string> {
  if (stage.cuts === 'nowhere' || text.length <= chunk) return stage.apply(text);
  const parts: string[] = [];
  for (let from = 0; from < text.length; ) {
    const to = cutAt(text, from + chunk, stage.cuts);
    parts.push(stage.apply(text.slice(from, to)));
    from = to;
    yield;
  }
  return parts.join('');
}

// Letters that begin a character whatever comes before them: none is composed with, or part of a cluster of, its predecessor.
const letters = /[0-9A-Za-z\u0410-\u044f\u3041-\u3094\u30a1-\u30fa\u4e00-\u9fa5\uac00-\ud7a3]{2}/g;

function cutAt(text: string, from: number, cuts: 'anywhere' | 'letters'): number {
  if (from >= text.length) return text.length;
  if (cuts === 'anywhere') return from;
  letters.lastIndex = from;
  const found = letters.exec(text);
  return found ? found.index + 1 : text.length;
}

// The strongest composition: a Greek vowel and its three marks become one character.
const composing = 1 / 4;
const unicode = (form: 'NFC' | 'NFD' | 'NFKC' | 'NFKD'): Stage => ({
  apply: (text) => text.normalize(form),
  cuts: 'letters',
  shrinks: form.endsWith('C') ? composing : 1,
});

const marks = /\p{M}/gu;

function stagesOf(json: Json, file: string): Stage[] {
  const type = String(json.type);
  switch (type) {
    case 'Sequence':
      if (!Array.isArray(json.normalizers))
        throw new FileFormatError(file, 'normalizer.normalizers', 'is not an array');
      return json.normalizers.filter(isObject).flatMap((part) => stagesOf(part, file));
    case 'NFC':
    case 'NFD':
    case 'NFKC':
    case 'NFKD':
      return [unicode(type)];
    case 'Lowercase':
      return [{ apply: lowerCase, cuts: 'letters', shrinks: 1 }];
    case 'StripAccents':
      return [{ apply: (text) => text.replace(marks, ''), cuts: 'letters', shrinks: 0 }];
    case 'Strip':
      return [stripStage(json)];
    case 'Prepend':
      return [{ apply: prepend(json, file), cuts: 'nowhere', shrinks: 1 }];
    case 'Replace':
      return [replaceStage(json, file)];
    case 'ByteLevel':
      return [{ apply: spell, cuts: 'letters', shrinks: 1 }];
    case 'Nmt':
      return [{ apply: nmt, cuts: 'letters', shrinks: 0 }];
    case 'BertNormalizer':
      return [{ apply: bert(json), cuts: 'letters', shrinks: 0 }];
    case 'Precompiled':
      return [{ apply: precompiled(json, file), cuts: 'letters', shrinks: 0 }];
    default:
      throw new IngotError(
        'unsupported',
        `${file}: normalizer "${type}" is not known; use token ids instead of text`,
        { details: { file, normalizer: type } },
      );
  }
}

function stripStage({ strip_left: left = true, strip_right: right = true }: Json): Stage {
  const start = (text: string): string => (left === false ? text : trimStart(text));
  return {
    apply: (text) => (right === false ? start(text) : trimEnd(start(text))),
    cuts: 'nowhere',
    shrinks: 0,
  };
}

function prepend(json: Json, file: string): (text: string) => string {
  const { prepend: prefix } = json;
  if (typeof prefix !== 'string') throw new FileFormatError(file, 'normalizer.prepend', 'is not a string');
  return (text) => (text === '' ? text : prefix + text);
}

function replaceStage(json: Json, file: string): Stage {
  const { content } = json;
  if (typeof content !== 'string') throw new FileFormatError(file, 'normalizer.content', 'is not a string');
  const pattern = patternOf(json.pattern, 'normalizer.pattern', file);
  const literal = literalOf(json.pattern);
  const single = literal !== undefined && literal.length === 1;
  return {
    apply: (text) => text.replace(pattern, () => content),
    cuts: single ? 'anywhere' : 'nowhere',
    shrinks: literal !== undefined && content.length >= literal.length ? 1 : 0,
  };
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what the rule removes
const nmtControls = /[\u0001-\u0008\u000b\u000e-\u001f\u007f\u008f\u009f]/g;
const nmtSpaces = /[\t\n\f\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]/g;
const nmt = (text: string): string => text.replace(nmtControls, '').replace(nmtSpaces, ' ');

const bertControls = /[\0\ufffd]|[\p{Cc}\p{Cf}\p{Co}](?<![\t\n\r])/gu;
const bertSpaces = /\p{White_Space}/gu;
const chinese =
  /[\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}]/gu;
const nonSpacing = /\p{Mn}/gu;

function bert(json: Json): (text: string) => string {
  const lower = json.lowercase !== false;
  const strip = json.strip_accents ?? lower;
  return (text) => {
    let made = text;
    if (json.clean_text !== false) made = made.replace(bertControls, '').replace(bertSpaces, ' ');
    if (json.handle_chinese_chars !== false) made = made.replace(chinese, ' $& ');
    if (strip === true) made = made.normalize('NFD').replace(nonSpacing, '');
    return lower ? lowerCase(made) : made;
  };
}

const utf8 = new TextEncoder();

function precompiled(json: Json, file: string): (text: string) => string {
  const map = charsMap(json.precompiled_charsmap, file);
  const clusters = new Intl.Segmenter('und', { granularity: 'grapheme' });
  return (text) => {
    let made = '';
    for (const { segment } of clusters.segment(text)) {
      // A short cluster is looked up as a whole first.
      const whole = segment.length < 6 && utf8.encode(segment).length < 6 ? map(segment) : undefined;
      if (whole !== undefined) made += whole;
      else for (const char of segment) made += map(char) ?? char;
    }
    return made;
  };
}
