// Words of a stream that do not break at the end of a terminal's line.

import stringWidth from 'string-width';
import { harmless, type Output } from './context.ts';

/**
 * Breaks lines between words. A word is written when it is complete, or when it is longer than a line. What the text itself says of
 * lines stays; spaces before an added break are left out.
 */
export class WordWrap {
  readonly #columns: () => number;
  #column = 0;
  #spaces = '';
  #word = '';

  /** `columns` is asked for every word: windows change their size. */
  constructor(columns: () => number) {
    this.#columns = columns;
  }

  /** What can be written once `text` has come. */
  push(text: string): string {
    let out = '';
    for (const part of text.split(
      /(\n|[^\S\n]+|(?<=[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uff60]))/,
    )) {
      if (part === '') continue;
      if (part === '\n') {
        out += `${this.#flushWord()}\n`;
        this.#column = 0;
        this.#spaces = '';
      } else if (part.trim() === '') {
        out += this.#flushWord();
        this.#spaces += part;
      } else {
        this.#word += part;
        // Writing without spaces may break behind every character.
        if (/[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uff60]$/.test(part)) out += this.#flushWord();
      }
    }
    return out;
  }

  /** The rest. */
  end(): string {
    const rest = this.#flushWord() + this.#spaces;
    this.#spaces = '';
    this.#column = 0;
    return rest;
  }

  #flushWord(): string {
    if (this.#word === '') return '';
    const gap = this.#spaces.replaceAll('\t', '    ');
    const width = stringWidth(this.#word);
    const breaks = this.#column > 0 && this.#column + gap.length + width > this.#columns();
    const text = (breaks ? '\n' : gap) + this.#word;
    // A word that is longer than a line goes on below by itself.
    const end = (breaks ? 0 : this.#column + gap.length) + width;
    this.#column = end === 0 ? 0 : ((end - 1) % Math.max(1, this.#columns())) + 1;
    this.#spaces = '';
    this.#word = '';
    return text;
  }
}

/** Writes an answer as it comes: on a terminal without control characters, and wrapped if so wished. */
export function answerWriter(out: Output, wordwrap: boolean) {
  const clean = out.isTTY ? harmless : (text: string) => text;
  const wrap = out.isTTY && wordwrap ? new WordWrap(() => out.columns) : undefined;
  return {
    write: (text: string): void => {
      const ready = wrap ? wrap.push(clean(text)) : clean(text);
      if (ready !== '') out.write(ready);
    },
    /** What was held back, and the end of the line. */
    end: (): void => out.write(`${wrap?.end() ?? ''}\n`),
  };
}
