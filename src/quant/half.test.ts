import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { bf16ToF32, bitsToF32, f16ToF32, f32ToBf16, f32ToBits, f32ToF16 } from './half.ts';

const golden = JSON.parse(
  readFileSync(new URL('../../tests/goldens/quant/half.json', import.meta.url), 'utf8'),
) as Record<'f32' | 'f16' | 'bf16', string>;
const words = (text: string, bytes: 2 | 4): number[] => {
  const data = Buffer.from(text, 'base64');
  return Array.from({ length: data.length / bytes }, (_, i) => data.readUIntLE(i * bytes, bytes));
};

describe('half floats', () => {
  it('round as numpy and torch do', () => {
    const values = words(golden.f32, 4);
    expect(values.length).toBeGreaterThan(1900);
    expect(values.map((bits) => f32ToF16(bitsToF32(bits)))).toEqual(words(golden.f16, 2));
    expect(values.map((bits) => f32ToBf16(bitsToF32(bits)))).toEqual(words(golden.bf16, 2));
  });

  it('survive a round trip, every one of them', () => {
    for (let bits = 0; bits < 65536; bits++) {
      const half = f16ToF32(bits);
      if (Number.isNaN(half)) expect((bits & 0x7c00) === 0x7c00 && (bits & 0x3ff) !== 0).toBe(true);
      else if (f32ToF16(half) !== bits) expect.fail(`f16 ${bits.toString(16)}`);
      const brain = bf16ToF32(bits);
      if (Number.isNaN(brain)) expect((bits & 0x7f80) === 0x7f80 && (bits & 0x7f) !== 0).toBe(true);
      else if (f32ToBf16(brain) !== bits) expect.fail(`bf16 ${bits.toString(16)}`);
    }
  });

  it('keep specials', () => {
    expect(f32ToF16(65519)).toBe(0x7bff);
    expect(f32ToF16(65520)).toBe(0x7c00);
    expect(f32ToF16(-0)).toBe(0x8000);
    expect(f32ToF16(2 ** -25)).toBe(0); // tie to even
    expect(f32ToF16(1.5 * 2 ** -25)).toBe(1);
    expect(f16ToF32(f32ToF16(Number.NaN))).toBeNaN();
    expect(bf16ToF32(f32ToBf16(bitsToF32(0x7f800001)))).toBeNaN();
    expect(f32ToBits(-0)).toBe(0x80000000);
  });
});
