import { describe, expect, it } from 'vitest';
import { compare, expectAllClose } from './allclose.ts';

describe('allclose', () => {
  it('accepts what is within the bound and reports the statistics', () => {
    const result = compare([1, 2.0001, 3], [1, 2, 3], { absolute: 0, relative: 1e-4 });
    expect(result.ok).toBe(true);
    expect(result.max).toBeCloseTo(1e-4, 8);
    expect(result.worst.index).toBe(1);
  });

  it('fails with the worst element', () => {
    expect(() => expectAllClose([1, 5, 3], [1, 2, 3], { absolute: 1, relative: 0 }, 'x')).toThrow(
      /x: max 3.00e\+0, .* worst at 1: got 5, want 2/,
    );
  });

  it('treats non-finite numbers exactly', () => {
    const bound = { absolute: 1e9, relative: 1 };
    const inf = Number.POSITIVE_INFINITY;
    expect(compare([inf, Number.NaN], [inf, Number.NaN], bound).ok).toBe(true);
    expect(compare([1], [inf], bound).ok).toBe(false);
    expect(compare([inf], [1], bound).ok).toBe(false);
    expect(compare([Number.NaN], [1], bound).ok).toBe(false);
    expect(compare([1], [Number.NaN], bound).ok).toBe(false);
    expect(() => compare([1], [1, 2], bound)).toThrow(/1 elements compared with 2/);
  });
});
