// GGUF Q5_0: blocks of 32 columns, f16 scale and 5-bit codes; w = d (q - 16).

import { clamp, range, readU16, writeU16 } from '../format.ts';
import { f32ToF16 } from '../half.ts';
import { layoutOf } from '../layout.ts';
import { blockFormat, readFives, writeFives } from './block.ts';

export const q5_0 = blockFormat({
  name: 'q5_0',
  code: 11,
  gguf: 6,
  blockElements: 32,
  blockBytes: 22,
  layout: layoutOf('q5'),
  readBlock(bytes, at, out, column, meta) {
    out.meta[meta] = readU16(bytes, at);
    readFives(bytes, at + 2, out.codes, column);
  },
  // As Q4_0: the largest magnitude maps to code 0 exactly.
  writeBlock(values, column, bytes, at) {
    const scale = Math.fround(range(values, column, 32).peak / -16);
    const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
    writeU16(bytes, at, f32ToF16(scale));
    writeFives(bytes, at + 2, (i) => {
      const scaled = Math.fround((values[column + i] as number) * inverse);
      return clamp(Math.trunc(Math.fround(scaled + 16.5)), 0, 31);
    });
  },
});
