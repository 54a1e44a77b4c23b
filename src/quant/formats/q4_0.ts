// GGUF Q4_0 and Q5_0: blocks of 32 columns, f16 scale and codes of 4 or 5 bits; w = d (q - half), half being that of the codes' range.

import { clamp, range, readU16, writeU16 } from '../format.ts';
import { f32ToF16 } from '../half.ts';
import { layoutOf } from '../layout.ts';
import { blockFormat, readFives, readNibbles, writeFives, writeNibbles } from './block.ts';

const four = { bits: 4, bytes: 16, read: readNibbles, write: writeNibbles };
const five = { bits: 5, bytes: 20, read: readFives, write: writeFives };

function symmetric(name: string, code: number, gguf: number, codes: typeof four) {
  const half = 2 ** (codes.bits - 1);
  return blockFormat({
    name,
    code,
    gguf,
    blockElements: 32,
    blockBytes: 2 + codes.bytes,
    layout: layoutOf(codes === four ? 'q4' : 'q5'),
    readBlock(bytes, at, out, column, meta) {
      out.meta[meta] = readU16(bytes, at);
      codes.read(bytes, at + 2, out.codes, column);
    },
    // The largest magnitude maps to code 0 exactly, so the scale has the opposite sign.
    writeBlock(values, column, bytes, at) {
      const scale = Math.fround(range(values, column, 32).peak / -half);
      const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
      writeU16(bytes, at, f32ToF16(scale));
      codes.write(bytes, at + 2, (i) => {
        const scaled = Math.fround((values[column + i] as number) * inverse);
        return clamp(Math.trunc(Math.fround(scaled + half + 0.5)), 0, 2 * half - 1);
      });
    },
  });
}

export const q4_0 = symmetric('q4_0', 3, 2, four);
export const q5_0 = symmetric('q5_0', 11, 6, five);
