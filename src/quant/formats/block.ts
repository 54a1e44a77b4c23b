// Formats that store a row as consecutive blocks of fixed size: the frame shared by the GGUF block formats.

import type { RowForm, SourceFormat } from '../format.ts';
import { metaFields, metaRecord, type WeightLayout } from '../layout.ts';

interface BlockCodec {
  readonly name: string;
  readonly code: number;
  readonly blockElements: number;
  readonly blockBytes: number;
  readonly layout: WeightLayout;
  /** Decodes the block at byte `at` into codes from column `column` and meta fields from index `meta`. */
  readBlock(bytes: Uint8Array, at: number, out: RowForm, column: number, meta: number): void;
  /** Encodes `blockElements` values from `column` into the block at byte `at`. */
  writeBlock(values: Float32Array, column: number, bytes: Uint8Array, at: number): void;
}

/** A format whose blocks each fill exactly one record of the layout's meta region. */
export function blockFormat(codec: BlockCodec): SourceFormat {
  const { name, code, blockElements, blockBytes, layout } = codec;
  const fields = (metaFields(layout).length * blockElements) / metaRecord(layout).columns;
  return {
    name,
    code,
    blockElements,
    blockBytes,
    layout,
    rowBytes: (K) => [(K / blockElements) * blockBytes],
    readRow([rows], row, K, out) {
      if (rows === undefined) return;
      const blocks = K / blockElements;
      for (let b = 0; b < blocks; b++) {
        codec.readBlock(rows, (row * blocks + b) * blockBytes, out, b * blockElements, b * fields);
      }
    },
    quantizeRow(values) {
      const blocks = values.length / blockElements;
      const row = new Uint8Array(blocks * blockBytes);
      for (let b = 0; b < blocks; b++) codec.writeBlock(values, b * blockElements, row, b * blockBytes);
      return [row];
    },
  };
}

/** Splits 16 bytes into 32 codes: low nibbles first, then high nibbles. */
export function readNibbles(bytes: Uint8Array, at: number, codes: Uint32Array, column: number): void {
  for (let i = 0; i < 16; i++) {
    const byte = bytes[at + i] as number;
    codes[column + i] = byte & 15;
    codes[column + 16 + i] = byte >> 4;
  }
}

/** The inverse of `readNibbles`; `code(i)` gives the code of column i of the block. */
export function writeNibbles(bytes: Uint8Array, at: number, code: (i: number) => number): void {
  for (let i = 0; i < 16; i++) bytes[at + i] = code(i) | (code(16 + i) << 4);
}
