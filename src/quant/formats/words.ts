// Rows whose codes are one stream of bits, lowest first (in u32 words, little endian), with the scales of their groups, and minimums
// where the layout has them, in tensors of their own: how MLX stores what it quantises. Also GPT-OSS's MXFP4 and FP8 with scales.

import { newRowForm, readU16, readU32, type SourceFormat, writeU16, writeU32 } from '../format.ts';
import { quantizeGroup } from '../group.ts';
import {
  type AffineBits,
  affineLayout,
  type MetaDtype,
  metaFields,
  panelBytes,
  panelRows,
  quantizedSpec,
  type WeightLayout,
} from '../layout.ts';
import { readLane } from '../panel.ts';

const readers = { 1: (bytes: Uint8Array, at: number) => bytes[at] as number, 2: readU16, 4: readU32 };
const writers = {
  1: (bytes: Uint8Array, at: number, value: number) => {
    bytes[at] = value;
  },
  2: writeU16,
  4: writeU32,
};

/** The format of a layout without steps. Parts are [codes, scales] or [codes, scales, minimums]. */
export function wordsFormat(name: string, layout: WeightLayout): SourceFormat {
  const bits = quantizedSpec(layout.kind)?.bits ?? 8;
  const { group } = layout;
  const fields = metaFields(layout);
  const metaBytes = fields[0] as 1 | 2 | 4;
  const readMeta = readers[metaBytes];
  const writeMeta = writers[metaBytes];
  return {
    name,
    code: 9,
    blockElements: 8,
    blockBytes: bits,
    layout,
    rowBytes: (K) => [(K * bits) / 8, ...fields.map((bytes) => (K / group) * bytes)],
    readRow([codes, ...metas], row, K, out) {
      if (codes === undefined || metas.length !== fields.length) return;
      const start = row * ((K * bits) / 8);
      for (let k = 0; k < K; k++) out.codes[k] = readBits(codes, start, k * bits, bits);
      metas.forEach((meta, f) => {
        for (let g = 0; g < K / group; g++) {
          out.meta[fields.length * g + f] = readMeta(meta, (row * (K / group) + g) * metaBytes);
        }
      });
    },
    quantizeRow(values) {
      const K = values.length;
      const codes = new Uint8Array((K * bits) / 8);
      const metas = fields.map((bytes) => new Uint8Array((K / group) * bytes));
      for (let g = 0; g < K / group; g++) {
        const found = quantizeGroup(layout, values, g * group);
        metas.forEach((meta, f) => {
          writeMeta(meta, g * metaBytes, found.meta[f] as number);
        });
        for (let i = 0; i < group; i++) orBits(codes, (g * group + i) * bits, found.codes[i] as number);
      }
      return [codes, ...metas];
    },
  };
}

/** The parts of packed rows whose layout is that of a words format: the inverse of packing them. */
export function wordsParts(
  { layout, rowBytes }: SourceFormat,
  packed: Uint8Array,
  rows: number,
  K: number,
): readonly Uint8Array[] {
  const bits = quantizedSpec(layout.kind)?.bits ?? 8;
  const fields = metaFields(layout);
  const sizes = rowBytes(K);
  const parts = sizes.map((bytes) => new Uint8Array(rows * bytes));
  const form = newRowForm(layout, K);
  const panel = panelBytes(layout, K);
  for (let row = 0; row < rows; row++) {
    readLane(layout, K, packed, Math.floor(row / panelRows) * panel, row % panelRows, form);
    const codes = (parts[0] as Uint8Array).subarray(row * (sizes[0] as number));
    for (let k = 0; k < K; k++) orBits(codes, k * bits, form.codes[k] as number);
    fields.forEach((bytes, f) => {
      const at = row * (sizes[f + 1] as number);
      for (let g = 0; g < K / layout.group; g++) {
        const value = form.meta[fields.length * g + f] as number;
        writers[bytes as 1 | 2 | 4](parts[f + 1] as Uint8Array, at + g * bytes, value);
      }
    });
  }
  return parts;
}

/** MLX's affine form of one bit width, group size and type of scales. Throws invalid_argument for what no layout holds. */
export const mlxFormat = (bits: AffineBits, group: number, metaDtype: MetaDtype): SourceFormat =>
  wordsFormat(`mlx${bits}/${group}/${metaDtype}`, affineLayout(bits, group, metaDtype));

/** Up to 8 bits from bit `bit` behind byte `start`. */
function readBits(bytes: Uint8Array, start: number, bit: number, bits: number): number {
  const at = start + (bit >> 3);
  const word = (bytes[at] as number) | ((bytes[at + 1] ?? 0) << 8);
  return (word >> (bit & 7)) & (2 ** bits - 1);
}

function orBits(bytes: Uint8Array, bit: number, value: number): void {
  const at = bit >> 3;
  const word = value << (bit & 7);
  bytes[at] = (bytes[at] as number) | (word & 255);
  if (word > 255) bytes[at + 1] = (bytes[at + 1] as number) | (word >> 8);
}
