// Classes of characters as the reference library (Rust) knows them. JavaScript's `\s`, `\w`, `trim` and `toLowerCase` differ.

const spaces = '\\p{White_Space}';
const wordCharacters = '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}';
const asciiPunctuation = '!-\\/:-@\\[-`{-~';

export const whiteSpace = new RegExp(`[${spaces}]+`, 'gu');
export const wordsOrMarks = new RegExp(`[${wordCharacters}]+|[^${wordCharacters}${spaces}]+`, 'gu');
export const punctuation = new RegExp(`[\\p{P}${asciiPunctuation}]`, 'gu');
export const number = /\p{N}/gu;

const startsWithSpaces = new RegExp(`^[${spaces}]+`, 'u');
const startsWithWord = new RegExp(`^[${wordCharacters}]`, 'u');
const isSpace = new RegExp(`^[${spaces}]$`, 'u');

/** Characters of white space `text` begins with. */
export const leadingSpaces = (text: string): number => startsWithSpaces.exec(text)?.[0].length ?? 0;

/** Characters of white space `text` ends with. Not by a regular expression: those try every start. */
export function trailingSpaces(text: string): number {
  let from = text.length;
  while (from > 0 && isSpace.test(text.charAt(from - 1))) from--;
  return text.length - from;
}

export const startsWord = (text: string): boolean => startsWithWord.test(text);
export const endsWord = (text: string): boolean => startsWithWord.test(lastCharacter(text));

function lastCharacter(text: string): string {
  const tail = text.slice(-2);
  return (tail.codePointAt(0) ?? 0) > 0xffff ? tail : text.slice(-1);
}

export const trimStart = (text: string): string => text.slice(leadingSpaces(text));
export const trimEnd = (text: string): string => text.slice(0, text.length - trailingSpaces(text));

/** Lower case character by character: a sigma at the end of a word is like any other. */
export function lowerCase(text: string): string {
  return text.includes('Σ') ? text.replaceAll('Σ', 'σ').toLowerCase() : text.toLowerCase();
}
