// GGUF Q4_K: super-blocks of 256 columns in 8 groups of 32; w = (d sc) q - (dmin mn), with 6-bit sc and mn for each group.

import { clamp, range, readU16, writeU16 } from '../format.ts';
import { f16ToF32, f32ToF16 } from '../half.ts';
import { layoutOf } from '../layout.ts';
import { blockFormat } from './block.ts';

const scalesAt = 4;
const codesAt = 16;

export const q4_k = blockFormat({
  name: 'q4_k',
  code: 7,
  blockElements: 256,
  blockBytes: 144,
  layout: layoutOf('q4k'),
  readBlock(bytes, at, out, column, meta) {
    out.meta[meta] = readU16(bytes, at);
    out.meta[meta + 1] = readU16(bytes, at + 2);
    for (let j = 0; j < 8; j++) {
      const { scale, min } = readScale(bytes, at + scalesAt, j);
      out.meta[meta + 2 + j] = scale;
      out.meta[meta + 10 + j] = min;
    }
    for (let i = 0; i < 128; i++) {
      const byte = bytes[at + codesAt + i] as number;
      const to = column + (i >> 5) * 64 + (i & 31);
      out.codes[to] = byte & 15;
      out.codes[to + 32] = byte >> 4;
    }
  },
  writeBlock(values, column, bytes, at) {
    const groups = Array.from({ length: 8 }, (_, j) => {
      const { min, max } = range(values, column + 32 * j, 32);
      const low = Math.min(0, min);
      return { scale: (max - low) / 15, min: -low };
    });
    const d = f32ToF16(Math.max(...groups.map((g) => g.scale)) / 63);
    const dmin = f32ToF16(Math.max(...groups.map((g) => g.min)) / 63);
    writeU16(bytes, at, d);
    writeU16(bytes, at + 2, dmin);
    for (let j = 0; j < 8; j++) {
      const group = groups[j] as (typeof groups)[number];
      const scale = toSteps(group.scale, f16ToF32(d));
      const min = toSteps(group.min, f16ToF32(dmin));
      writeScale(bytes, at + scalesAt, j, scale, min);
      const step = f16ToF32(d) * scale;
      const low = f16ToF32(dmin) * min;
      for (let i = 0; i < 32; i++) {
        const value = values[column + 32 * j + i] as number;
        const code = step === 0 ? 0 : clamp(Math.round((value + low) / step), 0, 15);
        const to = at + codesAt + (j >> 1) * 32 + i;
        bytes[to] = (bytes[to] as number) | (code << (j & 1 ? 4 : 0));
      }
    }
  },
});

const toSteps = (value: number, step: number): number =>
  step === 0 ? 0 : clamp(Math.round(value / step), 0, 63);

/**
 * The 6-bit scale and minimum of group j out of 12 bytes. Groups 0-3 use the low six bits of bytes j and j + 4; groups
 * 4-7 put their low four bits into byte j + 4 and their high two bits on top of the bytes of groups 0-3.
 */
function readScale(bytes: Uint8Array, at: number, j: number): { scale: number; min: number } {
  const byte = (i: number): number => bytes[at + i] as number;
  if (j < 4) return { scale: byte(j) & 63, min: byte(j + 4) & 63 };
  return {
    scale: (byte(j + 4) & 15) | ((byte(j - 4) >> 6) << 4),
    min: (byte(j + 4) >> 4) | ((byte(j) >> 6) << 4),
  };
}

/** The inverse of `readScale`; the bytes start at zero. */
function writeScale(bytes: Uint8Array, at: number, j: number, scale: number, min: number): void {
  const or = (i: number, value: number): void => {
    bytes[at + i] = (bytes[at + i] as number) | value;
  };
  if (j < 4) {
    or(j, scale);
    or(j + 4, min);
  } else {
    or(j + 4, (scale & 15) | ((min & 15) << 4));
    or(j - 4, (scale >> 4) << 6);
    or(j, (min >> 4) << 6);
  }
}
