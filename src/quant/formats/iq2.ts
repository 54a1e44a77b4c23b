// GGUF IQ2_XXS, IQ2_XS and IQ2_S: eight columns are a point of a lattice of magnitudes 8, 25 and 43 with signs; groups of 16 or 32
// columns have 4-bit scales, w = d (2 sc + 1) / 8 · point. Packed as 4-bit codes of the six signed magnitudes, exactly.

import { type RowForm, readU16, readU32 } from '../format.ts';
import { iq2s, iq2xs, iq2xxs } from '../grids.ts';
import { evenSigns, lattice, putPoint } from '../lattice.ts';
import { layoutOf } from '../layout.ts';
import { blockFormat } from './block.ts';

const layout = layoutOf('iq2');
/** Codes of negative magnitudes follow those of positive ones. */
const negative = 3;
const points = { xxs: lattice(iq2xxs, 8), xs: lattice(iq2xs, 8), s: lattice(iq2s, 8) };

/** The odd steps of the 16 groups of 16 columns; `scale(j)` are four bits. */
function writeSteps(out: RowForm, meta: number, scale: (j: number) => number): void {
  for (let j = 0; j < 16; j++) out.meta[meta + 1 + j] = 2 * scale(j) + 1;
}

export const iq2_xxs = blockFormat({
  name: 'iq2_xxs',
  gguf: 16,
  blockElements: 256,
  blockBytes: 66,
  layout,
  readBlock(bytes, at, out, column, meta) {
    out.meta[meta] = readU16(bytes, at);
    const word = (j: number): number => readU32(bytes, at + 2 + 8 * j + 4); // of 32 columns: signs, then the scale
    writeSteps(out, meta, (j) => word(j >> 1) >>> 28);
    for (let i = 0; i < 32; i++) {
      const point = bytes[at + 2 + 8 * (i >> 2) + (i & 3)] as number;
      const signs = evenSigns((word(i >> 2) >>> (7 * (i & 3))) & 127);
      putPoint(out.codes, column + 8 * i, points.xxs, point, signs, negative);
    }
  },
});

export const iq2_xs = blockFormat({
  name: 'iq2_xs',
  gguf: 17,
  blockElements: 256,
  blockBytes: 74,
  layout,
  readBlock(bytes, at, out, column, meta) {
    out.meta[meta] = readU16(bytes, at);
    writeSteps(out, meta, (j) => ((bytes[at + 66 + (j >> 1)] as number) >> (4 * (j & 1))) & 15);
    for (let i = 0; i < 32; i++) {
      const word = readU16(bytes, at + 2 + 2 * i);
      putPoint(out.codes, column + 8 * i, points.xs, word & 511, evenSigns(word >> 9), negative);
    }
  },
});

export const iq2_s = blockFormat({
  name: 'iq2_s',
  gguf: 22,
  blockElements: 256,
  blockBytes: 82,
  layout,
  readBlock(bytes, at, out, column, meta) {
    out.meta[meta] = readU16(bytes, at);
    writeSteps(out, meta, (j) => ((bytes[at + 74 + (j >> 1)] as number) >> (4 * (j & 1))) & 15);
    for (let i = 0; i < 32; i++) {
      const high = ((bytes[at + 66 + (i >> 2)] as number) >> (2 * (i & 3))) & 3;
      const point = (bytes[at + 2 + i] as number) | (high << 8);
      putPoint(out.codes, column + 8 * i, points.s, point, bytes[at + 34 + i] as number, negative);
    }
  },
});
