// GGUF IQ4_NL and IQ4_XS: 4-bit codes that stand for 16 uneven numbers. IQ4_NL has blocks of 32 with an f16 scale; IQ4_XS
// super-blocks of 256 in 8 groups of 32, w = (d (sc - 32)) table[q] with 6-bit sc.

import { readU16, writeU16 } from '../format.ts';
import { layoutOf, quantizedSpec } from '../layout.ts';
import { fitScale, halfNear, tableGrid, weigh } from '../search.ts';
import { superQuantizer } from '../super-block.ts';
import { blockFormat, readNibbles, writeNibbles } from './block.ts';

const grid = tableGrid(quantizedSpec('iq4nl')?.table ?? []);
const quantize = superQuantizer(layoutOf('iq4xs'), { low: -32, high: 31 }, 'square');

export const iq4_nl = blockFormat({
  name: 'iq4_nl',
  code: 16,
  gguf: 20,
  blockElements: 32,
  blockBytes: 18,
  layout: layoutOf('iq4nl'),
  readBlock(bytes, at, out, column, meta) {
    out.meta[meta] = readU16(bytes, at);
    readNibbles(bytes, at + 2, out.codes, column);
  },
  writeBlock(values, column, bytes, at) {
    const block = values.slice(column, column + 32);
    const weights = new Float64Array(32);
    weigh('square', block, 0, 32, weights);
    const d = halfNear(fitScale({ values: block, weights, from: 0, count: 32 }, grid));
    writeU16(bytes, at, d.bits);
    const inverse = d.value === 0 ? 0 : 1 / d.value;
    writeNibbles(bytes, at + 2, (i) => grid.nearest((block[i] as number) * inverse));
  },
});

/** Places in a block of IQ4_XS, which starts with d: high pairs and low nibbles of the scales, then codes. */
const places = { high: 2, low: 4, codes: 8 } as const;

export const iq4_xs = blockFormat({
  name: 'iq4_xs',
  code: 17,
  gguf: 23,
  blockElements: 256,
  blockBytes: 136,
  layout: layoutOf('iq4xs'),
  readBlock(bytes, at, out, column, meta) {
    out.meta[meta] = readU16(bytes, at);
    const high = readU16(bytes, at + places.high);
    for (let j = 0; j < 8; j++) {
      const low = ((bytes[at + places.low + (j >> 1)] as number) >> (4 * (j & 1))) & 15;
      out.meta[meta + 1 + j] = ((low | (((high >> (2 * j)) & 3) << 4)) - 32) & 255;
      readNibbles(bytes, at + places.codes + 16 * j, out.codes, column + 32 * j);
    }
  },
  writeBlock(values, column, bytes, at) {
    const block = quantize(values, column);
    writeU16(bytes, at, block.d);
    let high = 0;
    block.steps.forEach((step, j) => {
      const low = at + places.low + (j >> 1);
      bytes[low] = (bytes[low] as number) | (((step + 32) & 15) << (4 * (j & 1)));
      high |= ((step + 32) >> 4) << (2 * j);
      writeNibbles(bytes, at + places.codes + 16 * j, (i) => block.codes[32 * j + i] as number);
    });
    writeU16(bytes, at + places.high, high);
  },
});
