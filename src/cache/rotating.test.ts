// Windows that rotate: up to the window the bits of the standard cache; beyond it attention over the first page and the last,
// as plain TypeScript computes it; however steps are cut, alone and among others, in memory that does not grow.

import { describe, expect, it } from 'vitest';
import { compile } from '../array/compile.ts';
import { fromData } from '../array/creation.ts';
import { dynDim } from '../base/shape.ts';
import { addonPath } from '../device/cpu/addon.ts';
import { openCpuDevice } from '../device/cpu/device.ts';
import { openJsDevice } from '../device/js/device.ts';
import { attentionSpec, convolutionSpec, type LayerSpec } from '../nn/contracts.ts';
import { normal, randomNumbers } from '../testing/case-data.ts';
import type { CacheSequence, CacheStore } from './contract.ts';
import { PagedCache } from './paged.ts';
import { pagesFor } from './sizes.ts';
import { StandardCache } from './standard.ts';

const [heads, width, context, maxRows, rank] = [2, 16, 96, 70, 12] as const;
const row = heads * width;
const full = attentionSpec({ numKvHeads: 1, headDim: width });
const specs: readonly LayerSpec[] = [
  full,
  { kind: 'latent', rank, ropeDim: width - rank },
  attentionSpec({ numKvHeads: 1, headDim: width, window: 40 }),
  attentionSpec({ numKvHeads: 1, headDim: width, window: 150 }),
  convolutionSpec(row, 3),
];
const scale = 0.25;

/** Numbers of the token at a position: a query of two heads, whose first is key, value and shared row. */
const known = new Map<number, readonly number[]>();
const numbersOf = (seed: number, position: number): readonly number[] => {
  const token = 1 + position + 10_000 * seed;
  const found = known.get(token) ?? drawn(token);
  known.set(token, found);
  return found;
};
const drawn = (token: number): readonly number[] => {
  const uniform = randomNumbers(token);
  return Array.from({ length: row }, () => normal(uniform));
};

const rotating = (device: ReturnType<typeof openJsDevice>, keep = 4, sequences = 2): PagedCache =>
  new PagedCache(device, specs, {
    pages: sequences * pagesFor(context),
    contextLength: context,
    maxSequences: sequences,
    maxRows,
    dtype: 'f32',
    keep,
  });

interface Part {
  readonly sequence: CacheSequence;
  readonly rows: number;
  readonly seed?: number;
}

class Bench {
  readonly store: CacheStore;
  readonly #plan;

  constructor(device: ReturnType<typeof openJsDevice>, store: CacheStore) {
    this.store = store;
    const rows = dynDim('rows', 2 * maxRows);
    const weight = fromData(
      Float32Array.from({ length: row * 3 }, (_, i) => (i % 7) - 3),
      [row * 3],
      { device },
    );
    this.#plan = compile(
      ({ x, positions, ...rest }) => {
        if (!x || !positions) throw new Error('an input is missing');
        const memory = store.view(rest);
        const flat = x.reshape([rows, row]);
        const key = x.slice(null, [0, 1], null);
        const options = { scale, precision: 'exact' } as const;
        const attend = (layer: number) => memory.attend(layer, x, key, key, positions, options);
        return {
          full: attend(0),
          latent: memory.latent(1, x, key.reshape([rows, width]), positions, options),
          window: attend(2),
          wide: attend(3),
          state: memory.convolve(4, flat, positions, { weight }),
        };
      },
      {
        device,
        inputs: {
          x: { shape: [rows, heads, width], dtype: 'f32' },
          positions: { shape: [rows], dtype: 'i32' },
          ...store.inputs(rows),
        },
      },
    );
  }

  /** A step; what each layer gives for its rows. */
  async step(...parts: readonly Part[]): Promise<readonly number[][]> {
    for (const { sequence, rows } of parts) expect(sequence.extend(rows)).toBe(true);
    const at = parts.flatMap(({ sequence, rows, seed = 1 }) =>
      Array.from({ length: rows }, (_, i) => ({ seed, position: sequence.length - rows + i })),
    );
    const x = at.flatMap(({ seed, position }) => numbersOf(seed, position));
    const positions = at.map(({ position }) => position);
    const outputs = await this.#plan.run({ inputs: { x, positions, ...this.store.bind(parts) } });
    return await Promise.all(outputs.map(async (output) => [...(await output.data())]));
  }

  /** All rows of a sequence, in steps of these sizes over and over. */
  async rows(length: number, sizes: readonly number[]): Promise<readonly number[][]> {
    const sequence = this.store.create();
    const found: number[][] = specs.map(() => []);
    for (let i = 0; sequence.length < length; i++) {
      const rows = Math.min(sizes[i % sizes.length] as number, length - sequence.length);
      (await this.step({ sequence, rows })).forEach((values, layer) => {
        found[layer]?.push(...values);
      });
    }
    sequence.dispose();
    return found;
  }
}

