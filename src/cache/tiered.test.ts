// A cache whose pages are in memory or in a file: the same bits as one that has all of them in memory, whatever the disk
// does; what it cannot do is said with numbers, and the next step works.

import { readdirSync, readlinkSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { describe, expect, it } from 'vitest';
import { compile } from '../array/compile.ts';
import { dynDim } from '../base/shape.ts';
import { addonPath } from '../device/cpu/addon.ts';
import { openCpuDevice } from '../device/cpu/device.ts';
import type { CpuPageStore, PageFaults } from '../device/cpu/pages.ts';
import type { Device } from '../device/device.ts';
import { openJsDevice } from '../device/js/device.ts';
import type { PageStoreSpec } from '../device/page-store.ts';
import { attentionSpec, type LayerSpec } from '../nn/contracts.ts';
import { normal, randomNumbers } from '../testing/case-data.ts';
import type { CacheSequence } from './contract.ts';
import { PagedCache } from './paged.ts';
import { pagesFor } from './sizes.ts';

const [heads, width, layers, capacity, chunk] = [2, 16, 5, 512, 48] as const;
const specs: readonly LayerSpec[] = Array.from({ length: layers }, () =>
  attentionSpec({ numKvHeads: heads, headDim: width }),
);
const pages = pagesFor(capacity);
/** Of one layer, f16. */
const pageBytes = 2 * heads * width * 32 * 2;

/** A cache, and steps over it in which each layer's rows come from the attention of the layer before. */
class Bench {
  readonly device = openCpuDevice();
  readonly stores: CpuPageStore[] = [];
  readonly cache: PagedCache;
  readonly #plan;

  constructor(slots: number | undefined, specsOf: readonly LayerSpec[] = specs) {
    const opened = this.device.openPages.bind(this.device);
    this.device.openPages = (spec: PageStoreSpec) => {
      const store = opened(spec);
      this.stores.push(store);
      return store;
    };
    this.cache = new PagedCache(this.device, specsOf, {
      pages,
      contextLength: capacity,
      maxSequences: 3,
      maxRows: chunk,
      dtype: 'f16',
      ...(slots === undefined ? {} : { maxBytes: slots * pageBytes, tier: { folder: tmpdir(), readers: 3 } }),
    });
    const rows = dynDim('rows', 3 * chunk);
    this.#plan = compile(
      ({ x, positions, ...rest }) => {
        if (!x || !positions) throw new Error('an input is missing');
        const memory = this.cache.view(rest);
        return specsOf.reduce((y, _, layer) => {
          const [k, v] = [y.mul(0.5 + layer), y.add(layer)];
          return memory.attend(layer, y, k, v, positions, { scale: 0.25, precision: 'exact' }).add(x);
        }, x);
      },
      {
        device: this.device,
        inputs: {
          x: { shape: [rows, heads, width], dtype: 'f32' },
          positions: { shape: [rows], dtype: 'i32' },
          ...this.cache.inputs(rows),
        },
      },
    );
  }

  /** One step of `rows` more positions of each sequence; what they are is a function of seed and position. */
  async step(
    parts: readonly { sequence: CacheSequence; rows: number; seed: number }[],
  ): Promise<Float32Array> {
    for (const { sequence, rows } of parts) expect(sequence.extend(rows)).toBe(true);
    const positions = parts.flatMap(({ sequence, rows }) =>
      Array.from({ length: rows }, (_, i) => sequence.length - rows + i),
    );
    const seeds = parts.flatMap(({ rows, seed }) => Array<number>(rows).fill(seed));
    const x = positions.flatMap((position, i) => {
      const uniform = randomNumbers(1 + position + 1000 * (seeds[i] ?? 0));
      return Array.from({ length: heads * width }, () => normal(uniform));
    });
    const [y] = await this.#plan.run({ inputs: { x, positions, ...this.cache.bind(parts) } });
    return Float32Array.from((await y?.data()) ?? []);
  }

  /** Steps of many sizes with a fork, a cut, a known beginning and sequences of unequal length; all that comes out. */
  async story(): Promise<readonly Float32Array[]> {
    const found: Float32Array[] = [];
    const add = async (...parts: readonly { sequence: CacheSequence; rows: number; seed: number }[]) => {
      found.push(await this.step(parts));
    };
    const first = this.cache.create();
    for (let i = 0; i < 4; i++) await add({ sequence: first, rows: chunk, seed: 1 });
    const second = this.cache.create();
    await add({ sequence: first, rows: 1, seed: 1 }, { sequence: second, rows: 37, seed: 2 });
    const fork = await first.fork();
    await add({ sequence: fork, rows: 3, seed: 3 }, { sequence: first, rows: 1, seed: 1 });
    for (let i = 0; i < 3; i++)
      await add(
        { sequence: first, rows: 1, seed: 1 },
        { sequence: second, rows: 30, seed: 2 },
        { sequence: fork, rows: 1, seed: 3 },
      );
    fork.trim(100);
    await add({ sequence: fork, rows: 5, seed: 4 }, { sequence: second, rows: 1, seed: 2 });
    const tokens = Array.from({ length: first.length }, (_, i) => i);
    this.cache.remember(first, tokens, first.length);
    first.dispose();
    const known = this.cache.createFrom(tokens, 150);
    expect(known.length).toBe(128);
    await add({ sequence: known, rows: 40, seed: 5 }, { sequence: fork, rows: 1, seed: 4 });
    const snapshot = await known.snapshot();
    known.dispose();
    this.cache.forgetPrefixes();
    const back = await this.cache.restore(snapshot);
    for (let i = 0; i < 2; i++)
      await add({ sequence: back, rows: 1, seed: 5 }, { sequence: second, rows: 1, seed: 2 });
    for (const sequence of [second, fork, back]) sequence.dispose();
    return found;
  }

  inject(faults: PageFaults): void {
    for (const store of this.stores) store.inject(faults);
  }

  dispose(): void {
    this.#plan.dispose();
    this.cache.dispose();
  }
}

