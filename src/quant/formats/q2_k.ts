// GGUF Q2_K and Q3_K: super-blocks of 256 columns in 16 groups of 16. Q2_K: w = (d sc) q - (dmin mn) with 4-bit sc and mn. Q3_K:
// w = (d (sc - 32))(q - 4) with 6-bit sc; the third bit of a code lies in a plane of its own.

import { readU16, writeU16 } from '../format.ts';
import { layoutOf } from '../layout.ts';
import { superQuantizer } from '../super-block.ts';
import { bitAt, blockFormat, orBit, readPairs, writePairs } from './block.ts';

const quantize2 = superQuantizer(layoutOf('q2k'), { low: 0, high: 15 }, 'even');
const quantize3 = superQuantizer(layoutOf('q3k'), { low: -32, high: 31 }, 'raised');

/** Places in a block of Q2_K, which starts with the scales. */
const two = { pairs: 16, d: 80, dmin: 82 } as const;
/** Places in a block of Q3_K, which starts with the plane of third bits. */
const three = { pairs: 32, scales: 96, d: 108 } as const;

export const q2_k = blockFormat({
  name: 'q2_k',
  code: 13,
  gguf: 10,
  blockElements: 256,
  blockBytes: 84,
  layout: layoutOf('q2k'),
  readBlock(bytes, at, out, column, meta) {
    out.meta[meta] = readU16(bytes, at + two.d);
    out.meta[meta + 1] = readU16(bytes, at + two.dmin);
    for (let j = 0; j < 16; j++) {
      const byte = bytes[at + j] as number;
      out.meta[meta + 2 + j] = byte & 15;
      out.meta[meta + 18 + j] = byte >> 4;
    }
    readPairs(bytes, at + two.pairs, out.codes, column);
  },
  writeBlock(values, column, bytes, at) {
    const block = quantize2(values, column);
    writeU16(bytes, at + two.d, block.d);
    writeU16(bytes, at + two.dmin, block.dmin);
    block.steps.forEach((step, j) => {
      bytes[at + j] = step | ((block.minimums[j] ?? 0) << 4);
    });
    writePairs(bytes, at + two.pairs, (i) => block.codes[i] as number);
  },
});

/** The 6-bit scale j: low nibbles in 8 bytes (first the low halves), high pairs in 4 more. */
const scaleAt = (bytes: Uint8Array, at: number, j: number): number => {
  const low = ((bytes[at + (j & 7)] as number) >> (j < 8 ? 0 : 4)) & 15;
  return low | ((((bytes[at + 8 + (j & 3)] as number) >> (2 * (j >> 2))) & 3) << 4);
};

export const q3_k = blockFormat({
  name: 'q3_k',
  code: 14,
  gguf: 11,
  blockElements: 256,
  blockBytes: 110,
  layout: layoutOf('q3k'),
  readBlock(bytes, at, out, column, meta) {
    out.meta[meta] = readU16(bytes, at + three.d);
    for (let j = 0; j < 16; j++) out.meta[meta + 1 + j] = (scaleAt(bytes, at + three.scales, j) - 32) & 255;
    readPairs(bytes, at + three.pairs, out.codes, column);
    for (let i = 0; i < 256; i++) {
      out.codes[column + i] = (out.codes[column + i] as number) | (bitAt(bytes, at, i) << 2);
    }
  },
  writeBlock(values, column, bytes, at) {
    const block = quantize3(values, column);
    writeU16(bytes, at + three.d, block.d);
    block.steps.forEach((step, j) => {
      const stored = step + 32;
      const low = at + three.scales + (j & 7);
      const high = at + three.scales + 8 + (j & 3);
      bytes[low] = (bytes[low] as number) | ((stored & 15) << (j < 8 ? 0 : 4));
      bytes[high] = (bytes[high] as number) | ((stored >> 4) << (2 * (j >> 2)));
    });
    writePairs(bytes, at + three.pairs, (i) => block.codes[i] as number);
    block.codes.forEach((code, i) => {
      orBit(bytes, at, i, code >> 2);
    });
  },
});
