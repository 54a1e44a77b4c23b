// GGUF Q5_1: blocks of 32 columns, f16 scale and minimum, 5-bit codes; w = d q + m.

import { clamp, range, readU16, writeU16 } from '../format.ts';
import { f32ToF16 } from '../half.ts';
import { affineLayout } from '../layout.ts';
import { blockFormat, readFives, writeFives } from './block.ts';

export const q5_1 = blockFormat({
  name: 'q5_1',
  code: 12,
  gguf: 7,
  blockElements: 32,
  blockBytes: 24,
  layout: affineLayout(5, 32, 'f16'),
  readBlock(bytes, at, out, column, meta) {
    out.meta[meta] = readU16(bytes, at);
    out.meta[meta + 1] = readU16(bytes, at + 2);
    readFives(bytes, at + 4, out.codes, column);
  },
  writeBlock(values, column, bytes, at) {
    const { min, max } = range(values, column, 32);
    const scale = Math.fround(Math.fround(max - min) / 31);
    const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
    writeU16(bytes, at, f32ToF16(scale));
    writeU16(bytes, at + 2, f32ToF16(min));
    writeFives(bytes, at + 4, (i) => {
      const scaled = Math.fround(Math.fround((values[column + i] as number) - min) * inverse);
      return clamp(Math.trunc(Math.fround(scaled + 0.5)), 0, 31);
    });
  },
});
