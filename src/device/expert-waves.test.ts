import { describe, expect, it } from 'vitest';
import { expertWaves, type Room, rowWaves, type Wave } from './expert-waves.ts';

const none = (): boolean => false;
const room = (most: number, more: Partial<Room> = {}): Room => ({
  most,
  isFree: none,
  isThere: none,
  ...more,
});
const chosen = (rows: readonly (readonly number[])[]) => ({
  ids: Int32Array.from(rows.flat()),
  topk: rows[0]?.length ?? 1,
});
const places = (waves: readonly Wave[], count: number): number[][] =>
  waves.map((wave) => Array.from({ length: count }, (_, i) => i).filter((i) => wave.has(i)));

const rows = [
  [0, 1],
  [2, 3],
  [1, 0],
  [4, 0],
];

describe('waves of experts', () => {
  it('have each expert once, those that are there first', () => {
    const waves = expertWaves(chosen(rows), room(2, { isThere: (e) => e > 2 }));
    expect(waves.map(({ experts }) => experts)).toEqual([[3, 4], [0, 1], [2]]);
    expect(
      places(waves, 8)
        .flat()
        .toSorted((a, b) => a - b),
    ).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    const hot = expertWaves(chosen(rows), room(4, { isFree: (e) => e === 0 }));
    expect(hot.map(({ experts }) => experts)).toEqual([[0, 1, 2, 3, 4]]);
  });

  it('of whole rows share experts where they can', () => {
    const waves = rowWaves(chosen(rows), room(3));
    expect(waves.map(({ experts }) => experts)).toEqual([
      [0, 1, 4],
      [2, 3],
    ]);
    expect(places(waves, 8)).toEqual([
      [0, 1, 4, 5, 6, 7],
      [2, 3],
    ]);
    const [first] = rowWaves(chosen(rows), room(2, { isThere: (e) => e === 2 || e === 3 }));
    expect(first?.experts).toEqual([2, 3]);
    expect(rowWaves(chosen(rows), room(2, { isFree: (e) => e < 2 }))).toHaveLength(2);
  });
});
