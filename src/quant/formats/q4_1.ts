// GGUF Q4_1 and Q5_1: blocks of 32 columns, f16 scale and minimum, codes of 4 or 5 bits; w = d q + m.

import { clamp, range, readU16, writeU16 } from '../format.ts';
import { f32ToF16 } from '../half.ts';
import { affineLayout } from '../layout.ts';
import { blockFormat, readFives, readNibbles, writeFives, writeNibbles } from './block.ts';

const four = { bits: 4, bytes: 16, read: readNibbles, write: writeNibbles } as const;
const five = { bits: 5, bytes: 20, read: readFives, write: writeFives } as const;

function affine(name: string, code: number, gguf: number, codes: typeof four | typeof five) {
  const highest = 2 ** codes.bits - 1;
  return blockFormat({
    name,
    code,
    gguf,
    blockElements: 32,
    blockBytes: 4 + codes.bytes,
    layout: affineLayout(codes.bits, 32, 'f16'),
    readBlock(bytes, at, out, column, meta) {
      out.meta[meta] = readU16(bytes, at);
      out.meta[meta + 1] = readU16(bytes, at + 2);
      codes.read(bytes, at + 4, out.codes, column);
    },
    writeBlock(values, column, bytes, at) {
      const { min, max } = range(values, column, 32);
      const scale = Math.fround(Math.fround(max - min) / highest);
      const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
      writeU16(bytes, at, f32ToF16(scale));
      writeU16(bytes, at + 2, f32ToF16(min));
      codes.write(bytes, at + 4, (i) => {
        const scaled = Math.fround(Math.fround((values[column + i] as number) - min) * inverse);
        return clamp(Math.trunc(Math.fround(scaled + 0.5)), 0, highest);
      });
    },
  });
}

export const q4_1 = affine('q4_1', 4, 3, four);
export const q5_1 = affine('q5_1', 12, 7, five);
