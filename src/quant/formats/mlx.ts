// MLX affine quantisation: w = s q + m, one (s, m) pair for each group of columns, in three tensors: codes as u32 words
// (lowest bits first), scales and biases `[N, K / group]` as f32, f16 or bf16.

import { clamp, range, readU16, readU32, type SourceFormat, writeU16, writeU32 } from '../format.ts';
import { bitsToFloat, floatToBits } from '../half.ts';
import { affineLayout, type MetaDtype } from '../layout.ts';

/** The format of one bit width, group size and scale type. Throws invalid_argument for a group that is not 32, 64 or 128. */
export function mlxFormat(bits: 4 | 8, group: number, metaDtype: MetaDtype): SourceFormat {
  const metaBytes = metaDtype === 'f32' ? 4 : 2;
  const perWord = 32 / bits;
  const highest = 2 ** bits - 1;
  const readMeta = metaBytes === 4 ? readU32 : readU16;
  const writeMeta = metaBytes === 4 ? writeU32 : writeU16;
  return {
    name: `mlx${bits}/${group}/${metaDtype}`,
    code: bits === 4 ? 9 : 10,
    blockElements: perWord,
    blockBytes: 4,
    layout: affineLayout(bits, group, metaDtype),
    rowBytes: (K) => [(K * bits) / 8, (K / group) * metaBytes, (K / group) * metaBytes],
    readRow([codes, scales, biases], row, K, out) {
      if (codes === undefined || scales === undefined || biases === undefined) return;
      const words = K / perWord;
      for (let k = 0; k < K; k++) {
        const word = readU32(codes, (row * words + Math.floor(k / perWord)) * 4);
        out.codes[k] = (word >>> ((k % perWord) * bits)) & highest;
      }
      const groups = K / group;
      for (let g = 0; g < groups; g++) {
        out.meta[2 * g] = readMeta(scales, (row * groups + g) * metaBytes);
        out.meta[2 * g + 1] = readMeta(biases, (row * groups + g) * metaBytes);
      }
    },
    quantizeRow(values) {
      const K = values.length;
      const codes = new Uint8Array((K * bits) / 8);
      const scales = new Uint8Array((K / group) * metaBytes);
      const biases = new Uint8Array((K / group) * metaBytes);
      for (let g = 0; g < K / group; g++) {
        const { min, max } = range(values, g * group, group);
        const stored = floatToBits(metaDtype, (max - min) / highest);
        const bias = floatToBits(metaDtype, min);
        writeMeta(scales, g * metaBytes, stored);
        writeMeta(biases, g * metaBytes, bias);
        const scale = bitsToFloat(metaDtype, stored);
        for (let k = g * group; k < (g + 1) * group; k++) {
          const distance = (values[k] as number) - bitsToFloat(metaDtype, bias);
          const code = scale === 0 ? 0 : clamp(Math.round(distance / scale), 0, highest);
          const at = (k * bits) >> 3;
          codes[at] = (codes[at] as number) | (code << ((k * bits) & 7));
        }
      }
      return [codes, scales, biases];
    },
  };
}
