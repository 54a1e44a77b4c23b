// GGUF Q8_0: blocks of 32 columns, f16 scale and signed bytes; w = d q. Packed codes are q + 128.

import { clamp, range, readU16, writeU16 } from '../format.ts';
import { f32ToF16 } from '../half.ts';
import { layoutOf } from '../layout.ts';
import { blockFormat } from './block.ts';

/** Rounds halves away from zero. */
const roundAway = (value: number): number => Math.sign(value) * Math.floor(Math.abs(value) + 0.5);

export const q8_0 = blockFormat({
  name: 'q8_0',
  code: 5,
  gguf: 8,
  blockElements: 32,
  blockBytes: 34,
  layout: layoutOf('q8'),
  readBlock(bytes, at, out, column, meta) {
    out.meta[meta] = readU16(bytes, at);
    for (let i = 0; i < 32; i++) out.codes[column + i] = (bytes[at + 2 + i] as number) ^ 0x80;
  },
  writeBlock(values, column, bytes, at) {
    const scale = Math.fround(Math.abs(range(values, column, 32).peak) / 127);
    const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
    writeU16(bytes, at, f32ToF16(scale));
    for (let i = 0; i < 32; i++) {
      const scaled = Math.fround((values[column + i] as number) * inverse);
      bytes[at + 2 + i] = clamp(roundAway(scaled), -128, 127);
    }
  },
});
