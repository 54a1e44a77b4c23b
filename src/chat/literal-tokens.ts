// Special tokens that stand in what users and tools say are text, not the tokens. Where they stand in the prompt is found by
// a mark: a character that no text has is put into each of them before the template runs, and taken out afterwards.

import { AddedTokens } from '../tokenizer/pipeline/added-tokens.ts';
import type { TextSpan, Tokenizer } from '../tokenizer/tokenizer.ts';
import type { TemplateMessage } from './normalise.ts';

/** Roles whose texts come from outside. */
const foreign: ReadonlySet<string> = new Set(['user', 'tool', 'tool_response']);

export class LiteralTokens {
  readonly #tokens: AddedTokens;
  /** What special tokens begin with: the rest of a text need not be looked at. */
  readonly #starts: ReadonlySet<string>;

  constructor(tokenizer: Pick<Tokenizer, 'specialIds' | 'tokenOf'>) {
    const found = [...tokenizer.specialIds].flatMap((id) => {
      const content = tokenizer.tokenOf(id) ?? '';
      return content.length > 1 ? [{ id, content }] : [];
    });
    this.#tokens = new AddedTokens(found);
    this.#starts = new Set(found.map(({ content }) => content.slice(0, 2)));
  }

  /** `messages` with marks, and the mark; no mark when there is nothing to mark. */
  mark(messages: readonly TemplateMessage[]): {
    readonly messages: readonly TemplateMessage[];
    readonly mark: string | undefined;
  } {
    const places = messages.map(({ role, content }) => (foreign.has(role) ? this.#places(content) : []));
    if (places.every(({ length }) => length === 0)) return { messages, mark: undefined };
    const all = messages.map(({ content }) => content).join('\n');
    const mark = nonCharacters.find((char) => !all.includes(char));
    if (mark === undefined) return { messages, mark };
    return {
      messages: messages.map((message, i) => ({
        ...message,
        content: inserted(message.content, places[i] ?? [], mark),
      })),
      mark,
    };
  }

  /** Where special tokens begin. */
  #places(text: string): number[] {
    const places: number[] = [];
    for (const start of this.#starts) {
      for (let at = text.indexOf(start); at >= 0; at = text.indexOf(start, at + 1))
        if (this.#tokens.matchAt(text, at)) places.push(at);
    }
    return places.sort((a, b) => a - b);
  }
}

/** Characters that stand for none, for a program's own use. */
const nonCharacters = Array.from({ length: 32 }, (_, i) => String.fromCharCode(0xfdd0 + i));

/** `mark` behind the first character of each place: white space around the token is still at the ends of the text. */
function inserted(text: string, places: readonly number[], mark: string): string {
  const parts: string[] = [];
  let from = 0;
  for (const at of places) {
    parts.push(text.slice(from, at + 1), mark);
    from = at + 1;
  }
  parts.push(text.slice(from));
  return parts.join('');
}

/** A text without its marks, and the places where they were. */
export function withoutMarks(
  text: string,
  mark: string | undefined,
): { readonly text: string; readonly literal: readonly TextSpan[] } {
  if (mark === undefined) return { text, literal: [] };
  const parts = text.split(mark);
  const literal: TextSpan[] = [];
  let at = 0;
  for (const part of parts.slice(0, -1)) {
    at += part.length;
    literal.push({ from: at - 1, to: at + 1 });
  }
  return { text: parts.join(''), literal };
}
