// Sets of Unicode characters, and the UTF-8 byte sequences that spell them.

import { alt, bytes, empty, type Ranges, seq, type Term } from './term.ts';

/** All scalar values: surrogates are not characters. */
export const anyCodePoint: Ranges = [
  [0, 0xd7ff],
  [0xe000, 0x10ffff],
];

/** Any ranges, in order, overlapping or not, as a set. */
export function union(ranges: Ranges): Ranges {
  const merged: [number, number][] = [];
  for (const [low, high] of ranges.filter(([a, b]) => a <= b).sort((a, b) => a[0] - b[0])) {
    const last = merged.at(-1);
    if (last && low <= last[1] + 1) last[1] = Math.max(last[1], high);
    else merged.push([low, high]);
  }
  return merged;
}

/** The characters of `from` that are not in `set`. */
export function without(from: Ranges, set: Ranges): Ranges {
  const holes = union(set);
  const left: (readonly [number, number])[] = [];
  let next = 0;
  for (const [low, high] of union(from)) {
    let start = low;
    while (next > 0 && (holes[next - 1]?.[1] ?? -1) >= start) next--;
    for (; next < holes.length; next++) {
      const [a, b] = holes[next] ?? [0, 0];
      if (a > high) break;
      if (b < start) continue;
      if (a > start) left.push([start, a - 1]);
      start = Math.max(start, b + 1);
    }
    if (start <= high) left.push([start, high]);
  }
  return left;
}

export const intersect = (a: Ranges, b: Ranges): Ranges => without(a, without(anyCodePoint, b));

const terms = new WeakMap<Ranges, Term>();
/** Of sets of few ranges, which patterns repeat. */
const smallTerms = new Map<string, Term>();
const maxSmall = 4;
const maxKept = 2000;

/** One character of the set, in UTF-8. */
export function character(set: Ranges): Term {
  const known = terms.get(set);
  if (known) return known;
  const key = set.length <= maxSmall ? set.join(';') : undefined;
  const made =
    (key === undefined ? undefined : smallTerms.get(key)) ??
    grouped(intersect(set, anyCodePoint).flatMap(([low, high]) => spell(low, high)));
  terms.set(set, made);
  if (key !== undefined && smallTerms.size < maxKept) smallTerms.set(key, made);
  return made;
}

/** Ranges of the first, second, … byte. */
type Spelled = readonly (readonly [number, number])[];

/** One of the spellings; those that begin alike are told apart by what follows. */
function grouped(all: readonly Spelled[]): Term {
  const byFirst = new Map<string, [(readonly [number, number])[], Spelled[]]>();
  for (const [first, ...rest] of all) {
    if (!first) return empty;
    const key = first.join();
    const group = byFirst.get(key) ?? [[first], []];
    group[1].push(rest);
    byFirst.set(key, group);
  }
  // First bytes after which the same may follow are one set.
  const byRest = new Map<string, [(readonly [number, number])[], Spelled[]]>();
  for (const [firsts, rests] of byFirst.values()) {
    const key = JSON.stringify(rests);
    const same = byRest.get(key);
    if (same) same[0].push(...firsts);
    else byRest.set(key, [firsts, rests]);
  }
  return alt(...[...byRest.values()].map(([firsts, rests]) => seq(bytes(union(firsts)), grouped(rests))));
}

/** Last code points with an encoding of 1, 2, 3 and 4 bytes. */
const lastOfLength = [0x7f, 0x7ff, 0xffff, 0x10ffff];

function spell(low: number, high: number): Spelled[] {
  const split = lastOfLength.find((last) => low <= last && last < high);
  if (split !== undefined) return [...spell(low, split), ...spell(split + 1, high)];
  return spellBytes(encode(low), encode(high));
}

/** Sequences of one length between two of them. */
function spellBytes(low: readonly number[], high: readonly number[]): Spelled[] {
  const [a = 0, ...lowRest] = low;
  const [b = 0, ...highRest] = high;
  if (lowRest.length === 0) return [[[a, b]]];
  const first = lowRest.map(() => 0x80);
  const last = lowRest.map(() => 0xbf);
  const starts = (from: number, to: number, low: readonly number[], high: readonly number[]): Spelled[] =>
    spellBytes(low, high).map((rest) => [[from, to] as const, ...rest]);
  if (a === b) return starts(a, a, lowRest, highRest);
  const lowIsFirst = lowRest.every((byte) => byte === 0x80);
  const highIsLast = highRest.every((byte) => byte === 0xbf);
  const from = lowIsFirst ? a : a + 1;
  const to = highIsLast ? b : b - 1;
  return [
    ...(lowIsFirst ? [] : starts(a, a, lowRest, last)),
    ...(from <= to ? starts(from, to, first, last) : []),
    ...(highIsLast ? [] : starts(b, b, first, highRest)),
  ];
}

function encode(code: number): number[] {
  if (code <= 0x7f) return [code];
  const tail = (shift: number): number => 0x80 | ((code >> shift) & 0x3f);
  if (code <= 0x7ff) return [0xc0 | (code >> 6), tail(0)];
  if (code <= 0xffff) return [0xe0 | (code >> 12), tail(6), tail(0)];
  return [0xf0 | (code >> 18), tail(12), tail(6), tail(0)];
}
