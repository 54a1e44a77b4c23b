import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  broadcastShapes,
  checkShape,
  concreteShape,
  countValue,
  dynDim,
  elementCount,
  normalizeAxis,
  rowMajorStrides,
} from './shape.ts';

const n = dynDim('n', 512);

describe('shapes', () => {
  it('counts elements with one dynamic size', () => {
    expect(elementCount([4, n, 3])).toEqual({ mul: 12, dyn: n });
    expect(countValue(elementCount([4, n, 3]), { n: 5 })).toBe(60);
    expect(countValue(elementCount([4, n, 3]))).toBe(12 * 512);
    expect(rowMajorStrides([4, n, 3])).toEqual([{ mul: 3, dyn: n }, { mul: 3 }, { mul: 1 }]);
    expect(concreteShape([2, n], { n: 0 })).toEqual([2, 0]);
  });

  it('refuses values beyond the capacity', () => {
    for (const value of [513, -1, 1.5, Number.NaN]) {
      expect(() => concreteShape([n], { n: value })).toThrow(/n is .*0 to its capacity 512/);
    }
    expect(() => concreteShape([n], {})).toThrow(/undefined/);
    expect(() => dynDim('', 4)).toThrow(/name/);
    expect(() => dynDim('m', 0)).toThrow(/positive/);
  });

  it('refuses shapes that cannot be', () => {
    expect(() => checkShape([n, dynDim('m', 3)], 'x')).toThrow(/x: .*more than one dynamic/);
    expect(() => checkShape([-1], 'x')).toThrow(/count of elements/);
    expect(() => checkShape([2 ** 30, 2 ** 30], 'x')).toThrow(/too many/);
    expect(() => normalizeAxis(2, 2, 'sum')).toThrow(/sum: axis 2/);
    expect(normalizeAxis(-1, 3, 'sum')).toBe(2);
  });

  it('broadcasts like NumPy', () => {
    expect(broadcastShapes([n, 1, 3], [4, 1], 'x')).toEqual([n, 4, 3]);
    expect(() => broadcastShapes([n], [4], 'x')).toThrow(/x: .*do not broadcast/);
  });

  it('broadcasting is symmetric and each operand broadcasts to the result', () => {
    const dim = fc.integer({ min: 1, max: 3 });
    const shapes = fc.array(dim, { maxLength: 4 });
    fc.assert(
      fc.property(shapes, shapes, (a, b) => {
        let result: readonly unknown[];
        try {
          result = broadcastShapes(a, b, 'x');
        } catch {
          expect(() => broadcastShapes(b, a, 'x')).toThrow();
          return;
        }
        expect(broadcastShapes(b, a, 'x')).toEqual(result);
        expect(broadcastShapes(a, result as number[], 'x')).toEqual(result);
      }),
    );
  });
});
