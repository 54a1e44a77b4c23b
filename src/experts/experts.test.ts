import { describe, expect, it } from 'vitest';
import { hotThatFit } from '../engine/open-experts.ts';
import { lruMissRate, outlookOf } from './outlook.ts';
import { addRouting, checkRouting, mostChosen, type RoutingStatistics, shareOfBusiest } from './routing.ts';

const statistics: RoutingStatistics = {
  tokens: 10,
  layers: [
    { name: 'model.layers.0', chosen: [7, 0, 3, 10] },
    { name: 'model.layers.2', chosen: [5, 5, 5, 5] },
  ],
};
const sizes = statistics.layers.map(({ name, chosen }) => ({
  name,
  experts: chosen.length,
  blockBytes: 4096,
}));

describe('routing statistics', () => {
  it('tell which experts are busiest', () => {
    expect(mostChosen(statistics, 3)).toEqual([
      { layer: 0, expert: 3 },
      { layer: 0, expert: 0 },
      { layer: 1, expert: 0 },
    ]);
    expect(mostChosen(statistics, 0)).toEqual([]);
    expect(statistics.layers.map((layer) => shareOfBusiest(layer, 0.5))).toEqual([0.85, 0.5]);
    expect(shareOfBusiest({ name: 'x', chosen: [0, 0] }, 0.5)).toBe(0);
  });

  it('add up for one model and are refused for another', () => {
    expect(addRouting(statistics, statistics)).toMatchObject({
      tokens: 20,
      layers: [{ chosen: [14, 0, 6, 20] }, { chosen: [10, 10, 10, 10] }],
    });
    expect(() => checkRouting(statistics, sizes.slice(1))).toThrow(
      'of another model: 2 layers of 4 experts, this one has 1 layers of 4 experts',
    );
    const other = { tokens: 1, layers: statistics.layers.map((layer) => ({ ...layer, chosen: [1] })) };
    expect(() => addRouting(statistics, other)).toThrow('another model');
  });

  it('leave room for one choice beside the hot experts', () => {
    const kept = (share: number, bytes: number): number =>
      hotThatFit(statistics, sizes, { share, bytes, expertsPerToken: 2 }).length;
    expect(kept(0.5, 8 * 4096)).toBe(4);
    expect(kept(1, 8 * 4096)).toBe(6);
    expect(kept(1, 4 * 4096)).toBe(2);
    expect(kept(1, 2 * 4096)).toBe(0);
    // Blocks of another size have slots of their own.
    const mixed = sizes.map((layer, i) => ({ ...layer, blockBytes: 4096 * (i + 1) }));
    const hot = hotThatFit(statistics, mixed, { share: 1, bytes: 12 * 4096, expertsPerToken: 1 });
    expect(hot.filter(({ layer }) => layer === 1)).toHaveLength(3);
  });
});

/** Misses of an LRU of `room` experts over draws from `demand`, one token after the other. */
function simulated(demand: readonly (readonly number[])[], room: number): number {
  let state = 12345;
  const uniform = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const cache = new Map<string, true>();
  let [misses, requests] = [0, 0];
  for (let token = 0; token < 4000; token++) {
    for (const [layer, experts] of demand.entries()) {
      for (const [expert, q] of experts.entries()) {
        if (uniform() >= q) continue;
        const key = `${layer} ${expert}`;
        if (token > 500) requests++;
        if (!cache.delete(key) && token > 500) misses++;
        cache.set(key, true);
        for (const old of cache.keys()) {
          if (cache.size <= room) break;
          cache.delete(old);
        }
      }
    }
  }
  return misses / requests;
}

describe('the outlook', () => {
  const even = Array.from({ length: 4 }, () => Array.from({ length: 32 }, () => 4 / 32));
  const skewed = even.map((experts) => experts.map((_, e) => Math.min(1, 1.2 / (1 + e * 0.4))));

  it('foresees the misses of an LRU', () => {
    for (const demand of [even, skewed])
      for (const held of [0.2, 0.5, 0.8])
        expect(lruMissRate(demand, held)).toBeCloseTo(simulated(demand, held * 128), 1);
    expect(lruMissRate(even, 1)).toBe(0);
    expect(lruMissRate(even, 0.1)).toBe(1); // less than one token's
    expect(lruMissRate(skewed, 0.3)).toBeLessThan(lruMissRate(even, 0.3));
  });

  it('is what the slower of disk and memory allows', () => {
    const machine = { diskBytesPerSecond: 2e9, memoryBytesPerSecond: 40e9 };
    const model = { demand: even, cycleBytes: 1e9, activeBytes: 2e9 };
    expect(outlookOf({ ...machine, ...model, held: 1 })).toMatchObject({
      missRate: 0,
      disk: Number.POSITIVE_INFINITY,
      memory: 20,
      ceiling: 20,
    });
    expect(outlookOf({ ...machine, ...model, held: 0.1 })).toMatchObject({
      missRate: 1,
      disk: 2,
      ceiling: 2,
    });
    // A step with everything there, and the reads of four layers: all four experts of each, or one of them at most.
    const reads = { expertsPerToken: 4, readSeconds: [0.1, 0.2, 0.3, 0.4] };
    const step = 1 / (0.9 * 20) + 5e-4;
    const multiply = 1e9 / (0.9 * 40e9) / 4; // of a layer's four experts
    const expected = (held: number, counted = false): number =>
      outlookOf({ ...machine, ...model, ...reads, held, counted }).expected;
    expect(expected(0.1)).toBeCloseTo(1 / (step + 4 * 0.4), 6);
    expect(expected(1)).toBeCloseTo(1 / step, 6);
    // A GPU stops at each layer, unless everything is there.
    const stopping = (held: number): number =>
      outlookOf({ ...machine, ...model, ...reads, held, stopSeconds: 0.01 }).expected;
    expect(stopping(0.1)).toBeCloseTo(1 / (step + 4 * 0.41), 6);
    expect(stopping(1)).toBeCloseTo(expected(1), 6);
    // Mean of what is read, less what is multiplied meanwhile: the experts of the layer that are there, unless all are.
    const { missRate } = outlookOf({ ...machine, ...model, held: 0.5 });
    const waits = (p: number): number => 4 * (0.4 * p - multiply * (1 - p - (1 - p) ** 4));
    expect(expected(0.5)).toBeCloseTo(1 / (step + waits(missRate)), 6);
    expect(expected(0.5, true)).toBeCloseTo(1 / (step + waits(0.75 * missRate)), 6);
    // What was counted in runs says what is missed: a quarter of the choices come back within a tenth of all experts, the rest within 0.6.
    const distances = Array.from({ length: 10 }, (_, bin) => (bin === 0 ? 300 : bin === 5 ? 900 : 0));
    const missed = (held: number): number => outlookOf({ ...machine, ...model, held, distances }).missRate;
    expect([missed(0.13), missed(0.5), missed(0.55), missed(0.6), missed(0.1)]).toEqual([
      0.75,
      0.75,
      expect.closeTo(0.375),
      expect.closeTo(0),
      1, // less than one token's experts
    ]);
  });
});
