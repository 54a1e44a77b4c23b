// Pre-tokenizers of a tokenizer.json: how a text is cut into the words that the model looks at one by one.

import { FileFormatError, IngotError } from '../../base/errors.ts';
import { spell } from '../byte-alphabet.ts';
import { isObject, type Json } from '../json.ts';
import { number, punctuation, whiteSpace, wordsOrMarks } from './characters.ts';
import { behaviorOf, patternOf, split } from './pattern.ts';

/** Cuts a piece of text. `atStart`: it begins where the whole text begins. */
type Cut = (text: string, atStart: boolean) => Iterable<string>;

export interface PreTokenizer {
  readonly cut: Cut;
  /** How a word is written before the model sees it. */
  readonly spell: (word: string) => string;
  /** Words reach the model as bytes in the alphabet of byte-level vocabularies. */
  readonly spells: boolean;
  /** No character of a text is left out. */
  readonly keepsAll: boolean;
}

/** The pre-tokenizer of a tokenizer.json. Throws `unsupported` with the type's name for one that is not known. */
export function preTokenizerOf(json: Json | null, file: string): PreTokenizer {
  const steps = json === null ? [] : flatten(json, file);
  const last = steps.at(-1);
  const spells = last?.type === 'ByteLevel';
  const cuts = steps.map((step, i) => {
    const isLast = i === steps.length - 1;
    return step.type === 'ByteLevel' ? byteLevel(step, isLast) : cutOf(step, file);
  });
  return {
    cut: cuts.length === 0 ? (text) => [text] : cuts.reduce(inTurn),
    spell: spells ? spell : (word) => word,
    spells,
    keepsAll: steps.every(({ type, behavior }) => keeping.has(String(type)) && behavior !== 'Removed'),
  };
}

const keeping = new Set(['ByteLevel', 'Metaspace', 'Split', 'Punctuation', 'Digits', 'FixedLength']);

function flatten(json: Json, file: string): Json[] {
  if (json.type !== 'Sequence') return [json];
  if (!Array.isArray(json.pretokenizers))
    throw new FileFormatError(file, 'pre_tokenizer.pretokenizers', 'is not an array');
  return json.pretokenizers.filter(isObject).flatMap((part) => flatten(part, file));
}

function inTurn(first: Cut, second: Cut): Cut {
  return function* (text, atStart) {
    let begins = atStart;
    for (const piece of first(text, atStart)) {
      yield* second(piece, begins && text.startsWith(piece));
      begins = false;
    }
  };
}

const gpt2 =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

/** The last step leaves the spelling to the encoder, which remembers words as they are in the text. */
function byteLevel(step: Json, isLast: boolean): Cut {
  const prefix = step.add_prefix_space !== false;
  const words = step.use_regex !== false;
  return function* (text) {
    const whole = prefix && !text.startsWith(' ') ? ` ${text}` : text;
    for (const word of words ? split(whole, gpt2, 'Isolated') : [whole]) yield isLast ? word : spell(word);
  };
}

function cutOf(step: Json, file: string): Cut {
  const type = String(step.type);
  switch (type) {
    case 'Whitespace':
      return (text) => split(text, wordsOrMarks, 'Removed', true);
    case 'WhitespaceSplit':
      return (text) => split(text, whiteSpace, 'Removed');
    case 'BertPreTokenizer':
      return inTurn(
        (text) => split(text, whiteSpace, 'Removed'),
        (text) => split(text, punctuation, 'Isolated'),
      );
    case 'Punctuation': {
      const behavior = behaviorOf(step.behavior ?? 'Isolated', 'pre_tokenizer', file);
      return (text) => split(text, punctuation, behavior);
    }
    case 'Digits': {
      const behavior = step.individual_digits === true ? 'Isolated' : 'Contiguous';
      return (text) => split(text, number, behavior);
    }
    case 'CharDelimiterSplit': {
      const delimiter = patternOf(step.delimiter, 'pre_tokenizer.delimiter', file);
      return (text) => split(text, delimiter, 'Removed');
    }
    case 'Split': {
      const pattern = patternOf(step.pattern, 'pre_tokenizer.pattern', file);
      const behavior = behaviorOf(step.behavior, 'pre_tokenizer', file);
      return (text) => split(text, pattern, behavior, step.invert === true);
    }
    case 'Metaspace':
      return metaspace(step, file);
    case 'FixedLength':
      return fixedLength(step, file);
    default:
      throw new IngotError(
        'unsupported',
        `${file}: pre-tokenizer "${type}" is not known; use token ids instead of text`,
        { details: { file, preTokenizer: type } },
      );
  }
}

const schemes = ['first', 'never', 'always'];

/** When Metaspace puts its mark before a text; older files only say whether. */
export function prependScheme(step: Json, file: string): string {
  const scheme = step.prepend_scheme ?? (step.add_prefix_space === false ? 'never' : 'always');
  if (schemes.includes(scheme as string)) return scheme as string;
  throw new FileFormatError(
    file,
    'prepend_scheme',
    `${JSON.stringify(scheme)} is none of ${schemes.join(', ')}`,
  );
}

function metaspace(step: Json, file: string): Cut {
  const mark = typeof step.replacement === 'string' ? step.replacement : '\u2581';
  const scheme = prependScheme(step, file);
  const marks = patternOf(mark, 'pre_tokenizer.replacement', file);
  return (text, atStart) => {
    const marked = text.replaceAll(' ', mark);
    const prefixed =
      !marked.startsWith(mark) && (scheme === 'always' || (scheme === 'first' && atStart))
        ? mark + marked
        : marked;
    return step.split === false ? [prefixed] : split(prefixed, marks, 'MergedWithNext');
  };
}

function fixedLength({ length = 5 }: Json, file: string): Cut {
  if (typeof length !== 'number' || !Number.isInteger(length) || length < 1)
    throw new FileFormatError(
      file,
      'pre_tokenizer.length',
      `${JSON.stringify(length)} is no positive integer`,
    );
  const characters = new RegExp(`[^]{${length}}`, 'gu');
  return (text) => split(text, characters, 'Isolated');
}
