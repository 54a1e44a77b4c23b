// GGUF Q6_K: super-blocks of 256 columns in 16 groups of 16; w = (d sc)(u - 32) with signed 8-bit sc. A super-block is
// low nibbles [128], high bit pairs [64], sc [16], f16 d; each half of it holds 128 columns in four runs of 32.

import { readU16, writeU16 } from '../format.ts';
import { layoutOf } from '../layout.ts';
import { superQuantizer } from '../super-block.ts';
import { blockFormat } from './block.ts';

const quantize = superQuantizer(layoutOf('q6k'), { low: -128, high: 127 }, 'square');

const highAt = 128;
const scalesAt = 192;
const dAt = 208;

/** Where the code of column `i` of a super-block lies: byte and shift of its low nibble and of its high pair. */
function place(i: number): { low: number; lowShift: number; high: number; highShift: number } {
  const half = i >> 7;
  const run = (i >> 5) & 3;
  const lane = i & 31;
  return {
    low: half * 64 + (run & 1) * 32 + lane,
    lowShift: run >= 2 ? 4 : 0,
    high: highAt + half * 32 + lane,
    highShift: 2 * run,
  };
}
const places = Array.from({ length: 256 }, (_, i) => place(i));

export const q6_k = blockFormat({
  name: 'q6_k',
  code: 8,
  gguf: 14,
  blockElements: 256,
  blockBytes: 210,
  layout: layoutOf('q6k'),
  readBlock(bytes, at, out, column, meta) {
    out.meta[meta] = readU16(bytes, at + dAt);
    for (let j = 0; j < 16; j++) out.meta[meta + 1 + j] = bytes[at + scalesAt + j] as number;
    places.forEach(({ low, lowShift, high, highShift }, i) => {
      const lowBits = ((bytes[at + low] as number) >> lowShift) & 15;
      out.codes[column + i] = lowBits | ((((bytes[at + high] as number) >> highShift) & 3) << 4);
    });
  },
  writeBlock(values, column, bytes, at) {
    const block = quantize(values, column);
    writeU16(bytes, at + dAt, block.d);
    bytes.set(
      block.steps.map((step) => step & 255),
      at + scalesAt,
    );
    places.forEach(({ low, lowShift, high, highShift }, i) => {
      const code = block.codes[i] as number;
      bytes[at + low] = (bytes[at + low] as number) | ((code & 15) << lowShift);
      bytes[at + high] = (bytes[at + high] as number) | ((code >> 4) << highShift);
    });
  },
});
