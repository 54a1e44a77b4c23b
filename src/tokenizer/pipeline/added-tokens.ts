// Tokens that are looked for in a text as they are, before anything else: markers of turns, tags, reserved names.

import type { AddedTokenSpec } from '../spec.ts';
import { endsWord, leadingSpaces, startsWord, trailingSpaces } from './characters.ts';
import type { Steps } from './steps.ts';

/** A part of a text: a token that was found, or text between tokens. */
export type Section =
  | { readonly id: number; readonly from: number; readonly to: number }
  | { readonly id: undefined; readonly from: number; readonly to: number };

interface Node {
  readonly next: Map<number, Node>;
  token: AddedTokenSpec | undefined;
}

const newNode = (): Node => ({ next: new Map(), token: undefined });
const charactersPerStep = 1 << 14;

/** Finds tokens in texts: the leftmost first, of those the longest. */
export class AddedTokens {
  readonly #root = newNode();
  readonly size: number;

  /** `spelled` is what is looked for in place of a token's content. */
  constructor(
    tokens: readonly AddedTokenSpec[],
    spelled: (content: string) => string = (content) => content,
  ) {
    let size = 0;
    for (const token of tokens) {
      const content = spelled(token.content);
      if (content === '') continue;
      let node = this.#root;
      for (let i = 0; i < content.length; i++) {
        const code = content.charCodeAt(i);
        let child = node.next.get(code);
        if (!child) {
          child = newNode();
          node.next.set(code, child);
        }
        node = child;
      }
      node.token = token;
      size++;
    }
    this.size = size;
  }

  /** `text` in order. Where `asText` says so, what looks like a token is text. */
  *sections(
    text: string,
    asText: (token: AddedTokenSpec, from: number, to: number) => boolean,
  ): Steps<Section[]> {
    const found: Section[] = [];
    if (this.size === 0) return text === '' ? [] : [{ id: undefined, from: 0, to: text.length }];
    let done = 0;
    for (let at = 0, steps = 1; at < text.length; steps++) {
      if (steps % charactersPerStep === 0) yield;
      const match = this.matchAt(text, at);
      if (!match) {
        at++;
        continue;
      }
      const end = at + match.length;
      if (isSeparate(match.token, text, at, end) && !asText(match.token, at, end)) {
        const { from, to } = widened(match.token, text, at, end, done);
        if (done < from) found.push({ id: undefined, from: done, to: from });
        found.push({ id: match.token.id, from, to });
        done = to;
      }
      at = end;
    }
    if (done < text.length) found.push({ id: undefined, from: done, to: text.length });
    return found;
  }

  /** The longest token at a place. */
  matchAt(text: string, at: number): { token: AddedTokenSpec; length: number } | undefined {
    let node = this.#root.next.get(text.charCodeAt(at));
    let match: { token: AddedTokenSpec; length: number } | undefined;
    for (let end = at + 1; node; node = node.next.get(text.charCodeAt(end++))) {
      if (node.token) match = { token: node.token, length: end - at };
    }
    return match;
  }
}

/** Letters a word can go on with, on either side: enough to look at. */
const sideLength = 4;

function isSeparate(token: AddedTokenSpec, text: string, from: number, to: number): boolean {
  if (token.single_word !== true) return true;
  return (
    !endsWord(text.slice(Math.max(0, from - sideLength), from)) &&
    !startsWord(text.slice(to, to + sideLength))
  );
}

/** A token may take the white space beside it, as far as no other token has it. */
function widened(
  token: AddedTokenSpec,
  text: string,
  from: number,
  to: number,
  done: number,
): { from: number; to: number } {
  const before = token.lstrip === true ? trailingSpaces(text.slice(done, from)) : 0;
  const after = token.rstrip === true ? leadingSpaces(text.slice(to)) : 0;
  return { from: from - before, to: to + after };
}
