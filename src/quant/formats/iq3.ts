// GGUF IQ3_XXS and IQ3_S: four columns are a point of a lattice of eight magnitudes with signs; groups of 32 columns have 4-bit
// scales. Packed as 4-bit codes of the sixteen signed magnitudes, exactly.

import { readU16, readU32 } from '../format.ts';
import { iq3s, iq3xxs } from '../grids.ts';
import { evenSigns, lattice, putPoint } from '../lattice.ts';
import { layoutOf } from '../layout.ts';
import { blockFormat } from './block.ts';

const negative = 8;
const points = { xxs: lattice(iq3xxs, 4), s: lattice(iq3s, 4) };

/** w = d (2 sc + 1) / 4 · point. */
export const iq3_xxs = blockFormat({
  name: 'iq3_xxs',
  gguf: 18,
  blockElements: 256,
  blockBytes: 98,
  layout: layoutOf('iq3xxs'),
  readBlock(bytes, at, out, column, meta) {
    out.meta[meta] = readU16(bytes, at);
    for (let j = 0; j < 8; j++) {
      const word = readU32(bytes, at + 66 + 4 * j);
      out.meta[meta + 1 + j] = 2 * (word >>> 28) + 1;
      for (let i = 0; i < 8; i++) {
        const signs = evenSigns((word >>> (7 * (i >> 1))) & 127) >> (4 * (i & 1));
        const point = bytes[at + 2 + 8 * j + i] as number;
        putPoint(out.codes, column + 32 * j + 4 * i, points.xxs, point, signs, negative);
      }
    }
  },
});

/** w = d (2 sc + 1) · point. Points have nine bits, the ninth in bytes of their own. */
export const iq3_s = blockFormat({
  name: 'iq3_s',
  gguf: 21,
  blockElements: 256,
  blockBytes: 110,
  layout: layoutOf('iq3s'),
  readBlock(bytes, at, out, column, meta) {
    out.meta[meta] = readU16(bytes, at);
    for (let j = 0; j < 8; j++) {
      const scale = ((bytes[at + 106 + (j >> 1)] as number) >> (4 * (j & 1))) & 15;
      out.meta[meta + 1 + j] = 2 * scale + 1;
      for (let i = 0; i < 8; i++) {
        const high = ((bytes[at + 66 + j] as number) >> i) & 1;
        const point = (bytes[at + 2 + 8 * j + i] as number) | (high << 8);
        const signs = (bytes[at + 74 + 4 * j + (i >> 1)] as number) >> (4 * (i & 1));
        putPoint(out.codes, column + 32 * j + 4 * i, points.s, point, signs, negative);
      }
    }
  },
});
