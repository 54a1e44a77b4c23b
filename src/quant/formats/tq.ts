// GGUF TQ1_0 and TQ2_0: 256 columns of -1, 0 and 1 with one f16 scale; w = d (q - 1). They are packed as Q3_K, all of whose steps
// are then 1, which holds them exactly.

import { type RowForm, range, readU16, writeU16 } from '../format.ts';
import { f32ToF16 } from '../half.ts';
import { layoutOf, metaFields } from '../layout.ts';
import { blockFormat, readPairs, writePairs } from './block.ts';

const layout = layoutOf('q3k');

/** All steps are 1. */
function writeMeta(out: RowForm, meta: number, d: number): void {
  out.meta[meta] = d;
  out.meta.fill(1, meta + 1, meta + metaFields(layout).length);
}

/** The stored code of q = 0: what 3-bit codes have 4 for is 1 here. */
const lowest = 3;

/** Codes 0, 1, 2 of a block, and its scale's bits. */
function ternary(values: Float32Array, column: number): { d: number; code: (i: number) => number } {
  const peak = Math.abs(range(values, column, 256).peak);
  const inverse = peak === 0 ? 0 : 1 / peak;
  const away = (x: number): number => Math.sign(x) * Math.floor(Math.abs(x) + 0.5);
  return { d: f32ToF16(peak), code: (i) => away((values[column + i] as number) * inverse) + 1 };
}

export const tq2_0 = blockFormat({
  name: 'tq2_0',
  gguf: 35,
  blockElements: 256,
  blockBytes: 66,
  layout,
  readBlock(bytes, at, out, column, meta) {
    writeMeta(out, meta, readU16(bytes, at + 64));
    readPairs(bytes, at, out.codes, column);
    for (let i = 0; i < 256; i++) out.codes[column + i] = (out.codes[column + i] as number) + lowest;
  },
  writeBlock(values, column, bytes, at) {
    const { d, code } = ternary(values, column);
    writeU16(bytes, at + 64, d);
    writePairs(bytes, at, code);
  },
});

/** Five digits of base 3 in a byte (four in the last bytes), the first the highest: byte and digit of column i. */
const digits = Array.from({ length: 256 }, (_, i) => {
  if (i < 160) return { byte: i % 32, digit: Math.floor(i / 32) };
  if (i < 240) return { byte: 32 + ((i - 160) % 16), digit: Math.floor((i - 160) / 16) };
  return { byte: 48 + ((i - 240) % 4), digit: Math.floor((i - 240) / 4) };
});

export const tq1_0 = blockFormat({
  name: 'tq1_0',
  gguf: 34,
  blockElements: 256,
  blockBytes: 54,
  layout,
  readBlock(bytes, at, out, column, meta) {
    writeMeta(out, meta, readU16(bytes, at + 52));
    // A byte is its digits as a fraction of 256: times 3^digit, what overflows is past.
    digits.forEach(({ byte, digit }, i) => {
      out.codes[column + i] = (((((bytes[at + byte] as number) * 3 ** digit) & 255) * 3) >> 8) + lowest;
    });
  },
  writeBlock(values, column, bytes, at) {
    const { d, code } = ternary(values, column);
    writeU16(bytes, at + 52, d);
    const sums = new Uint8Array(52);
    digits.forEach(({ byte, digit }, i) => {
      sums[byte] = (sums[byte] as number) + code(i) * 3 ** (4 - digit);
    });
    sums.forEach((sum, byte) => {
      bytes[at + byte] = Math.floor((sum * 256 + 242) / 243);
    });
  },
});
