// A set of given texts, followed byte by byte: names of properties, values of an enum. Nothing is built but a sorted list, so
// that thousands of long texts cost no more than their bytes.

import type { Machine } from './term.ts';

/** Where a text is in the set: it may be one of those from `low` to before `high`, of which `depth` bytes are read. */
export interface Place {
  readonly low: number;
  readonly high: number;
  readonly depth: number;
}

const utf8 = new TextEncoder();
let sets = 0;

/** UTF-8 with a byte for each character of the result. */
export function bytesOf(text: string): string {
  if (/^[\0-\x7f]*$/.test(text)) return text;
  const bytes = utf8.encode(text);
  let result = '';
  for (let at = 0; at < bytes.length; at += piece)
    result += String.fromCharCode(...bytes.subarray(at, at + piece));
  return result;
}

/** Bytes that become characters at a time. */
const piece = 4096;

export class Texts {
  readonly id = sets++;
  readonly #spelled: readonly string[];
  /** Indices of the texts in the order of their bytes, each text once; made when a text is first followed. */
  #order: readonly number[] | undefined;
  #sorted: readonly string[] = [];
  /** All bytes of the texts. */
  readonly alphabet: string;

  constructor(texts: readonly string[]) {
    this.#spelled = texts.map(bytesOf);
    const seen = new Uint8Array(256);
    for (const text of this.#spelled) for (let i = 0; i < text.length; i++) seen[text.charCodeAt(i)] = 1;
    this.alphabet = String.fromCharCode(...[...seen.keys()].filter((byte) => seen[byte] === 1));
  }

  /** Indices in the list that was given, in the order of `#sorted`. */
  get #given(): readonly number[] {
    if (!this.#order) {
      const spelled = this.#spelled;
      const order = spelled.map((_, i) => i);
      order.sort((a, b) => compare(spelled[a] ?? '', spelled[b] ?? '') || a - b);
      this.#order = order.filter((at, i) => i === 0 || spelled[at] !== spelled[order[i - 1] ?? -1]);
      this.#sorted = this.#order.map((at) => spelled[at] ?? '');
    }
    return this.#order;
  }

  get start(): Place {
    return { low: 0, high: this.#given.length, depth: 0 };
  }

  get size(): number {
    return this.#spelled.length;
  }

  /** The place after a byte; undefined when no text goes on like this. */
  step({ low, high, depth }: Place, byte: number): Place | undefined {
    const from = this.firstAt(low, high, depth, byte);
    const to = this.firstAt(from, high, depth, byte + 1);
    return from < to ? { low: from, high: to, depth: depth + 1 } : undefined;
  }

  /** The index, in the list that was given, of the text that ends at a place. */
  endOf({ low, high, depth }: Place): number | undefined {
    return low < high && this.#sorted[low]?.length === depth ? this.#given[low] : undefined;
  }

  /** What is left of the texts at a place. */
  from({ low, high, depth }: Place): readonly string[] {
    return this.#sorted.slice(low, high).map((text) => text.slice(depth));
  }

  /** Whether some text at or after a place is `wanted`, by its index in the list that was given. */
  some({ low, high }: Place, wanted: (index: number) => boolean): boolean {
    for (let i = low; i < high; i++) if (wanted(this.#given[i] ?? -1)) return true;
    return false;
  }

  /** The first text from `low` on whose byte at `depth` is `byte` or more; a text that has ended comes first. */
  firstAt(low: number, high: number, depth: number, byte: number): number {
    let [from, to] = [low, high];
    while (from < to) {
      const middle = (from + to) >> 1;
      const code = this.#sorted[middle]?.charCodeAt(depth);
      // At the end of a text charCodeAt is NaN, which compares as smaller here.
      if (code !== undefined && code >= byte) to = middle;
      else from = middle + 1;
    }
    return from;
  }
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** One of the texts, as a machine. */
export interface TextsMachine extends Machine {
  readonly texts: Texts;
  readonly place: Place;
}

export const isTexts = (machine: Machine): machine is TextsMachine => 'texts' in machine;

export function textsMachine(texts: Texts, place: Place = texts.start): TextsMachine {
  return {
    texts,
    place,
    key: `t${texts.id}:${place.low},${place.high},${place.depth}`,
    accepting: texts.endOf(place) !== undefined,
    alphabet: texts.alphabet,
    step: (byte) => {
      const next = texts.step(place, byte);
      return next && textsMachine(texts, next);
    },
  };
}
