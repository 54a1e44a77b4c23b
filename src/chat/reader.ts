// The text of an answer as it comes. Formats are written as generators that read it from front to back, as if all of it were
// there, and are suspended where it is not there yet.

import type { AnswerEvent } from './answer.ts';

/** A piece of reading: suspended until more text comes, and in the end a result. */
export type Reading<T> = Generator<undefined, T, undefined>;

const spaceRun = /\s*/y;
const trailingSpace = /\s+$/;

export class Reader {
  #text = '';
  #at = 0;
  /** Attempts that may still go back. */
  #attempts = 0;
  #ended = false;
  #events: AnswerEvent[] = [];
  /** Whitespace that belongs to the text before it only if more of that text follows. */
  #space = '';
  #spaceOf: 'text' | 'reasoning' = 'text';

  feed(text: string): void {
    if (this.#attempts === 0) {
      this.#text = this.#text.slice(this.#at);
      this.#at = 0;
    }
    this.#text += text;
  }
  end(): void {
    this.#ended = true;
  }
  /** Events since the last call. */
  drain(): readonly AnswerEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }

  /** Waits for one more character than there is. False when there is none. */
  *more(): Reading<boolean> {
    const length = this.#text.length - this.#at;
    while (this.#text.length - this.#at <= length) {
      if (this.#ended) return false;
      yield;
    }
    return true;
  }

  /** The next character without taking it; undefined at the end. */
  *peek(): Reading<string | undefined> {
    while (this.#at >= this.#text.length) if (!(yield* this.more())) return undefined;
    return this.#text[this.#at];
  }

  /** Takes `literal` if it comes next. */
  *take(literal: string): Reading<boolean> {
    while (this.#text.length - this.#at < literal.length) {
      if (!literal.startsWith(this.#text.slice(this.#at))) return false;
      if (!(yield* this.more())) return false;
    }
    if (!this.#text.startsWith(literal, this.#at)) return false;
    this.#at += literal.length;
    return true;
  }

  /** Takes the longest run that the pattern, made sticky and of single characters, matches; at most `limit` characters. */
  *run(pattern: RegExp, limit = Number.POSITIVE_INFINITY): Reading<string> {
    for (;;) {
      pattern.lastIndex = this.#at;
      const length = pattern.exec(this.#text)?.[0].length ?? 0;
      if (this.#at + length < this.#text.length || length >= limit || !(yield* this.more())) {
        return this.skip(Math.min(length, limit));
      }
    }
  }

  *space(): Reading<string> {
    return yield* this.run(spaceRun);
  }

  /** Takes so many characters that are there. */
  skip(length: number): string {
    const taken = this.#text.slice(this.#at, this.#at + length);
    this.#at += taken.length;
    return taken;
  }

  /** Puts back what was just taken. */
  unread(text: string): void {
    this.#at -= text.length;
  }

  /** Takes what has come of a run, without waiting for its end. */
  available(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    return this.skip(pattern.exec(this.#text)?.[0].length ?? 0);
  }

  /** All that has come and was not taken. */
  get ahead(): string {
    return this.#text.slice(this.#at);
  }

  /** Hands text to `sink` up to the first of `markers`, which is taken and returned; undefined at the end. */
  *until(markers: readonly string[], sink: (text: string) => void): Reading<string | undefined> {
    for (;;) {
      const ahead = this.ahead;
      const found = first(ahead, markers);
      if (found) {
        if (found.at > 0) sink(this.skip(found.at));
        this.skip(found.marker.length);
        return found.marker;
      }
      const safe = ahead.length - heldBack(ahead, markers);
      if (safe > 0) sink(this.skip(safe));
      if (!(yield* this.more())) {
        const rest = this.skip(this.ahead.length);
        if (rest !== '') sink(rest);
        return undefined;
      }
    }
  }

  /** Reads something that may turn out to be something else: when it returns false, nothing of it was taken. */
  *attempt(work: () => Reading<boolean>): Reading<boolean> {
    const before = this.#at;
    this.#attempts++;
    const succeeded = yield* work();
    this.#attempts--;
    if (!succeeded) this.#at = before;
    return succeeded;
  }

  say(kind: 'text' | 'reasoning', text: string): void {
    if (this.#space !== '' && this.#spaceOf !== kind) this.#space = '';
    const all = this.#space + text;
    const tail = trailingSpace.exec(all)?.[0] ?? '';
    this.#space = tail;
    this.#spaceOf = kind;
    if (all.length > tail.length) this.emit({ kind, text: all.slice(0, all.length - tail.length) });
  }

  /** Drops whitespace that was held back: what comes next is set off from it by markup. */
  dropSpace(): void {
    this.#space = '';
  }

  /** Gives out whitespace that was held back: the text is over. */
  keepSpace(): void {
    if (this.#space !== '') this.emit({ kind: this.#spaceOf, text: this.#space });
    this.#space = '';
  }

  emit(event: AnswerEvent): void {
    const last = this.#events.at(-1);
    if (last?.kind === 'toolArguments' && event.kind === 'toolArguments' && last.index === event.index) {
      this.#events[this.#events.length - 1] = { ...last, json: last.json + event.json };
    } else if ((last?.kind === 'text' || last?.kind === 'reasoning') && last.kind === event.kind) {
      this.#events[this.#events.length - 1] = { ...last, text: last.text + event.text };
    } else this.#events.push(event);
  }
}

function first(text: string, markers: readonly string[]): { at: number; marker: string } | undefined {
  let found: { at: number; marker: string } | undefined;
  for (const marker of markers) {
    const at = text.indexOf(marker);
    if (at < 0) continue;
    if (!found || at < found.at || (at === found.at && marker.length > found.marker.length))
      found = { at, marker };
  }
  return found;
}

/** Length of the longest end of `text` that may be the beginning of a marker. */
function heldBack(text: string, markers: readonly string[]): number {
  const longest = Math.max(0, ...markers.map((marker) => marker.length - 1));
  for (let length = Math.min(longest, text.length); length > 0; length--) {
    const end = text.slice(text.length - length);
    if (markers.some((marker) => marker.startsWith(end))) return length;
  }
  return 0;
}
