// Choices that give way to experts in memory: the kernel does what the rule in TypeScript says, no more than it is told, and nothing
// where nothing is missing or nobody asked.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { modelFile } from '../../bench/model-file.ts';
import { fromData } from '../../src/array/creation.ts';
import { moeReroute, reroute } from '../../src/array/ops/experts/moe-reroute.ts';
import { Weight } from '../../src/array/weight.ts';
import { addonPath } from '../../src/device/cpu/addon.ts';
import { openCpuDevice } from '../../src/device/cpu/device.ts';
import { load } from '../../src/engine/load.ts';
import type { ExpertOptions, Model } from '../../src/engine/types.ts';
import { streamedLayers } from '../../src/experts/layers.ts';
import { modelCheckpoint } from '../../src/models/files/translate.ts';
import { expertTensors } from '../../src/weights/experts.ts';
import { openCheckpoint } from '../../src/weights/open.ts';
import { expertBlock, tinyExperts } from './tiny-experts.ts';

const E = 16;
const k = 4;
const shape = tinyExperts('tiny-reroute', 2);
const block = expertBlock;

/** Numbers from 0 to 1, the same in every run. */
function uniform(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Routers' choices of `rows` rows: scores are positive, weights those of the best k, made to sum to 1. */
function routed(rows: number, seed: number) {
  const random = uniform(seed);
  const scores = Array.from({ length: rows }, () => Array.from({ length: E }, () => random() ** 3 + 1e-3));
  const ids = scores.map((row) => row.map((_, e) => e).toSorted((a, b) => (row[b] ?? 0) - (row[a] ?? 0)));
  const chosen = ids.map((row) => row.slice(0, k));
  const weights = chosen.map((row, r) => {
    const picked = row.map((e) => scores[r]?.[e] ?? 0);
    const total = picked.reduce((sum, x) => sum + x, 0);
    return picked.map((x) => x / total);
  });
  return { scores, ids: chosen, weights };
}

describe.skipIf(addonPath() === undefined)('rerouted choices', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ingot-reroute-'));
  let path = '';
  beforeAll(async () => {
    path = await modelFile(shape, folder);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it.each([
    [1, 0.7, 0, true, 'swaps'],
    [1, 0, 0.3, true, 'drops'],
    [3, 0.4, 0.4, true, 'both'],
    [3, 1, 0.9, false, 'swaps'],
    [40, 0.5, 0.3, true, 'neither'], // some row needs every expert
  ] as const)('%i rows, prefer %d, drop %d, as the rule says', async (rows, prefer, drop, normTopk, does) => {
    const there = Array.from({ length: E }, (_, e) => e % 3 === 0);
    const device = openCpuDevice({ threads: 2 });
    const checkpoint = await modelCheckpoint(openCheckpoint(path));
    const spec = streamedLayers(expertTensors(checkpoint));
    const stream = device.streamExperts({
      ...spec,
      bytes: 12 * block,
      readers: 2,
      eviction: 'lru',
      hot: there.flatMap((here, expert) => (here ? [{ layer: 0, expert }] : [])),
    });
    try {
      const { layout } = spec.layers[0]?.matrices.gate ?? {};
      if (layout === undefined) throw new Error('no experts');
      const buffer = stream.stack(0, 'gate');
      const stack = new Weight({
        device,
        buffer,
        layout,
        shape: [E, shape.inner, shape.hidden],
        label: 'gate',
      });
      const { ids, weights, scores } = routed(rows, rows + 100 * prefer);
      const limits = { prefer, drop, normTopk };
      const want = reroute([ids.flat(), weights.flat(), scores.flat(), scores.flat()], {
        k,
        E,
        there,
        ...limits,
      });
      const order = fromData(scores, undefined, { device });
      const [newIds, newWeights] = moeReroute(
        [fromData(ids, undefined, { device, dtype: 'i32' }), fromData(weights, undefined, { device })],
        { order, scores: order, stack, ...limits },
      );
      expect([...(await newIds.data())]).toEqual(want.ids);
      const got = [...(await newWeights.data())];
      for (const [i, weight] of want.weights.entries()) expect(got[i]).toBeCloseTo(weight, 5);
      const { choices, swapped, dropped } = stream.counters();
      expect({ choices, swapped, dropped }).toEqual({
        choices: rows * k,
        swapped: want.swapped,
        dropped: want.dropped,
      });
      const done = [want.swapped > 0, want.dropped > 0];
      expect(done).toEqual([does === 'swaps' || does === 'both', does === 'drops' || does === 'both']);
    } finally {
      stream.dispose();
      await checkpoint.close();
      device.dispose();
    }
  });

  it('leaves out and swaps at most what it is told', () => {
    const random = uniform(7);
    let [changed, left] = [0, 0];
    for (let round = 0; round < 300; round++) {
      const { ids, weights, scores } = routed(1, round);
      const there = Array.from({ length: E }, () => random() < 0.5);
      const [prefer, drop] = [random() * 0.8, random() * 0.8];
      const own = ids[0] ?? [];
      const table = [own, weights[0] ?? [], scores[0] ?? [], scores[0] ?? []] as const;
      const swap = reroute(table, { k, E, there, prefer, drop: 0, normTopk: false });
      const score = (e: number): number => scores[0]?.[e] ?? 0;
      for (const [j, e] of own.entries()) {
        const now = swap.ids[j] ?? -1;
        if (now === e) continue;
        changed++;
        expect(there[e]).toBe(false);
        expect(there[now]).toBe(true);
        expect(score(now)).toBeGreaterThanOrEqual((1 - prefer) * score(e) - 1e-12);
      }
      const cut = reroute(table, { k, E, there, prefer: 0, drop, normTopk: false });
      const gone = (weights[0] ?? []).filter((_, j) => cut.weights[j] === 0);
      left += gone.length;
      expect(gone.length).toBe(cut.dropped);
      expect(gone.reduce((sum, w) => sum + w, 0)).toBeLessThanOrEqual(drop + 1e-12);
      own.forEach((e, j) => {
        if (there[e]) expect(cut.weights[j]).toBe(weights[0]?.[j]);
      });
    }
    expect(changed).toBeGreaterThan(50);
    expect(left).toBeGreaterThan(50);
  });

  it('needs no read for a row that another row does not need', () => {
    // Row 0 could do without expert 1; row 1 cannot, so row 0 has it, too.
    const scores = [0.5, 0.1, 0, 0, 0.01, 0.6, 0, 0];
    const tables = [[0, 1, 1, 0], [0.83, 0.17, 0.98, 0.02], scores, scores] as const;
    const call = { k: 2, E: 4, there: [true, false, false, false], prefer: 0, drop: 0.2, normTopk: true };
    expect(reroute(tables, call)).toMatchObject({ ids: [0, 1, 1, 0], dropped: 0 });
    const alone = tables.map((list) => list.slice(0, list.length / 2)) as unknown as typeof tables;
    expect(reroute(alone, call)).toMatchObject({ ids: [0, 0], weights: [1, 0], dropped: 1 });
  });

  const prompt = Array.from({ length: 20 }, (_, i) => (i * 37 + 11) % shape.vocab);
  const open = (experts: ExpertOptions): Promise<Model> =>
    load(path, { device: 'cpu', contextLength: 256, prefixBytes: 0, maxSequences: 2, experts });
  async function answer(model: Model) {
    const stream = model.generate(prompt, { maxTokens: 24, ignoreEos: true, temperature: 0 });
    const tokens: number[] = [];
    for await (const token of stream) tokens.push(token);
    return { tokens, use: stream.stats.experts };
  }

  it('reads less and says what it changed; without it, and with all in memory, nothing is', async () => {
    const [lossless, lossy, again, roomy] = await Promise.all(
      [
        { bytes: 20 * block },
        { bytes: 20 * block, preferResident: 0.5, dropMisses: 0.3 },
        { bytes: 20 * block, preferResident: 0.5, dropMisses: 0.3 },
        { residency: 'resident', preferResident: 1, dropMisses: 0.9 } as const,
      ].map(async (options) => {
        using model = await open(options);
        return { ...(await answer(model)), status: model.status().experts };
      }),
    );
    expect(lossless?.use?.substituted).toBeUndefined();
    expect(lossless?.status).toMatchObject({ choices: 0, swapped: 0, dropped: 0 });
    expect(roomy?.tokens).toEqual(lossless?.tokens);
    expect(lossy?.use?.substituted).toBeGreaterThan(0);
    expect(lossy?.use?.substituted).toBeLessThan(1);
    expect(lossy?.use?.bytesRead).toBeLessThan(lossless?.use?.bytesRead ?? 0);
    expect(lossy?.status?.last).toEqual(lossy?.use);
    expect(again?.tokens).toEqual(lossy?.tokens);
    expect(again?.status?.swapped).toBe(lossy?.status?.swapped);
  });

  it('refuses shares that are none', async () => {
    for (const experts of [{ preferResident: 1.5 }, { dropMisses: 1 }, { dropMisses: -0.1 }])
      await expect(open(experts)).rejects.toMatchObject({ code: 'invalid_argument' });
  });
});
