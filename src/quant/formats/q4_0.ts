// GGUF Q4_0: blocks of 32 columns, f16 scale and 4-bit codes; w = d (q - 8).

import { clamp, range, readU16, writeU16 } from '../format.ts';
import { f32ToF16 } from '../half.ts';
import { layoutOf } from '../layout.ts';
import { blockFormat, readNibbles, writeNibbles } from './block.ts';

export const q4_0 = blockFormat({
  name: 'q4_0',
  code: 3,
  gguf: 2,
  blockElements: 32,
  blockBytes: 18,
  layout: layoutOf('q4'),
  readBlock(bytes, at, out, column, meta) {
    out.meta[meta] = readU16(bytes, at);
    readNibbles(bytes, at + 2, out.codes, column);
  },
  // The largest magnitude maps to code 0 exactly, so the scale has the opposite sign.
  writeBlock(values, column, bytes, at) {
    const scale = Math.fround(range(values, column, 32).peak / -8);
    const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
    writeU16(bytes, at, f32ToF16(scale));
    writeNibbles(bytes, at + 2, (i) => {
      const scaled = Math.fround((values[column + i] as number) * inverse);
      return clamp(Math.trunc(Math.fround(scaled + 8.5)), 0, 15);
    });
  },
});
