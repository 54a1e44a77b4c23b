import { describe, expect, it } from 'vitest';
import { bitsToFloat } from '../half.ts';
import { bf16, f16, f32, floatValues } from './float.ts';
import { q4_0 } from './q4_0.ts';

describe('values of whole rows', () => {
  it.each([f16, bf16])('are those of each number, for every $name', (format) => {
    const words = Uint16Array.from({ length: 2 ** 16 }, (_, i) => i);
    const shifted = new Uint8Array(2 ** 17 + 1); // at an odd address
    shifted.set(new Uint8Array(words.buffer), 1);
    for (const bytes of [new Uint8Array(words.buffer), shifted.subarray(1)]) {
      const values = floatValues(format, bytes) ?? expect.fail('no values');
      const kind = format.name as 'f16' | 'bf16';
      expect(values.findIndex((value, i) => !Object.is(value, bitsToFloat(kind, i)))).toBe(-1);
    }
  });

  it('are a copy for f32, and none for blocks', () => {
    const source = Float32Array.of(1.5, -0, Number.POSITIVE_INFINITY);
    const values = floatValues(f32, new Uint8Array(source.buffer)) ?? expect.fail('no values');
    source.fill(0);
    expect([...values]).toEqual([1.5, -0, Number.POSITIVE_INFINITY]);
    expect(floatValues(q4_0, new Uint8Array(18))).toBeUndefined();
  });
});
