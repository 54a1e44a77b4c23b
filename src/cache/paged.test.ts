// Pages: who holds them, which prefixes are known, and what gives way when they run out.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openJsDevice } from '../device/js/device.ts';
import { PagedCache, type PagedCacheOptions, type PagedSequence, pagesFor } from './paged.ts';

const device = openJsDevice();
const range = (length: number, first = 0): number[] => Array.from({ length }, (_, i) => first + i);

const open = (options: Partial<PagedCacheOptions> = {}, window?: number): PagedCache =>
  new PagedCache(device, [{ numKvHeads: 1, headDim: 2, ...(window === undefined ? {} : { window }) }], {
    pages: 8,
    contextLength: 256,
    maxSequences: 4,
    dtype: 'f32',
    ...options,
  });

/** A sequence of these tokens, remembered and left. */
function leave(cache: PagedCache, tokens: readonly number[]): void {
  const sequence = cache.createFrom(tokens, tokens.length);
  expect(sequence.extend(tokens.length - sequence.length)).toBe(true);
  cache.remember(sequence, tokens, tokens.length);
  sequence.dispose();
}

/** Tokens of a prompt that are known. */
function known(cache: PagedCache, tokens: readonly number[], atMost = tokens.length): number {
  const sequence = cache.createFrom(tokens, atMost);
  const { length } = sequence;
  sequence.dispose();
  return length;
}

describe('prefixes', () => {
  it('are known by whole pages, up to a limit', () => {
    const cache = open();
    leave(cache, range(70));
    expect(cache.prefixPages).toBe(2);
    expect(cache.bytesUsed).toBe(0);
    expect(known(cache, range(100))).toBe(64);
    expect(known(cache, range(100), 63)).toBe(32);
    expect(known(cache, [...range(40), 7])).toBe(32);
    expect(known(cache, range(100, 1))).toBe(0);
  });

  it('give way when a sequence needs their pages: ends first, the one used longest ago before others', () => {
    const cache = open();
    leave(cache, range(96)); // three pages
    leave(cache, range(96, 500)); // three more; two are free
    expect(known(cache, range(96))).toBe(96); // used again
    const sequence = cache.create();
    expect(sequence.extend(3 * 32)).toBe(true);
    expect([known(cache, range(96)), known(cache, range(96, 500))]).toEqual([96, 64]);
    expect(sequence.extend(5 * 32)).toBe(true);
    expect([known(cache, range(96)), known(cache, range(96, 500))]).toEqual([0, 0]);
    expect(cache.create().extend(1)).toBe(false);
    sequence.dispose();
    expect(cache.available).toBe(8);
  });

  it('in use are not taken', () => {
    const cache = open();
    leave(cache, range(96));
    const user = cache.createFrom(range(96), 96);
    const other = cache.create();
    expect(cache.available).toBe(5);
    expect(other.extend(6 * 32)).toBe(false);
    expect(other.length).toBe(0);
    expect(other.extend(5 * 32)).toBe(true);
    expect(user.pages.every((page) => cache.pool.holders(page) === 2)).toBe(true);
  });

  it('keep no more pages than they may', () => {
    const cache = open({ prefixPages: 2 });
    leave(cache, range(64));
    leave(cache, range(64, 500));
    expect(cache.prefixPages).toBe(2);
    expect(known(cache, range(64, 500))).toBe(64);
    const none = open({ prefixPages: 0 });
    leave(none, range(64));
    expect(none.prefixPages).toBe(0);
    expect(none.pool.free).toBe(8);
  });

  it('whose last pages are there are enough for layers with a window', () => {
    const cache = open({}, 20);
    leave(cache, range(128)); // extended at once: nothing is left behind
    const filler = cache.create();
    expect(filler.extend(32)).toBe(true);
    const long = cache.createFrom(range(128), 128);
    expect(long.length).toBe(128);
    expect(long.pages.slice(0, 3)).toEqual([-1, -1, -1]);
    expect(long.extend(100)).toBe(true);
    expect(() => long.trim(100)).toThrow(/can be cut to 0 or to 11[0-9] … 228/);
    for (const sequence of [long, filler]) sequence.dispose();
  });

  it('that lack a page in the window are not used', () => {
    const cache = open({ pages: 4 }, 40);
    leave(cache, range(96));
    const filler = cache.create();
    expect(filler.extend(64)).toBe(true); // takes the last page of the three, the one used longest ago
    filler.dispose();
    expect(known(cache, range(96))).toBe(64);
  });
});

describe('sequences with a window', () => {
  it('give pages back that no row sees any more', () => {
    const cache = open({}, 20);
    const sequence = cache.create();
    for (let at = 0; at < 200; at += 10) {
      expect(sequence.extend(10)).toBe(true);
      expect(cache.pool.size - cache.pool.free).toBeLessThanOrEqual(2);
    }
    expect(cache.bytesUsed).toBe(2 * cache.pageBytes);
    sequence.dispose();
    expect(cache.pool.free).toBe(8);
  });
});

describe('pages', () => {
  it('are free or held, whatever sequences do', async () => {
    const action = fc.record({
      what: fc.constantFrom('create', 'known', 'extend', 'trim', 'fork', 'remember', 'dispose'),
      which: fc.nat(5),
      amount: fc.nat(90),
    });
    const windows = fc.constantFrom(undefined, 1, 20, 70);
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 40 }), windows, async (actions, window) => {
        const cache = open({ pages: 7 }, window);
        const tokens = range(256);
        let live: PagedSequence[] = [];
        for (const { what, which, amount } of actions) {
          const at = live[which % Math.max(1, live.length)];
          if (what === 'create') live.push(cache.create());
          else if (what === 'known') live.push(cache.createFrom(tokens, amount));
          else if (at === undefined) continue;
          else if (what === 'extend') at.extend(amount);
          else if (what === 'trim') at.trim(Math.max(Math.min(at.length, amount), at.earliestTrim));
          else if (what === 'fork') live.push((await at.fork()) as PagedSequence);
          else if (what === 'remember') cache.remember(at, tokens, at.length);
          else {
            at.dispose();
            live = live.filter((x) => x !== at);
          }
          for (const { pages, length } of live) {
            expect(pages).toHaveLength(pagesFor(length));
            for (const page of pages) if (page >= 0) expect(cache.pool.holders(page)).toBeGreaterThan(0);
          }
        }
        for (const sequence of live) sequence.dispose();
        expect(cache.bytesUsed).toBe(0);
        expect(cache.pool.free + cache.prefixPages).toBe(7);
        expect(cache.available).toBe(7);
      }),
      { numRuns: 300 },
    );
  });
});
