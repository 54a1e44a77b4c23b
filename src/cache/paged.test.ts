// Pages: who holds them, which prefixes are known, and what gives way when they run out.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openJsDevice } from '../device/js/device.ts';
import { attentionSpec, convolutionSpec, type LayerSpec } from '../nn/contracts.ts';
import { PagedCache, type PagedCacheOptions } from './paged.ts';
import type { PagedSequence } from './paged-sequence.ts';
import { CacheSizes, pagesFor } from './sizes.ts';

const device = openJsDevice();
const range = (length: number, first = 0): number[] => Array.from({ length }, (_, i) => first + i);

const attention = (window?: number): LayerSpec => attentionSpec({ numKvHeads: 1, headDim: 2, window });

const blocks = (ratio: number): LayerSpec => ({
  kind: 'compressed',
  window: 6,
  width: 2,
  blocks: { ratio, overlap: ratio < 32 },
});

const openLayers = (specs: readonly LayerSpec[], options: Partial<PagedCacheOptions> = {}): PagedCache =>
  new PagedCache(device, specs, {
    pages: 8,
    contextLength: 256,
    maxSequences: 4,
    maxRows: 10,
    dtype: 'f32',
    ...options,
  });

const open = (options: Partial<PagedCacheOptions> = {}, window?: number): PagedCache =>
  openLayers([attention(window)], options);

/** Pages of the only group, or of another: how many, free, kept by prefixes, and the bytes of one. */
function pagesOf(cache: PagedCache, group = 0) {
  const { pool, pageBytes } = cache.groups[group] as PagedCache['groups'][number];
  return { size: pool.size, free: pool.free, available: pool.available, pageBytes, pool };
}

const prefixPages = (cache: PagedCache): number => cache.prefixBytes / pagesOf(cache).pageBytes;

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
    expect(prefixPages(cache)).toBe(2);
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
    expect(cache.available(0)).toBe(256);
  });

  it('in use are not taken', () => {
    const cache = open();
    leave(cache, range(96));
    const user = cache.createFrom(range(96), 96);
    const other = cache.create();
    expect([cache.available(0), cache.available(2)]).toEqual([160, 96]);
    expect(other.extend(6 * 32)).toBe(false);
    expect(other.length).toBe(0);
    expect(other.extend(5 * 32)).toBe(true);
    expect(user.groups[0]?.pages.every((page) => pagesOf(cache).pool.holders(page) === 2)).toBe(true);
  });

  it('keep no more pages than they may', () => {
    const cache = open({ prefixBytes: 2 * 32 * 16 });
    leave(cache, range(64));
    leave(cache, range(64, 500));
    expect(prefixPages(cache)).toBe(2);
    expect(known(cache, range(64, 500))).toBe(64);
    const none = open({ prefixBytes: 0 });
    leave(none, range(64));
    expect(prefixPages(none)).toBe(0);
    expect(pagesOf(none).free).toBe(8);
  });

  it('whose last pages are there are enough for layers with a window', () => {
    const cache = open({}, 20);
    leave(cache, range(128)); // extended at once: nothing is left behind
    const filler = cache.create();
    expect(filler.extend(32)).toBe(true);
    const long = cache.createFrom(range(128), 128);
    expect(long.length).toBe(128);
    expect(long.groups[0]?.pages.slice(0, 3)).toEqual([-1, -1, -1]);
    expect(long.extend(100)).toBe(true);
    expect(() => long.trim(100)).toThrow(
      /228 positions cannot be cut to 100 of them: .* gone, 0 is the longest/,
    );
    for (const sequence of [long, filler]) sequence.dispose();
  });

  it('that lack a page in the window are not used', () => {
    const cache = open({ pages: 4 }, 40);
    leave(cache, range(96));
    const filler = cache.create();
    expect(filler.extend(64)).toBe(true); // takes the first page of the three: the end is of more use
    filler.dispose();
    expect([known(cache, range(96)), known(cache, range(64))]).toEqual([96, 0]);
  });
});

describe('sequences with a window', () => {
  it('give pages back that no row sees any more', () => {
    const cache = open({}, 20);
    const sequence = cache.create();
    for (let at = 0; at < 200; at += 10) {
      expect(sequence.extend(10)).toBe(true);
      expect(8 - pagesOf(cache).free).toBeLessThanOrEqual(3);
    }
    expect(cache.bytesUsed).toBe((8 - pagesOf(cache).free) * pagesOf(cache).pageBytes);
    sequence.dispose();
    expect(pagesOf(cache).free).toBe(8);
  });

  it('hold no more pages in layers with a window because other layers see everything', () => {
    const contextLength = 4096;
    const layers = [...Array.from({ length: 5 }, () => attention(512)), attention()];
    const cache = openLayers(layers, { pages: pagesFor(contextLength), contextLength, maxSequences: 1 });
    const sequence = cache.create();
    while (sequence.length + 10 <= contextLength) expect(sequence.extend(10)).toBe(true);
    const [windowed, all] = sequence.groups.map(({ pages }) => pages.filter((page) => page >= 0).length);
    expect(all).toBe(128);
    expect(windowed).toBeLessThanOrEqual(18);
    expect(cache.bytes).toBe(32 * 16 * (128 + 5 * pagesOf(cache, 0).size));
    expect(pagesOf(cache, 0).size).toBeLessThanOrEqual(24);
  });
});

