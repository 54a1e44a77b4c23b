// What every strategy must do, as tests: each kind of layer sees what was appended, in any cut, after trim, fork and restore.

import { describe, expect, it } from 'vitest';
import type { NDArray } from '../array/array.ts';
import { compile } from '../array/compile.ts';
import { full as filled, fromData, ones } from '../array/creation.ts';
import { concat } from '../array/ops/shape/concat.ts';
import type { Plan } from '../array/plan.ts';
import { dynDim } from '../base/shape.ts';
import type { CacheSequence, CacheStore } from '../cache/contract.ts';
import type { CacheDtype } from '../cache/parts.ts';
import type { Device } from '../device/device.ts';
import {
  attentionSpec,
  type BlockRule,
  type BlocksSpec,
  type CompressedSpec,
  convolutionSpec,
  type LatentSpec,
  type LayerSpec,
} from '../nn/contracts.ts';
import { type KvCodes, kvRotation, kvRowSizes, readKvRow, writeKvRow } from '../quant/kv-rows.ts';

export interface CacheStrategy {
  readonly name: string;
  /** What it stores keys and values as, where they are not floats; the sets of layers are then those that keep heads. */
  readonly codes?: 'q8' | 'q4';
  readonly openDevice: () => Device;
  /** A store with room for `capacity` positions of one sequence, in steps of up to `maxRows`. */
  readonly open: (
    device: Device,
    layers: readonly LayerSpec[],
    options: { readonly capacity: number; readonly maxRows: number; readonly dtype: CacheDtype },
  ) => CacheStore;
}

const [kvHeads, headDim, maxRows, capacity] = [2, 4, 5, 96] as const;
const [channels, taps] = [kvHeads * headDim, 4];
const full = attentionSpec({ numKvHeads: kvHeads, headDim });
const window = (size: number): LayerSpec => attentionSpec({ numKvHeads: kvHeads, headDim, window: size });
const recurrent = convolutionSpec(channels, taps);
const latent: LayerSpec = { kind: 'latent', rank: 3, ropeDim: 1 };
const indexed: LayerSpec = { ...latent, indexDim: headDim };
const blocksOf = (ratio: number, indexDim?: number): LayerSpec => ({
  kind: 'compressed',
  window: 6,
  width: headDim,
  blocks: { ratio, overlap: indexDim !== undefined, ...(indexDim === undefined ? {} : { indexDim }) },
});
/** Positions that a row of such a layer attends to at most. */
const chosenCount = 9;
const layerSets: Readonly<Record<string, readonly LayerSpec[]>> = {
  'layers that see everything': [full],
  'more layers that see everything': [full, full, latent, full, latent],
  'layers with a window': [window(7)],
  'layers of both kinds': [full, window(3)],
  'layers with shared rows': [latent],
  'layers with shared rows and an index': [indexed],
  'layers with a state': [recurrent],
  'layers with entries of blocks': [
    blocksOf(4),
    blocksOf(4, headDim),
    blocksOf(32),
    blocksOf(64),
    { kind: 'compressed', window: 6, width: headDim },
  ],
  'layers of every kind': [
    window(40),
    blocksOf(8, headDim),
    recurrent,
    { kind: 'none' },
    latent,
    indexed,
    full,
    recurrent,
    window(3),
  ],
};

/** Query, key or value of a token: a function of the token, its layer and what is asked for. */
const feature = (token: number, layer: number, frequency: number): number[] =>
  Array.from({ length: channels }, (_, d) => Math.sin(frequency * (token + 1) * (d + 1) + layer));
const features: Readonly<Record<string, number>> = { q: 0.7, k: 0.3, v: 1.1 };

/** Columns of a head as codes: those of a feature, then zeros, which no query sees. */
const codedDim = 16;

/** A head's columns as they come back from codes; keys in 4 bits are rotated there and back. */
function throughCodes(codes: KvCodes | undefined, head: readonly number[], what: string): readonly number[] {
  if (codes === undefined) return head;
  const turns = codes === 'q4' && what === 'k';
  const rotation = kvRotation(codedDim);
  const product = (x: ArrayLike<number>, entry: (i: number, j: number) => number): Float32Array =>
    Float32Array.from({ length: codedDim }, (_, j) => {
      let sum = 0;
      for (let i = 0; i < codedDim; i++) sum += (x[i] ?? 0) * entry(i, j);
      return sum;
    });
  const there = (i: number, j: number): number =>
    turns ? (rotation[i * codedDim + j] as number) : i === j ? 1 : 0;
  const row = new Uint8Array(kvRowSizes(codes, codedDim).bytes);
  writeKvRow(codes, product(head, there), row);
  return [...product(readKvRow(codes, row, codedDim), (i, j) => there(j, i)).subarray(0, headDim)];
}

