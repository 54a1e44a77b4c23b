// Plain rows of f32, f16 or bf16, little endian.

import { readU16, readU32, type SourceFormat, writeU16, writeU32 } from '../format.ts';
import { f16ToF32, floatToBits } from '../half.ts';
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

let halves: Float32Array | undefined;

/** The values of rows of a float format; undefined for other formats. What `dequantizeSource` gives, at the speed of memory: whole arrays at a time. */
export function floatValues(format: SourceFormat, bytes: Uint8Array): Float32Array | undefined {
  if (format !== f32 && format !== f16 && format !== bf16) return undefined;
  const { blockBytes } = format;
  const whole = bytes.byteOffset % blockBytes === 0 ? bytes : bytes.slice();
  const count = bytes.byteLength / blockBytes;
  if (format === f32) return new Float32Array(whole.buffer, whole.byteOffset, count).slice();
  const words = new Uint16Array(whole.buffer, whole.byteOffset, count);
  const values = new Float32Array(count);
  if (format === f16) {
    halves ??= Float32Array.from({ length: 2 ** 16 }, (_, half) => f16ToF32(half));
    const table = halves;
    for (let i = 0; i < count; i++) values[i] = table[words[i] as number] as number;
    return values;
  }
  const bits = new Uint32Array(values.buffer);
  for (let i = 0; i < count; i++) bits[i] = (words[i] as number) << 16;
  return values;
}