describe('layers with entries of blocks', () => {
  const specs = [blocks(4), blocks(64)];

  it('are remembered at the ends of pages and cut anywhere, as nothing of them is a state', () => {
    const cache = openLayers(specs, { maxRows: 100 });
    leave(cache, range(100));
    expect(known(cache, range(256))).toBe(96);
    expect(known(cache, [...range(40), 7])).toBe(32);
    const sequence = cache.createFrom(range(96), 96);
    expect(sequence.extend(50)).toBe(true);
    expect([145, 130, 100].map((to) => sequence.checkpoint(to))).toEqual([145, 130, 100]);
    sequence.dispose();
  });

  it('have a slot for each block, in the last of its pages where it is longer than one', () => {
    const cache = openLayers(specs);
    const sizes = cache.groups.map(({ sight, slotsPerPage, pool }) => [sight, slotsPerPage, pool.size]);
    expect(sizes).toContainEqual([{ kind: 'blocks', ratio: 4 }, 8, 8]);
    expect(sizes).toContainEqual([{ kind: 'blocks', ratio: 64 }, 1, 4]);
    const sequence = cache.create();
    for (let at = 0; at < 130; at += 10) expect(sequence.extend(10)).toBe(true);
    const pages = sequence.groups.find(({ group }) => group.slotsPerPage === 1)?.pages ?? [];
    expect(pages.map((page) => page >= 0)).toEqual([false, true, false, true, false]);
    sequence.dispose();
    expect(cache.bytesUsed).toBe(0);
  });
});

describe('layers with a state', () => {
  const specs = [attention(), convolutionSpec(4, 3)];

  it('are remembered at the ends of pages, so that a longer prompt goes on from the last', () => {
    const cache = openLayers(specs, { maxRows: 100 });
    leave(cache, range(100));
    expect(known(cache, range(256))).toBe(96);
    expect(known(cache, [...range(80), 7])).toBe(64);
    expect(known(cache, range(31))).toBe(0);
  });

  it('can be cut to the end and to the last checkpoints, from where nothing else is run again', () => {
    const cache = openLayers(specs);
    const sequence = cache.create();
    for (let at = 0; at < 150; at += 10) expect(sequence.extend(10)).toBe(true);
    expect([150, 149, 128, 127, 96, 95].map((to) => sequence.checkpoint(to))).toEqual([
      150, 128, 128, 96, 96, 0,
    ]);
    expect(() => sequence.trim(149)).toThrow(
      /150 positions cannot be cut to 149 of them: .* 128 is the longest/,
    );
    sequence.trim(96);
    expect(sequence.extend(10)).toBe(true);
    expect(sequence.checkpoint(105)).toBe(96);
    sequence.dispose();
    expect(pagesOf(cache, 1).free).toBe(pagesOf(cache, 1).size);
  });

  it('lend what they keep of checkpoints to whoever has to go on', () => {
    const cache = openLayers(specs, { pages: 16, maxSequences: 2, maxRows: 64 });
    const [first, second] = [cache.create(), cache.create()];
    for (let at = 0; at < 256; at += 64) {
      expect(first.extend(64)).toBe(true);
      expect(second.extend(64)).toBe(true);
    }
  });

  it('that were reserved do not fail, whatever others take', () => {
    const cache = openLayers([attention(), attention(20), convolutionSpec(4, 3)], { pages: 12 });
    const sequence = cache.create();
    expect(sequence.reserve(256)).toBe(true);
    const other = cache.create();
    while (other.extend(10));
    for (let at = 0; at < 250; at += 10) expect(sequence.extend(10)).toBe(true);
    for (const each of [sequence, other]) each.dispose();
    for (const group of [0, 1, 2]) expect(pagesOf(cache, group).free).toBe(pagesOf(cache, group).size);
  });
});