/** Attention of the last token over those it sees, written out. */
function attended(
  tokens: readonly number[],
  layer: number,
  size: number | undefined,
  codes: KvCodes | undefined,
): number[] {
  const seen = size === undefined ? tokens : tokens.slice(-size);
  const of = (token: number, what: string): number[] => feature(token, layer, features[what] ?? 0);
  const q = of(tokens.at(-1) ?? 0, 'q');
  return Array.from({ length: kvHeads }, (_, h) => {
    const head = (x: number[]): number[] => x.slice(h * headDim, (h + 1) * headDim);
    const kept = (t: number, what: string): readonly number[] => throughCodes(codes, head(of(t, what)), what);
    const weights = seen.map((t) =>
      Math.exp(kept(t, 'k').reduce((sum, k, d) => sum + k * (head(q)[d] ?? 0), 0) / 2),
    );
    const total = weights.reduce((a, b) => a + b, 0);
    const values = seen.map((t) => kept(t, 'v'));
    return Array.from({ length: headDim }, (_, d) =>
      values.reduce((sum, value, i) => sum + ((weights[i] ?? 0) / total) * (value[d] ?? 0), 0),
    );
  }).flat();
}

/** The tokens that an index with the first head's values as keys and weights 1, -0.5 ranks best for the last of them. */
function chosenOf(tokens: readonly number[], layer: number): readonly number[] {
  const q = feature(tokens.at(-1) ?? 0, layer, features.q ?? 0);
  const scores = tokens.map((t) => {
    const key = feature(t, layer, features.v ?? 0).slice(0, headDim);
    return [1, -0.5].reduce((sum, weight, h) => {
      const product = key.reduce((dot, k, d) => dot + k * (q[h * headDim + d] ?? 0), 0);
      return sum + weight * Math.max(0, product);
    }, 0);
  });
  const best = tokens.map((_, i) => i).sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0) || a - b);
  const kept = new Set(best.slice(0, chosenCount));
  return tokens.filter((_, i) => kept.has(i));
}

/** Attention with the first head's keys as rows of all heads, and their first columns as values, written out. */
function attendedRows(all: readonly number[], layer: number, { rank, indexDim }: LatentSpec): number[] {
  const tokens = indexDim === undefined ? all : chosenOf(all, layer);
  const rows = tokens.map((t) => feature(t, layer, features.k ?? 0).slice(0, headDim));
  const q = feature(all.at(-1) ?? 0, layer, features.q ?? 0);
  return Array.from({ length: kvHeads }, (_, h) => {
    const weights = rows.map((row) =>
      Math.exp(row.reduce((sum, k, d) => sum + k * (q[h * headDim + d] ?? 0), 0) / 2),
    );
    const total = weights.reduce((a, b) => a + b, 0);
    return Array.from({ length: rank }, (_, d) =>
      rows.reduce((sum, row, i) => sum + ((weights[i] ?? 0) / total) * (row[d] ?? 0), 0),
    );
  }).flat();
}

/** Values and gates of blocks: functions of the query's and value's features, both series alike but for their signs. */
const blockSource = (token: number, layer: number, columns: number): number[] => {
  const [values, gates] = [feature(token, layer, features.v ?? 0), feature(token, layer, features.q ?? 0)];
  const series = (from: number[]): number[] =>
    Array.from({ length: columns }, (_, d) => (from[d % headDim] ?? 0) * (d < headDim ? 1 : -1));
  return [...series(values), ...series(gates)];
};
const blockBias = (j: number, d: number): number => Math.sin(j + 2 * d);
const blockNorm = [1, 0.5, -1, 2];
const blockEps = 1e-5;
/** Of the last pair of columns. */
const blockFrequency = 0.3;

