// Plain rows of f32, f16 or bf16, little endian.

import { readU16, readU32, type SourceFormat, writeU16, writeU32 } from '../format.ts';
import { floatToBits } from '../half.ts';
import { layoutOf } from '../layout.ts';

function floatFormat(dtype: 'f32' | 'f16' | 'bf16', code: number, gguf: number): SourceFormat {
  const bytes = dtype === 'f32' ? 4 : 2;
  return {
    name: dtype,
    code,
    gguf: { type: gguf, name: dtype.toUpperCase() },
    blockElements: 1,
    blockBytes: bytes,
    layout: layoutOf(dtype),
    rowBytes: (K) => [K * bytes],
    readRow([rows], row, K, out) {
      if (rows === undefined) return;
      const at = row * K * bytes;
      for (let k = 0; k < K; k++) {
        out.codes[k] = bytes === 4 ? readU32(rows, at + 4 * k) : readU16(rows, at + 2 * k);
      }
    },
    quantizeRow(values) {
      const row = new Uint8Array(values.length * bytes);
      values.forEach((value, k) => {
        if (bytes === 4) writeU32(row, 4 * k, floatToBits(dtype, value));
        else writeU16(row, 2 * k, floatToBits(dtype, value));
      });
      return [row];
    },
  };
}

export const f32 = floatFormat('f32', 0, 0);
export const f16 = floatFormat('f16', 1, 1);
export const bf16 = floatFormat('bf16', 2, 30);
