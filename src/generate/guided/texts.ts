// A set of given texts, followed byte by byte: names of properties, values of an enum. Nothing is built but a sorted list, so
// that thousands of long texts cost no more than their bytes.

import { atOnce, each, endless, type Patience, type Work } from './patience.ts';
import type { Machine } from './term.ts';

/** Where a text is in the set: it may be one of those from `low` to before `high`, of which `depth` bytes are read. */
export interface Place {
  readonly low: number;
  readonly high: number;
  readonly depth: number;
}

const utf8 = new TextEncoder();
let sets = 0;

/** UTF-8 with a byte for each character of the result; yields where the patience is over. */
function* bytesOf(text: string, patience: Patience): Work<string> {
  if (text.length <= piece) return bytesOfPiece(text);
  const pieces: string[] = [];
  for (let from = 0, to = 0; from < text.length; from = to) {
    to = Math.min(from + piece, text.length);
    const isCut = to < text.length && (text.charCodeAt(to - 1) & 0xfc00) === 0xd800;
    if (isCut) to++; // between the halves of a character
    pieces.push(bytesOfPiece(text.slice(from, to)));
    if (patience.over) yield;
  }
  return pieces.join('');
}

const bytesOfPiece = (text: string): string =>
  /^[\0-\x7f]*$/.test(text) ? text : String.fromCharCode(...utf8.encode(text));

/** Characters that become bytes at a time. */
const piece = 4096;

/** Texts between looks at the clock, and in one run of those to sort; a long one counts as many. */
const textsPerLook = 512;
const charactersPerText = 64;

export class Texts {
  readonly id = sets++;
  /** Indices of the texts in the order of their bytes, each text once. */
  readonly #given: readonly number[];
  readonly #sorted: readonly string[];
  /** How many were given. */
  readonly size: number;
  /** All bytes of the texts. */
  readonly alphabet: string;

  private constructor(spelled: readonly string[], order: readonly number[], alphabet: string) {
    this.#given = order;
    this.#sorted = order.map((at) => spelled[at] ?? '');
    this.size = spelled.length;
    this.alphabet = alphabet;
  }

  /** Of few texts, at once. */
  static of(texts: readonly string[]): Texts {
    return atOnce(Texts.sorted(texts, endless));
  }

  /** Texts in order; yields where the patience is over. */
  static *sorted(texts: readonly string[], patience: Patience): Work<Texts> {
    const spelled: string[] = [];
    const seen = new Uint8Array(256);
    let weight = 0;
    for (const text of texts) {
      const bytes = yield* bytesOf(text, patience);
      spelled.push(bytes);
      for (let from = 0; from < bytes.length; from += piece) {
        const to = Math.min(from + piece, bytes.length);
        for (let i = from; i < to; i++) seen[bytes.charCodeAt(i)] = 1;
        weight += 1 + (to - from) / charactersPerText;
        if (weight < textsPerLook) continue;
        weight = 0;
        if (patience.over) yield;
      }
    }
    const alphabet = String.fromCharCode(...[...seen.keys()].filter((byte) => seen[byte] === 1));
    return new Texts(spelled, yield* orderOf(spelled, patience), alphabet);
  }

  get start(): Place {
    return { low: 0, high: this.#given.length, depth: 0 };
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

/** Indices of texts in the order of their bytes, of equal ones the first. */
function* orderOf(spelled: readonly string[], patience: Patience): Work<readonly number[]> {
  const before = (a: number, b: number): number => compare(spelled[a] ?? '', spelled[b] ?? '') || a - b;
  let runs: number[][] = [];
  for (let at = 0; at < spelled.length; at += textsPerLook) {
    const length = Math.min(textsPerLook, spelled.length - at);
    runs.push(Array.from({ length }, (_, i) => at + i).sort(before));
    if (patience.over) yield;
  }
  while (runs.length > 1) {
    const merged: number[][] = [];
    for (let i = 0; i < runs.length; i += 2)
      merged.push(yield* mergedRuns(runs[i], runs[i + 1], before, patience));
    runs = merged;
  }
  const sorted = runs[0] ?? [];
  const isNew = (at: number, i: number): boolean =>
    i === 0 || spelled[at] !== spelled[sorted[i - 1] as number];
  const order: number[] = [];
  yield* each(sorted, patience, (at, i) => {
    if (isNew(at, i)) order.push(at);
  });
  return order;
}

function* mergedRuns(
  a: number[] = [],
  b: number[] = [],
  before: (a: number, b: number) => number,
  patience: Patience,
): Work<number[]> {
  if (b.length === 0) return a;
  const merged: number[] = [];
  let [i, j] = [0, 0];
  while (i < a.length && j < b.length) {
    merged.push(before(a[i] as number, b[j] as number) < 0 ? (a[i++] as number) : (b[j++] as number));
    if (merged.length % textsPerLook === 0 && patience.over) yield;
  }
  while (i < a.length) merged.push(a[i++] as number);
  while (j < b.length) merged.push(b[j++] as number);
  return merged;
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