/** The entry of a block, written out. */
function entryOf(tokens: readonly number[], layer: number, block: number, spec: CompressedSpec): number[] {
  const { ratio = 1, overlap = false } = spec.blocks ?? {};
  const columns = overlap ? 2 * headDim : headDim;
  const start = block * ratio;
  const sources = (overlap && block > 0 ? [0, 1] : [1]).flatMap((own) =>
    Array.from({ length: ratio }, (_, j) => {
      const row = blockSource(tokens[start + (own - 1) * ratio + j] ?? 0, layer, columns);
      return { row, j, series: own * (columns - headDim) };
    }),
  );
  const means = Array.from({ length: headDim }, (_, d) => {
    const weights = sources.map(({ row, j, series }) =>
      Math.exp((row[columns + series + d] ?? 0) + blockBias(j, series + d)),
    );
    const total = weights.reduce((a, b) => a + b, 0);
    return sources.reduce(
      (sum, { row, series }, i) => sum + ((weights[i] ?? 0) / total) * (row[series + d] ?? 0),
      0,
    );
  });
  const scale = 1 / Math.sqrt(means.reduce((sum, x) => sum + x * x, 0) / headDim + blockEps);
  const [a = 0, b = 0, x = 0, y = 0] = means.map((mean, d) => mean * scale * (blockNorm[d] ?? 0));
  const [sin, cos] = [Math.sin(start * blockFrequency), Math.cos(start * blockFrequency)];
  return [a, b, x * cos - y * sin, y * cos + x * sin];
}

/** Attention over the rows of the window and the entries of blocks that are whole, or those that the index ranks best, written out. */
function attendedBlocks(tokens: readonly number[], layer: number, spec: CompressedSpec): number[] {
  const { ratio = 1, indexDim } = spec.blocks ?? {};
  const q = feature(tokens.at(-1) ?? 0, layer, features.q ?? 0);
  const head = (h: number): number[] => q.slice(h * headDim, (h + 1) * headDim);
  const dot = (a: readonly number[], b: readonly number[]): number =>
    a.reduce((sum, x, d) => sum + x * (b[d] ?? 0), 0);
  const count = spec.blocks ? Math.floor(tokens.length / ratio) : 0;
  const entries = Array.from({ length: count }, (_, block) => entryOf(tokens, layer, block, spec));
  const scores = entries.map((entry) =>
    [1, -0.5].reduce((sum, weight, h) => sum + weight * Math.max(0, dot(entry, head(h))), 0),
  );
  const best = entries.map((_, i) => i).sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0) || a - b);
  const kept = new Set(indexDim === undefined ? best : best.slice(0, chosenCount));
  const rows = [
    ...tokens.slice(-spec.window).map((t) => feature(t, layer, features.k ?? 0).slice(0, headDim)),
    ...entries.filter((_, i) => kept.has(i)),
  ];
  return Array.from({ length: kvHeads }, (_, h) => {
    const weights = rows.map((row) => Math.exp(dot(row, head(h)) / 2));
    const total = weights.reduce((a, b) => a + b, 0);
    return Array.from({ length: headDim }, (_, d) =>
      rows.reduce((sum, row, i) => sum + ((weights[i] ?? 0) / total) * (row[d] ?? 0), 0),
    );
  }).flat();
}

const tapWeight = (c: number, tap: number): number => Math.cos(c + 3 * tap);

/** Convolution at the last token, written out. */
const convolved = (tokens: readonly number[], layer: number): number[] =>
  Array.from({ length: channels }, (_, c) =>
    Array.from({ length: taps }, (_, k) => {
      const token = tokens[tokens.length - taps + k];
      return token === undefined ? 0 : tapWeight(c, k) * (feature(token, layer, features.v ?? 0)[c] ?? 0);
    }).reduce((a, b) => a + b, 0),
  );

/** What a layer gives for the last of these tokens. */
function expected(
  tokens: readonly number[],
  layer: number,
  spec: LayerSpec,
  codes: KvCodes | undefined,
): number[] {
  switch (spec.kind) {
    case 'full':
      return attended(tokens, layer, undefined, codes);
    case 'window':
      return attended(tokens, layer, spec.window, codes);
    case 'latent':
      return attendedRows(tokens, layer, spec);
    case 'compressed':
      return attendedBlocks(tokens, layer, spec);
    case 'recurrent':
      return convolved(tokens, layer);
    case 'none':
      return feature(tokens.at(-1) ?? 0, layer, features.v ?? 0);
    default:
      return spec satisfies never;
  }
}

/** Sequences of tokens over a store, each step compared with attention written out. */
class Harness {
  readonly #layers: readonly LayerSpec[];
  readonly #device: Device;
  readonly #plans = new Map<CacheStore, Plan>();
  /** Of every convolution. */
  readonly #weight: NDArray;
  /** What makes entries of blocks. */
  readonly #rules = new Map<string, BlockRule>();

  readonly #codes: KvCodes | undefined;

