// GGUF Q4_K and Q5_K: super-blocks of 256 columns in 8 groups of 32; w = (d sc) q - (dmin mn), with 6-bit sc and mn for each
// group. Q5_K has the fifth bits between the scales and the nibbles.

import { writeU16 } from '../format.ts';
import { layoutOf } from '../layout.ts';
import { type SuperBlock, superQuantizer } from '../super-block.ts';
import { bitAt, blockFormat, orBit, readSixMeta, writeSixes } from './block.ts';

const scalesAt = 4;
const bitsAt = 16;
const nibblesAt = { q4_k: 16, q5_k: 48 } as const;
const steps = { low: 0, high: 63 };

/** Byte and shift of the low nibble of column i: 64 columns share 32 bytes. */
const nibbleByte = (i: number): number => (i >> 6) * 32 + (i & 31);
const nibbleShift = (i: number): number => ((i >> 5) & 1) * 4;

function writeSuperBlock(block: SuperBlock, bytes: Uint8Array, at: number, nibbles: number): void {
  writeU16(bytes, at, block.d);
  writeU16(bytes, at + 2, block.dmin);
  block.steps.forEach((step, j) => {
    writeSixes(bytes, at + scalesAt, j, step, block.minimums[j] ?? 0);
  });
  block.codes.forEach((code, i) => {
    const to = at + nibbles + nibbleByte(i);
    bytes[to] = (bytes[to] as number) | ((code & 15) << nibbleShift(i));
  });
}

const quantize4 = superQuantizer(layoutOf('q4k'), steps, 'level');
const quantize5 = superQuantizer(layoutOf('q5k'), steps, 'level');

export const q4_k = blockFormat({
  name: 'q4_k',
  code: 7,
  gguf: 12,
  blockElements: 256,
  blockBytes: 144,
  layout: layoutOf('q4k'),
  readBlock(bytes, at, out, column, meta) {
    readSixMeta(bytes, at, out, meta);
    for (let i = 0; i < 256; i++) {
      const byte = bytes[at + nibblesAt.q4_k + nibbleByte(i)] as number;
      out.codes[column + i] = (byte >> nibbleShift(i)) & 15;
    }
  },
  writeBlock(values, column, bytes, at) {
    writeSuperBlock(quantize4(values, column), bytes, at, nibblesAt.q4_k);
  },
});

export const q5_k = blockFormat({
  name: 'q5_k',
  code: 15,
  gguf: 13,
  blockElements: 256,
  blockBytes: 176,
  layout: layoutOf('q5k'),
  readBlock(bytes, at, out, column, meta) {
    readSixMeta(bytes, at, out, meta);
    for (let i = 0; i < 256; i++) {
      const byte = bytes[at + nibblesAt.q5_k + nibbleByte(i)] as number;
      out.codes[column + i] = ((byte >> nibbleShift(i)) & 15) | (bitAt(bytes, at + bitsAt, i) << 4);
    }
  },
  writeBlock(values, column, bytes, at) {
    const block = quantize5(values, column);
    writeSuperBlock(block, bytes, at, nibblesAt.q5_k);
    block.codes.forEach((code, i) => {
      orBit(bytes, at + bitsAt, i, code >> 4);
    });
  },
});