/** The row at a position of one head over the positions that it sees. */
function attended(head: number, position: number, seen: readonly number[]): number[] {
  const x = Array.from({ length: position + 1 }, (_, i) => numbersOf(1, i));
  const query = x[position]?.slice(head * width, (head + 1) * width) ?? [];
  const scores = seen.map((i) => query.reduce((dot, q, d) => dot + q * (x[i]?.[d] as number), 0) * scale);
  const most = Math.max(...scores);
  const weights = scores.map((score) => Math.exp(score - most));
  const sum = weights.reduce((a, b) => a + b, 0);
  return query.map(
    (_, d) => seen.reduce((y, i, at) => y + (weights[at] as number) * (x[i]?.[d] as number), 0) / sum,
  );
}

/** Positions that a row sees of a window of `context` of which `kept` positions stay. */
function seenBy(position: number, kept: number): number[] {
  const from = Math.floor(position / 32) * 32 + 32 - (context - kept);
  return Array.from({ length: position + 1 }, (_, i) => i).filter((i) => i < kept || i >= from);
}

const near = (got: readonly number[], expected: readonly number[]): void => {
  expect(got.length).toBe(expected.length);
  const worst = got.reduce((most, x, i) => Math.max(most, Math.abs(x - (expected[i] as number))), 0);
  expect(worst).toBeLessThan(2e-5);
};

const devices = addonPath() ? { cpu: openCpuDevice } : { js: openJsDevice };