  constructor(device: Device, layers: readonly LayerSpec[], codes: KvCodes | undefined) {
    this.#device = device;
    this.#codes = codes;
    this.#layers = layers;
    const weight = Array.from({ length: channels * taps }, (_, i) =>
      tapWeight(Math.floor(i / taps), i % taps),
    );
    this.#weight = fromData(Float32Array.from(weight), [channels * taps], { device });
    for (const spec of layers) {
      if (spec.kind === 'compressed' && spec.blocks !== undefined)
        this.#rules.set(ruleName(spec.blocks), blockRule(device, spec.blocks));
    }
  }

  /** Appends `tokens` to each of the sequences, whose tokens so far are `before`, in one step per store. */
  async append(
    parts: readonly { sequence: CacheSequence; before: readonly number[]; tokens: readonly number[] }[],
  ) {
    const store = parts[0]?.sequence.store as CacheStore;
    for (const { sequence, tokens } of parts) expect(sequence.extend(tokens.length)).toBe(true);
    const all = parts.flatMap(({ tokens }) => tokens);
    const rows = parts.map(({ sequence, tokens }) => ({ sequence, rows: tokens.length }));
    const positions = parts.flatMap(({ before, tokens }) => tokens.map((_, i) => before.length + i));
    const inputs: Record<string, readonly number[] | Int32Array> = { positions, ...store.bind(rows) };
    this.#layers.forEach((_, layer) => {
      for (const [what, frequency] of Object.entries(features)) {
        inputs[`${what}${layer}`] = all.flatMap((token) => feature(token, layer, frequency));
      }
    });
    const outputs = await this.#plan(store).run({ inputs });
    const results: Float32Array[] = [];
    for (const [layer, spec] of this.#layers.entries()) {
      const want = parts.flatMap(({ before, tokens }) =>
        tokens.flatMap((_, i) => expected([...before, ...tokens.slice(0, i + 1)], layer, spec, this.#codes)),
      );
      const got = Float32Array.from((await outputs[layer]?.data()) ?? []);
      results.push(got);
      // f32: scores and sums over at most `capacity` keys of magnitude 1, a few roundings each
      const worst = want.reduce((max, x, i) => Math.max(max, Math.abs((got?.[i] ?? Number.NaN) - x)), 0);
      expect(worst).toBeLessThan(capacity * 2 ** -22);
    }
    return results;
  }

  /** Appends tokens in steps of these sizes. */
  async fill(
    sequence: CacheSequence,
    before: readonly number[],
    tokens: readonly number[],
    step: number = maxRows,
  ) {
    for (let at = 0; at < tokens.length; at += step) {
      const seen = [...before, ...tokens.slice(0, at)];
      await this.append([{ sequence, before: seen, tokens: tokens.slice(at, at + step) }]);
    }
  }

  #plan(store: CacheStore): Plan {
    const known = this.#plans.get(store);
    if (known !== undefined) return known;
    const rows = dynDim('rows', 2 * maxRows);
    const vectors = this.#layers.flatMap((_, layer) =>
      Object.keys(features).map((what) => [
        `${what}${layer}`,
        { shape: [rows, kvHeads, headDim], dtype: 'f32' as const },
      ]),
    );
    const zeros = this.#codes === undefined ? 0 : codedDim - headDim;
    const padded = (x: NDArray): NDArray =>
      zeros === 0 ? x : concat([x, filled([rows, kvHeads, zeros], 0)], 2);
    const plan = compile(
      (given) => {
        const { positions, ...rest } = given as Readonly<
          Record<string, NonNullable<(typeof given)['positions']>>
        >;
        const memory = store.view(rest);
        return this.#layers.map((spec, layer) => {
          const [q, k, v] = [rest[`q${layer}`], rest[`k${layer}`], rest[`v${layer}`]];
          if (!positions || !q || !k || !v) throw new Error('an input is missing');
          switch (spec.kind) {
            case 'full':
            case 'window':
              return memory
                .attend(layer, padded(q), padded(k), padded(v), positions, { scale: 0.5, precision: 'exact' })
                .slice(null, null, [0, headDim]);
            case 'latent': {
              const row = k.slice(null, [0, 1]).reshape([rows, headDim]);
              const key = v.slice(null, [0, 1]).reshape([rows, headDim]);
              const weights = concat([ones([rows, 1]), filled([rows, 1], -0.5)], 1);
              const index = { query: q, weights, key, count: chosenCount };
              return memory.latent(
                layer,
                q,
                row,
                positions,
                { scale: 0.5 },
                spec.indexDim === undefined ? undefined : index,
              );
            }
            case 'compressed': {
              const row = k.slice(null, [0, 1]).reshape([rows, headDim]);
              const blocks = spec.blocks && {
                rows: blockRows(q, v, spec.blocks.overlap),
                rule: this.#rules.get(ruleName(spec.blocks)) as BlockRule,
              };
              const weights = concat([ones([rows, 1]), filled([rows, 1], -0.5)], 1);
              const index = blocks &&
                spec.blocks?.indexDim !== undefined && { query: q, weights, count: chosenCount, blocks };
              return memory.compressed(
                layer,
                { query: q, row, blocks, index: index || undefined },
                positions,
                { scale: 0.5 },
              );
            }
            case 'recurrent':
              return memory.convolve(layer, v.reshape([rows, channels]), positions, { weight: this.#weight });
            case 'none':
              return v;
            default:
              return spec satisfies never;
          }
        });
      },
      {
        device: this.#device,
        inputs: {
          positions: { shape: [rows], dtype: 'i32' as const },
          ...Object.fromEntries(vectors),
          ...store.inputs(rows),
        },
      },
    );
    this.#plans.set(store, plan);
    return plan;
  }

  dispose(): void {
    for (const { bias, norm, frequencies } of this.#rules.values())
      for (const constant of [bias, norm, frequencies]) constant.dispose();
    for (const plan of this.#plans.values()) plan.dispose();
    this.#weight.dispose();
  }
}

const ruleName = ({ ratio, overlap }: BlocksSpec): string => `${ratio} ${overlap}`;

function blockRule(device: Device, { ratio, overlap }: BlocksSpec): BlockRule {
  const columns = overlap ? 2 * headDim : headDim;
  const vector = (values: readonly number[]): NDArray =>
    fromData(Float32Array.from(values), [values.length], { device });
  const bias = Array.from({ length: ratio * columns }, (_, i) =>
    blockBias(Math.floor(i / columns), i % columns),
  );
  return {
    bias: vector(bias),
    norm: vector(blockNorm),
    eps: blockEps,
    frequencies: vector([blockFrequency]),
    factor: 1,
  };
}

/** As `blockSource`, of all rows. */
function blockRows(q: NDArray, v: NDArray, overlap: boolean): NDArray {
  const series = (x: NDArray): NDArray[] => {
    const first = x.slice(null, [0, 1]).reshape([x.shape[0] ?? 0, headDim]);
    return overlap ? [first, first.neg()] : [first];
  };
  return concat([...series(v), ...series(q)], 1);
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

function withWideHeads(spec: LayerSpec): LayerSpec {
  if (spec.kind !== 'full' && spec.kind !== 'window') return spec;
  const heads = { heads: kvHeads, width: codedDim };
  return { ...spec, keys: heads, values: heads };
}

/** Registers the tests of one strategy. */
export function testCacheStrategy(strategy: CacheStrategy): void {
  const { codes } = strategy;
  const sets = Object.keys(layerSets).filter(
    (name) =>
      codes === undefined || layerSets[name]?.every(({ kind }) => kind === 'full' || kind === 'window'),
  );
  describe.each(sets)(`${strategy.name}, %s`, (name) => {
    const layers = layerSets[name] ?? [];
    /** Runs `body` over a fresh store, and sees that nothing is left of it. */
    const withStore = async (body: (store: CacheStore, harness: Harness) => Promise<void>): Promise<void> => {
      const device = strategy.openDevice();
      const { liveBuffers } = device.statistics();
      const kept = codes === undefined ? layers : layers.map(withWideHeads);
      const store = strategy.open(device, kept, { capacity, maxRows, dtype: codes ?? 'f32' });
      const harness = new Harness(device, layers, codes);
      await body(store, harness);
      expect(store.bytesUsed).toBe(0);
      harness.dispose();
      store.dispose();
      expect(device.statistics().liveBuffers).toBe(liveBuffers);
    };

    it.each([1, 3, 5])('attends to what was appended, %d rows at a time', async (step) => {
      await withStore(async (store, harness) => {
        const sequence = store.create();
        await harness.fill(sequence, [], range(0, 83), step);
        expect(sequence.length).toBe(83);
        expect(store.bytesUsed).toBeGreaterThan(0);
        expect(store.bytesUsed).toBeLessThanOrEqual(store.bytes);
        sequence.dispose();
      });
    });

    it('goes on differently from where it was cut', async () => {
      await withStore(async (store, harness) => {
        const sequence = store.create();
        let tokens = range(0, 70);
        await harness.fill(sequence, [], tokens);
        for (const wanted of [69, 66, 1, 0]) {
          const cut = sequence.checkpoint(wanted);
          expect(cut).toBeLessThanOrEqual(wanted);
          sequence.trim(cut);
          expect(sequence.length).toBe(cut);
          const more = range(0, 11).map((i) => 500 + cut + 3 * i);
          tokens = tokens.slice(0, cut);
          await harness.fill(sequence, tokens, more, 4);
          tokens = [...tokens, ...more];
        }
        expect(() => sequence.trim(tokens.length + 1)).toThrow(/can be cut to 0 …/);
        await harness.fill(sequence, tokens, range(0, 80));
        const { length } = sequence;
        expect([0, length].map((to) => sequence.checkpoint(to))).toEqual([0, length]);
        for (const to of range(1, length).filter((at) => sequence.checkpoint(at) !== at)) {
          expect(() => sequence.trim(to)).toThrow(/cannot be cut to \d+ of them/);
        }
        sequence.dispose();
      });
    });

    it('forks into sequences that do not see each other', async () => {
      await withStore(async (store, harness) => {
        const [first, before] = [store.create(), range(0, 45)];
        await harness.fill(first, [], before);
        const second = await first.fork();
        await harness.append([{ sequence: second, before, tokens: [900, 901] }]);
        await harness.append([{ sequence: first, before, tokens: [700] }]);
        await harness.append([{ sequence: second, before: [...before, 900, 901], tokens: [902] }]);
        first.dispose();
        await harness.fill(second, [...before, 900, 901, 902], range(800, 830));
        second.dispose();
      });
    });

    it('goes back to a snapshot', async () => {
      await withStore(async (store, harness) => {
        const [sequence, before] = [store.create(), range(0, 38)];
        await harness.fill(sequence, [], before);
        const snapshot = await sequence.snapshot();
        await harness.fill(sequence, before, range(600, 630));
        sequence.dispose();
        const restored = await store.restore(snapshot);
        expect(restored.length).toBe(38);
        await harness.fill(restored, before, range(100, 140));
        restored.dispose();
        const wrong = { ...snapshot, dtype: 'f16' as const };
        await expect(store.restore(wrong)).rejects.toThrow(/38 positions .* as f16 does not fit/);
        const short = {
          ...snapshot,
          layers: snapshot.layers.map((parts) => parts.map((x) => ({ ...x, arrays: [] }))),
        };
        await expect(store.restore(short)).rejects.toThrow(/has 0 bytes for an array of a layer that takes/);
      });
    });

    it('gives a sequence the same bits alone and beside others', async () => {
      const outputs = async (crowd: boolean): Promise<readonly (readonly Float32Array[])[]> => {
        const found: (readonly Float32Array[])[] = [];
        await withStore(async (store, harness) => {
          const sequence = store.create();
          const other = crowd ? await sequence.fork() : undefined;
          const together = other?.store === store;
          let [own, theirs]: [number[], number[]] = [[], []];
          for (const [i, rows] of [3, 1, 5, 1, 1, 4, 5, 5, 5, 2, 1, 3].entries()) {
            const tokens = range(100 * i, 100 * i + rows);
            const beside = range(50 * i, 50 * i + 1 + (i % maxRows));
            const parts = [{ sequence, before: own, tokens }];
            if (other !== undefined && together)
              parts.unshift({ sequence: other, before: theirs, tokens: beside });
            const all = await harness.append(parts);
            found.push(
              all.map((x) =>
                x.slice(x.length - (x.length / (together ? tokens.length + beside.length : rows)) * rows),
              ),
            );
            [own, theirs] = [
              [...own, ...tokens],
              [...theirs, ...beside],
            ];
          }
          other?.dispose();
          sequence.dispose();
        });
        return found;
      };
      expect(await outputs(true)).toEqual(await outputs(false));
    });

    it('says when it is full, and changes nothing', async () => {
      await withStore(async (store, harness) => {
        const sequence = store.create();
        await harness.fill(sequence, [], range(0, capacity - 2));
        expect(sequence.extend(3)).toBe(false);
        expect(sequence.length).toBe(capacity - 2);
        await harness.append([{ sequence, before: range(0, capacity - 2), tokens: [1, 2] }]);
        sequence.dispose();
      });
    });
  });
}
