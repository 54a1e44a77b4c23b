// Sets of Unicode characters, and the UTF-8 byte sequences that spell them.

import { alt, bytes, type Ranges, seq, type Term } from './term.ts';

/** All scalar values: surrogates are not characters. */
export const anyCodePoint: Ranges = [
  [0, 0xd7ff],
  [0xe000, 0x10ffff],
];

/** Any ranges, in order, overlapping or not, as a set. */
export function union(ranges: Ranges): Ranges {
  const merged: [number, number][] = [];
  for (const [low, high] of [...ranges].sort((a, b) => a[0] - b[0])) {
    const last = merged.at(-1);
    if (last && low <= last[1] + 1) last[1] = Math.max(last[1], high);
    else merged.push([low, high]);
  }
  return merged;
}

/** The characters of `from` that are not in `set`. */
export function without(from: Ranges, set: Ranges): Ranges {
  return set
    .reduce<Ranges>(
      (left, [low, high]) =>
        left.flatMap(([a, b]) => [
          ...(a < low ? [[a, Math.min(b, low - 1)] as const] : []),
          ...(b > high ? [[Math.max(a, high + 1), b] as const] : []),
        ]),
      [...from].filter(([a, b]) => a <= b),
    )
    .filter(([a, b]) => a <= b);
}

export const intersect = (a: Ranges, b: Ranges): Ranges => without(a, without(anyCodePoint, b));

const terms = new WeakMap<Ranges, Term>();

/** One character of the set, in UTF-8. */
export function character(set: Ranges): Term {
  const known = terms.get(set);
  if (known) return known;
  const made = alt(...intersect(set, anyCodePoint).flatMap(([low, high]) => spell(low, high)));
  terms.set(set, made);
  return made;
}

/** Last code points with an encoding of 1, 2, 3 and 4 bytes. */
const lastOfLength = [0x7f, 0x7ff, 0xffff, 0x10ffff];

function spell(low: number, high: number): Term[] {
  const split = lastOfLength.find((last) => low <= last && last < high);
  if (split !== undefined) return [...spell(low, split), ...spell(split + 1, high)];
  return spellBytes(encode(low), encode(high));
}

/** Sequences of one length between two of them. */
function spellBytes(low: readonly number[], high: readonly number[]): Term[] {
  const [a = 0, ...lowRest] = low;
  const [b = 0, ...highRest] = high;
  if (lowRest.length === 0) return [bytes([[a, b]])];
  const first = lowRest.map(() => 0x80);
  const last = lowRest.map(() => 0xbf);
  const starts = (byte: number, from: readonly number[], to: readonly number[]): Term =>
    seq(bytes([[byte, byte]]), alt(...spellBytes(from, to)));
  if (a === b) return [starts(a, lowRest, highRest)];
  const lowIsFirst = lowRest.every((byte) => byte === 0x80);
  const highIsLast = highRest.every((byte) => byte === 0xbf);
  const from = lowIsFirst ? a : a + 1;
  const to = highIsLast ? b : b - 1;
  return [
    ...(lowIsFirst ? [] : [starts(a, lowRest, last)]),
    ...(from <= to ? [seq(bytes([[from, to]]), alt(...spellBytes(first, last)))] : []),
    ...(highIsLast ? [] : [starts(b, first, highRest)]),
  ];
}

function encode(code: number): number[] {
  if (code <= 0x7f) return [code];
  const tail = (shift: number): number => 0x80 | ((code >> shift) & 0x3f);
  if (code <= 0x7ff) return [0xc0 | (code >> 6), tail(0)];
  if (code <= 0xffff) return [0xe0 | (code >> 12), tail(6), tail(0)];
  return [0xf0 | (code >> 18), tail(12), tail(6), tail(0)];
}
