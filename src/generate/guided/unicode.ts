// The characters that have a Unicode property, as the engine of JavaScript knows them.

import { union } from './code-points.ts';
import type { Patience } from './patience.ts';
import type { Ranges } from './term.ts';

const known = new Map<string, Ranges | undefined>();
/** Characters looked at between looks at the clock. */
const piece = 0x4000;
const last = 0x10ffff;

/** The characters of `\p{name}`; undefined when there is no such property. */
export function propertySet(name: string): Ranges | undefined {
  const finding = findProperty(name);
  for (let step = finding.next(); ; step = finding.next()) if (step.done === true) return step.value;
}

/** The same, with pauses: there are a million characters. */
function* findProperty(name: string, patience?: Patience): Generator<void, Ranges | undefined, void> {
  if (known.has(name)) return known.get(name);
  const pattern = /^[\w=]{1,60}$/.test(name) ? patternOf(name) : undefined;
  const found: (readonly [number, number])[] = [];
  for (let from = 0; pattern && from <= last; from += piece) {
    let text = '';
    const size = Math.min(piece, last + 1 - from);
    for (let i = 0; i < size; i++) text += String.fromCodePoint(from + i);
    const width = from > 0xffff ? 2 : 1;
    for (const match of text.matchAll(pattern)) {
      const start = from + match.index / width;
      found.push([start, start + match[0].length / width - 1]);
    }
    if (patience?.over === true) yield;
  }
  // Surrogates are no characters of a text.
  const set = pattern && union(found).flatMap(withoutSurrogates);
  known.set(name, set);
  return set;
}

/** Learns the properties that a text of a pattern may name, with pauses, so that reading it takes no time for them. */
export function* learnProperties(text: string, patience: Patience): Generator<void, void, void> {
  for (const [, name = ''] of text.matchAll(/\\[pP]\{([\w=]{1,60})\}/g)) yield* findProperty(name, patience);
}

function patternOf(name: string): RegExp | undefined {
  try {
    return new RegExp(`\\p{${name}}+`, 'gu');
  } catch {
    return undefined;
  }
}

function withoutSurrogates([low, high]: readonly [number, number]): (readonly [number, number])[] {
  return [
    ...(low < 0xd800 ? [[low, Math.min(high, 0xd7ff)] as const] : []),
    ...(high > 0xdfff ? [[Math.max(low, 0xe000), high] as const] : []),
  ];
}