describe('sizes', () => {
  it('of a sequence of 100,000 tokens are what its kinds of layers promise', () => {
    const tokens = 100_000;
    const bytes = (layers: readonly LayerSpec[]): number =>
      new CacheSizes(layers, 'f16').sequenceBytes({ contextLength: tokens, maxRows: 1 });
    const of = (count: number, spec: LayerSpec): readonly LayerSpec[] => Array(count).fill(spec);
    const heads = { numKvHeads: 8, headDim: 128 };
    // Llama 3 8B: keys and values of 8 heads in 32 layers.
    expect(bytes(of(32, attentionSpec(heads)))).toBe(tokens * 32 * 2 * 8 * 128 * 2);
    // DeepSeek V3: 512 + 64 numbers in 61 layers, whatever the number of heads.
    expect(bytes(of(61, { kind: 'latent', rank: 512, ropeDim: 64 }))).toBe(tokens * 61 * 576 * 2);
    // A window of 1,024 needs at most 33 pages of 32 positions and the one that begins.
    const windowed = attentionSpec({ ...heads, window: 1024 });
    expect(bytes(of(5, windowed))).toBe(5 * 33 * 32 * 2 * 8 * 128 * 2);
    // LFM2: 18 convolutions keep two inputs of 2,048 channels in f32, once as a checkpoint.
    expect(bytes(of(18, convolutionSpec(2048, 3)))).toBe(18 * 2 * 2 * 2048 * 4);
    // DeepSeek V4: an entry of 512 columns for each 128 positions, the rows of a window of 128 and what 128 positions gave.
    const heavy: LayerSpec = {
      kind: 'compressed',
      window: 128,
      width: 512,
      blocks: { ratio: 128, overlap: false },
    };
    const near = 5 * 32 * 2 * (512 + 2 * 512);
    expect(bytes(of(20, heavy))).toBe(20 * (Math.ceil(pagesFor(tokens) / 4) * 2 * 512 + near));
    expect(bytes([{ kind: 'none' }])).toBe(0);
  });

  it('give layers that see less what all sequences together can use, and less where bytes are short', () => {
    const sizes = new CacheSizes([attention(), attention(64), convolutionSpec(4, 3)], 'f16');
    const limits = { contextLength: 4096, maxRows: 64 };
    const roomy = sizes.pages(512, 4, limits);
    expect(roomy[0]).toBe(512);
    expect(roomy[1]).toBeLessThan(4 * 12);
    const least = sizes.pages(512, 4, limits, 0);
    expect(least).toEqual([512, 5, 2]);
    const bytes = (sizes.bytes(roomy) + sizes.bytes(least)) / 2;
    const between = sizes.pages(512, 4, limits, bytes);
    expect(sizes.bytes(between)).toBeLessThanOrEqual(bytes);
    expect(sizes.bytes(between)).toBeGreaterThan(0.9 * bytes);
  });
});

describe('pages', () => {
  it('are free or held, whatever sequences do', async () => {
    const action = fc.record({
      what: fc.constantFrom('create', 'known', 'extend', 'trim', 'fork', 'remember', 'dispose'),
      which: fc.nat(5),
      amount: fc.nat(90),
    });
    const layers = fc.subarray(
      [attention(), attention(1), attention(20), attention(70), convolutionSpec(4, 3), blocks(4), blocks(64)],
      {
        minLength: 1,
      },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 40 }), layers, async (actions, specs) => {
        const cache = openLayers(specs, { pages: 7, maxRows: 90 });
        const tokens = range(256);
        let live: PagedSequence[] = [];
        for (const { what, which, amount } of actions) {
          const at = live[which % Math.max(1, live.length)];
          if (what === 'create') live.push(cache.create());
          else if (what === 'known') live.push(cache.createFrom(tokens, amount));
          else if (at === undefined) continue;
          else if (what === 'extend') at.extend(amount);
          else if (what === 'trim') at.trim(at.checkpoint(amount));
          else if (what === 'fork') live.push((await at.fork()) as PagedSequence);
          else if (what === 'remember') cache.remember(at, tokens, at.length);
          else {
            at.dispose();
            live = live.filter((x) => x !== at);
          }
          for (const { groups, length } of live) {
            for (const { pages, group } of groups) {
              expect(pages).toHaveLength(pagesFor(length));
              for (const page of pages) if (page >= 0) expect(group.pool.holders(page)).toBeGreaterThan(0);
            }
          }
        }
        for (const sequence of live) sequence.dispose();
        expect(cache.bytesUsed).toBe(0);
        const kept = cache.groups.reduce(
          (sum, { pool, pageBytes }) => sum + (pool.size - pool.free) * pageBytes,
          0,
        );
        expect(cache.prefixBytes).toBe(kept);
        for (const { pool } of cache.groups) expect(pool.available).toBe(pool.size);
      }),
      { numRuns: 300 },
    );
  });
});