describe.each(Object.entries(devices))('a window that rotates on %s', (_, openDevice) => {
  const device = openDevice();

  it('has the bits of the standard and of the paged cache up to its end', async () => {
    const limits = { maxRows, dtype: 'f32' } as const;
    const rotates = rotating(device);
    // Few rows are multiplied otherwise by the standard cache, which has one sequence only.
    const others = [
      [new StandardCache(device, specs, { capacity: context, ...limits }), [33, 1, 62]],
      [
        new PagedCache(device, specs, { pages: 3, contextLength: context, maxSequences: 1, ...limits }),
        [33, 1, 2, 60],
      ],
    ] as const;
    for (const [store, sizes] of others) {
      const expected = await new Bench(device, store).rows(context, sizes);
      expect(await new Bench(device, rotates).rows(context, sizes)).toEqual(expected);
      store.dispose();
    }
    rotates.dispose();
  });

  it.each([0, 4, 33])('keeps the first %d positions in whole pages, and the last', async (keep) => {
    const length = 4 * context + 5;
    const kept = 32 * Math.ceil(keep / 32);
    const cache = rotating(device, keep);
    const [all, shared, ...others] = await new Bench(device, cache).rows(length, [maxRows]);
    const standard = new StandardCache(device, specs, { capacity: length, dtype: 'f32' });
    const plain = await new Bench(device, standard).rows(length, [maxRows]);
    for (const position of [0, 31, 95, 96, 97, 127, 128, 200, 255, 300, length - 1]) {
      const seen = seenBy(position, kept);
      if (position >= context) expect(seen.length).toBeLessThan(position + 1);
      const expected = [0, 1].map((head) => attended(head, position, seen));
      near(all?.slice(position * row, (position + 1) * row) ?? [], expected.flat());
      const columns = expected.flatMap((values) => values.slice(0, rank));
      near(shared?.slice(position * heads * rank, (position + 1) * heads * rank) ?? [], columns);
    }
    // Layers with a window of their own, and states, are what they are without an end.
    others.forEach((values, i) => {
      near(values, plain[2 + i] ?? []);
    });
    for (const store of [cache, standard]) store.dispose();
  });

  it('does not depend on how a sequence is cut into steps', async () => {
    const cache = rotating(device);
    const bench = new Bench(device, cache);
    const whole = await bench.rows(330, [64]);
    for (const sizes of [[32], [1], [7, 50, 3, 1, 70]])
      (await bench.rows(330, sizes)).forEach((values, layer) => {
        near(values, whole[layer] ?? []);
      });
    cache.dispose();
  });

  it('has room for each of several without an end, in memory that does not grow', async () => {
    const cache = rotating(device);
    const bench = new Bench(device, cache);
    const [alone, beside] = [await bench.rows(300, [20]), [] as number[]];
    const [a, b] = [cache.create(), cache.create()];
    expect([cache.available(0), cache.longest]).toEqual([Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]);
    let most = 0;
    while (a.length < 300) {
      const got = await bench.step({ sequence: b, rows: 31, seed: 2 }, { sequence: a, rows: 20 });
      beside.push(...(got[0] ?? []).slice(31 * row));
      most = Math.max(most, cache.bytesUsed);
    }
    near(beside, alone[0] ?? []);
    const used = cache.bytesUsed;
    for (let i = 0; i < 40; i++) await bench.step({ sequence: a, rows: 20 });
    expect(a.length).toBeGreaterThan(11 * context);
    expect(cache.bytesUsed).toBeLessThanOrEqual(Math.max(most, used));
    for (const sequence of [a, b]) sequence.dispose();
    expect(cache.bytesUsed).toBe(0);
    cache.dispose();
  });

  it('goes on from forks, cuts inside its window and known beginnings of no more than its window', async () => {
    const cache = rotating(device);
    const bench = new Bench(device, cache);
    const whole = await bench.rows(400, [64]);
    const from = (layer: number, position: number, rows: number): number[] => {
      const size = (whole[layer] ?? []).length / 400;
      return whole[layer]?.slice(position * size, (position + rows) * size) ?? [];
    };
    const tokens = Array.from({ length: 400 }, (_, i) => i);
    const sequence = cache.create();
    for (let i = 0; i < 6; i++) {
      await bench.step({ sequence, rows: 32 });
      cache.remember(sequence, tokens, sequence.length);
    }
    const fork = await sequence.fork();
    sequence.dispose();
    for (const rows of [40, 1])
      near((await bench.step({ sequence: fork, rows }))[0] ?? [], from(0, fork.length - rows, rows));
    await expect(fork.snapshot()).rejects.toMatchObject({
      code: 'unsupported',
      message: /a window of 96 is left/,
    });
    expect(() => fork.trim(100)).toThrow(/cannot be cut to 100/);
    fork.dispose();
    const begun = cache.createFrom(tokens, 300);
    expect(begun.length).toBe(96);
    while (begun.length < 300)
      near((await bench.step({ sequence: begun, rows: 17 }))[0] ?? [], from(0, begun.length - 17, 17));
    begun.dispose();
    cache.dispose();
  });
});

it('names what cannot rotate, and a window of which nothing would be left', () => {
  const device = openJsDevice();
  const open = (layer: LayerSpec, keep: number): PagedCache =>
    new PagedCache(device, [layer], {
      pages: 3,
      contextLength: context,
      maxSequences: 1,
      dtype: 'f32',
      keep,
    });
  expect(() => open({ kind: 'latent', rank, ropeDim: 4, indexDim: 8 }, 4)).toThrow(
    /layer 0 \(latent with an index\)/,
  );
  expect(() => open({ kind: 'compressed', window: 6, width: 8 }, 4)).toThrow(
    /layer 0 \(compressed\) chooses among all/,
  );
  expect(() => open(full, 65)).toThrow(/kvKeep of 65 takes 3 pages .* has 3: keep fewer/);
});
