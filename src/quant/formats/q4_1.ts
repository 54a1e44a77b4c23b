// GGUF Q4_1: blocks of 32 columns, f16 scale and minimum, 4-bit codes; w = d q + m.

import { clamp, range, readU16, writeU16 } from '../format.ts';
import { f32ToF16 } from '../half.ts';
import { affineLayout } from '../layout.ts';
import { blockFormat, readNibbles, writeNibbles } from './block.ts';

export const q4_1 = blockFormat({
  name: 'q4_1',
  code: 4,
  gguf: 3,
  blockElements: 32,
  blockBytes: 20,
  layout: affineLayout(4, 32, 'f16'),
  readBlock(bytes, at, out, column, meta) {
    out.meta[meta] = readU16(bytes, at);
    out.meta[meta + 1] = readU16(bytes, at + 2);
    readNibbles(bytes, at + 4, out.codes, column);
  },
  writeBlock(values, column, bytes, at) {
    const { min, max } = range(values, column, 32);
    const scale = Math.fround(Math.fround(max - min) / 15);
    const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
    writeU16(bytes, at, f32ToF16(scale));
    writeU16(bytes, at + 2, f32ToF16(min));
    writeNibbles(bytes, at + 4, (i) => {
      const scaled = Math.fround(Math.fround((values[column + i] as number) - min) * inverse);
      return clamp(Math.trunc(Math.fround(scaled + 0.5)), 0, 15);
    });
  },
});
