// 4-bit floats e2m1 with 8-bit scales. GGUF MXFP4: blocks of 32 columns with a power of two; NVFP4: 64 columns in four groups
// of 16, each with an unsigned e4m3. MLX and GPT-OSS store the same numbers as words.

import { range } from '../format.ts';
import { bitsToFloat, e4m3ToF32, f32ToE4m3, floatToBits } from '../half.ts';
import { checkedLayout, layoutOf, quantizedSpec } from '../layout.ts';
import { tableGrid } from '../search.ts';
import { blockFormat, readNibbles, writeNibbles } from './block.ts';
import { wordsFormat } from './words.ts';

const grid = tableGrid(quantizedSpec('mxfp4')?.table ?? []);

export const mxfp4 = blockFormat({
  name: 'mxfp4',
  code: 18,
  gguf: 39,
  blockElements: 32,
  blockBytes: 17,
  layout: layoutOf('mxfp4'),
  readBlock(bytes, at, out, column, meta) {
    out.meta[meta] = bytes[at] as number;
    readNibbles(bytes, at + 1, out.codes, column);
  },
  writeBlock(values, column, bytes, at) {
    const peak = Math.abs(range(values, column, 32).peak);
    const exponent = peak > 0 ? Math.max(0, Math.floor(Math.log2(peak)) - 2 + 127) : 0;
    bytes[at] = exponent;
    const scale = bitsToFloat('e8m0', exponent);
    writeNibbles(bytes, at + 1, (i) => grid.nearest((values[column + i] as number) / scale));
  },
});

/** Bits of an f16 for each byte of a scale. Bit 7 does not count, but for 0x7f, which is zero as GGUF has it. */
const halves = Uint16Array.from({ length: 256 }, (_, byte) => {
  if (byte === 0x7f) return 0;
  return floatToBits('f16', byte === 0xff ? 480 : e4m3ToF32(byte & 0x7f));
});

export const nvfp4 = blockFormat({
  name: 'nvfp4',
  gguf: 40,
  code: 19,
  blockElements: 64,
  blockBytes: 36,
  layout: checkedLayout('nvfp4', 16, 'f16'),
  readBlock(bytes, at, out, column, meta) {
    for (let g = 0; g < 4; g++) {
      out.meta[meta + g] = halves[bytes[at + g] as number] as number;
      for (let i = 0; i < 8; i++) {
        const byte = bytes[at + 4 + 8 * g + i] as number;
        out.codes[column + 16 * g + i] = byte & 15;
        out.codes[column + 16 * g + 8 + i] = byte >> 4;
      }
    }
  },
  writeBlock(values, column, bytes, at) {
    for (let g = 0; g < 4; g++) {
      const from = column + 16 * g;
      const stored = f32ToE4m3(Math.abs(range(values, from, 16).peak) / 6);
      bytes[at + g] = stored;
      const half = e4m3ToF32(stored) / 2;
      const code = (i: number): number =>
        half === 0 ? 0 : grid.nearest((values[from + i] as number) / half);
      for (let i = 0; i < 8; i++) bytes[at + 4 + 8 * g + i] = code(i) | (code(8 + i) << 4);
    }
  },
});

/** MLX's and GPT-OSS's forms: codes in the order of the columns, scales in a tensor of their own. */
export const mlxMxfp4 = wordsFormat('mlx-mxfp4', layoutOf('mxfp4'));
export const mlxMxfp8 = wordsFormat('mlx-mxfp8', layoutOf('mxfp8'));
export const mlxNvfp4 = wordsFormat('mlx-nvfp4', checkedLayout('nvfp4', 16, 'e4m3'));
