// GGUF IQ1_S and IQ1_M: eight columns are a point of a lattice of -1, 0 and 1, shifted by 1/8 up or down; groups of 32 or 16 columns
// have 3-bit scales, w = d (2 sc + 1) (point ± 1/8). Packed as 4-bit codes of the six shifted numbers, exactly.

import { type RowForm, readU16 } from '../format.ts';
import { iq1s } from '../grids.ts';
import { lattice } from '../lattice.ts';
import { layoutOf } from '../layout.ts';
import { blockFormat } from './block.ts';

const layout = layoutOf('iq1');
const points = lattice(iq1s, 8);

/** The layout's numbers are in order: of each digit the lower and the upper shift. */
function writePoint(out: RowForm, column: number, point: number, up: boolean): void {
  for (let i = 0; i < 8; i++) {
    out.codes[column + i] = 2 * (points.indices[8 * point + i] as number) + (up ? 1 : 0);
  }
}

export const iq1_s = blockFormat({
  name: 'iq1_s',
  gguf: 19,
  blockElements: 256,
  blockBytes: 50,
  layout,
  readBlock(bytes, at, out, column, meta) {
    out.meta[meta] = readU16(bytes, at);
    for (let j = 0; j < 8; j++) {
      const word = readU16(bytes, at + 34 + 2 * j); // of 32 columns: high bits of four points, scale, shift
      out.meta.fill(2 * ((word >> 12) & 7) + 1, meta + 1 + 2 * j, meta + 3 + 2 * j);
      for (let i = 0; i < 4; i++) {
        const point = (bytes[at + 2 + 4 * j + i] as number) | (((word >> (3 * i)) & 7) << 8);
        writePoint(out, column + 32 * j + 8 * i, point, word < 0x8000);
      }
    }
  },
});

export const iq1_m = blockFormat({
  name: 'iq1_m',
  gguf: 29,
  blockElements: 256,
  blockBytes: 56,
  layout,
  readBlock(bytes, at, out, column, meta) {
    const word = (j: number): number => readU16(bytes, at + 48 + 2 * j); // four scales, and four bits of d on top
    let d = 0;
    for (let j = 0; j < 4; j++) d |= (word(j) >> 12) << (4 * j);
    out.meta[meta] = d;
    for (let j = 0; j < 16; j++) {
      out.meta[meta + 1 + j] = 2 * ((word(j >> 2) >> (3 * (j & 3))) & 7) + 1;
      for (let i = 0; i < 2; i++) {
        const high = ((bytes[at + 32 + j] as number) >> (4 * i)) & 15;
        const point = (bytes[at + 2 * j + i] as number) | ((high & 7) << 8);
        writePoint(out, column + 16 * j + 8 * i, point, high < 8);
      }
    }
  },
});