const device = openJsDevice();
const open = (on: Device, maxBytes: number | undefined, folder = tmpdir()): PagedCache =>
  new PagedCache(on, specs, {
    pages,
    contextLength: capacity,
    maxSequences: 1,
    dtype: 'f16',
    ...(maxBytes === undefined ? {} : { maxBytes }),
    tier: { folder },
  });

it('a device without stores of pages is refused by name', () => {
  expect(() => open(device, undefined)).toThrow(/kv 'tiered' .* the device 'js' cannot/);
});

describe.skipIf(addonPath() === undefined)('a tiered cache', () => {
  it.each([pages, pages + 1, 2 * pages, 3 * pages + 5, layers * pages])(
    'gives the bits of one in memory with %d places for pages, also when reads are short and late',
    async (slots) => {
      const whole = new Bench(undefined);
      const expected = await whole.story();
      whole.dispose();
      for (const faults of [{}, { short: 0.3, delayUs: 300 }]) {
        const tiered = new Bench(slots);
        tiered.inject(faults);
        expect(await tiered.story()).toEqual(expected);
        const { bytes, bytesUsed, bytesRead = 0, bytesWritten = 0 } = tiered.cache.tier ?? {};
        expect([bytes, bytesUsed]).toEqual([slots * pageBytes, expect.any(Number)]);
        if (slots < (layers * pages) / 2) expect(Math.min(bytesRead, bytesWritten)).toBeGreaterThan(0);
        if (slots === layers * pages) expect([bytesRead, bytesWritten]).toEqual([0, 0]);
        expect(tiered.cache.bytesUsed).toBe(0);
        tiered.dispose();
      }
      expect(openCpuDevice().statistics().liveBuffers).toBe(0);
    },
    30_000,
  );

  it.each([
    [
      'reads that fail',
      { failRead: 1 },
      'bad_file',
      /reading \d+ bytes at \d+ of the file of pages: Input\/output error/,
    ],
    ['a full disk', { failWrite: 1 }, 'disk_full', /writing \d+ bytes at \d+ .*: No space left on device/],
  ] as const)(
    '%s: a typed error with the place, and the next step is as it would have been',
    async (_, faults, code, message) => {
      const [whole, tiered] = [new Bench(undefined), new Bench(pages)];
      const [a, b] = [whole.cache.create(), tiered.cache.create()];
      // More than memory holds, but nothing to write any more where reads are to fail.
      const steps = code === 'bad_file' ? 8 : 2;
      for (let i = 0; i < steps; i++)
        expect(await tiered.step([{ sequence: b, rows: chunk, seed: 1 }])).toEqual(
          await whole.step([{ sequence: a, rows: chunk, seed: 1 }]),
        );
      tiered.inject(faults);
      let failed: unknown;
      let rows = 0;
      for (; rows < 3 && failed === undefined; rows++) {
        failed = await tiered.step([{ sequence: b, rows: chunk, seed: 1 }]).then(
          () => undefined,
          (error) => error,
        );
      }
      expect(failed).toMatchObject({ code, message: expect.stringMatching(message) });
      tiered.inject({});
      b.trim(a.length);
      for (let i = 0; i < 2; i++)
        expect(await tiered.step([{ sequence: b, rows: chunk, seed: 7 }])).toEqual(
          await whole.step([{ sequence: a, rows: chunk, seed: 7 }]),
        );
      for (const x of [a, b]) x.dispose();
      for (const bench of [whole, tiered]) bench.dispose();
    },
  );

  it.runIf(process.platform === 'linux')(
    'a file that was cut off is told, not read as zeros; it has no name',
    async () => {
      const before = openFiles();
      const bench = new Bench(pages);
      const own = openFiles().filter(([fd]) => !before.some(([known]) => known === fd));
      const spilled = own.filter(([, path]) => path.includes('ingot-kv-'));
      expect(spilled.length).toBeGreaterThan(0);
      for (const [, path] of spilled) expect(path).toMatch(/ \(deleted\)$/);
      const sequence = bench.cache.create();
      for (let i = 0; i < 8; i++) await bench.step([{ sequence, rows: chunk, seed: 1 }]);
      truncateSync(`/proc/self/fd/${spilled[0]?.[0]}`, pageBytes);
      await expect(bench.step([{ sequence, rows: 1, seed: 1 }])).rejects.toMatchObject({
        code: 'bad_file',
        message: expect.stringMatching(/the file has \d+ bytes, \d+ when it was made/),
      });
      sequence.dispose();
      bench.dispose();
      expect(openFiles().filter(([, path]) => path.includes('ingot-kv-'))).toEqual([]);
    },
  );

  it('a folder that is not there is named', () => {
    expect(() => open(openCpuDevice(), undefined, '/nowhere/at/all')).toThrow(
      /pages of the KV cache: \/nowhere\/at\/all: no file can be made there/,
    );
  });
});

const openFiles = (): readonly (readonly [fd: string, path: string])[] =>
  readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [[fd, readlinkSync(`/proc/self/fd/${fd}`)] as const];
    } catch {
      return []; // of the listing itself
    }
  });
