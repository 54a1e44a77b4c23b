// Formats that store a row as consecutive blocks of fixed size: the frame shared by the GGUF block formats.

import { type RowForm, readU16, type SourceFormat, writeU16 } from '../format.ts';
import { metaFields, metaRecord, type WeightLayout } from '../layout.ts';

interface BlockCodec {
  readonly name: string;
  readonly code?: number;
  /** Number of the type in GGUF files; its name there is `name` in capitals. */
  readonly gguf: number;
  readonly blockElements: number;
  readonly blockBytes: number;
  readonly layout: WeightLayout;
  /** Decodes the block at byte `at` into codes from column `column` and meta fields from index `meta`. */
  readBlock(bytes: Uint8Array, at: number, out: RowForm, column: number, meta: number): void;
  /** Encodes `blockElements` values from `column` into the zero-filled block at byte `at`. */
  writeBlock?(values: Float32Array, column: number, bytes: Uint8Array, at: number): void;
}

/** A format whose blocks each fill whole records of the layout's meta region. */
export function blockFormat(codec: BlockCodec): SourceFormat {
  const { name, code, blockElements, blockBytes, layout, writeBlock } = codec;
  const fields = (metaFields(layout).length * blockElements) / metaRecord(layout).columns;
  const quantizeRow = (values: Float32Array): readonly Uint8Array[] => {
    const blocks = values.length / blockElements;
    const row = new Uint8Array(blocks * blockBytes);
    for (let b = 0; b < blocks; b++) writeBlock?.(values, b * blockElements, row, b * blockBytes);
    return [row];
  };
  return {
    name,
    code,
    gguf: { type: codec.gguf, name: name.toUpperCase() },
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
    ...(writeBlock === undefined ? {} : { quantizeRow }),
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

/** The same for five bits: the fifth of column i is bit i of the 32-bit word at `at`, and nibbles follow. */
export function readFives(bytes: Uint8Array, at: number, codes: Uint32Array, column: number): void {
  readNibbles(bytes, at + 4, codes, column);
  for (let i = 0; i < 32; i++) {
    const bit = ((bytes[at + (i >> 3)] as number) >> (i & 7)) & 1;
    codes[column + i] = (codes[column + i] as number) | (bit << 4);
  }
}

export function writeFives(bytes: Uint8Array, at: number, code: (i: number) => number): void {
  const codes = Array.from({ length: 32 }, (_, i) => code(i));
  writeNibbles(bytes, at + 4, (i) => (codes[i] as number) & 15);
  for (let half = 0; half < 2; half++) {
    let bits = 0;
    for (let i = 0; i < 16; i++) bits |= ((codes[16 * half + i] as number) >> 4) << i;
    writeU16(bytes, at + 2 * half, bits);
  }
}

/**
 * Codes of 256 columns in planes of 2 bits: byte l of half h holds columns 128 h + 32 j + l in bits 2j, for j = 0…3; `or` adds to what
 * is there.
 */
export function readPairs(bytes: Uint8Array, at: number, codes: Uint32Array, column: number): void {
  for (let i = 0; i < 256; i++) {
    const byte = bytes[at + (i >> 7) * 32 + (i & 31)] as number;
    codes[column + i] = (byte >> (2 * ((i >> 5) & 3))) & 3;
  }
}

export function writePairs(bytes: Uint8Array, at: number, code: (i: number) => number): void {
  for (let i = 0; i < 256; i++) {
    const to = at + (i >> 7) * 32 + (i & 31);
    bytes[to] = (bytes[to] as number) | ((code(i) & 3) << (2 * ((i >> 5) & 3)));
  }
}

/** Bit planes of 256 columns: bit j of byte l is that of column 32 j + l. */
export const bitAt = (bytes: Uint8Array, at: number, i: number): number =>
  ((bytes[at + (i & 31)] as number) >> (i >> 5)) & 1;

export function orBit(bytes: Uint8Array, at: number, i: number, bit: number): void {
  const to = at + (i & 31);
  bytes[to] = (bytes[to] as number) | (bit << (i >> 5));
}

/**
 * The 6-bit scales and minimums of eight groups in the 12 bytes of Q4_K and Q5_K. Groups 0-3 use the low six bits of bytes j and
 * j + 4; groups 4-7 put their low four bits into byte j + 4 and their high two bits on top of the bytes of groups 0-3.
 */
export function readSixes(bytes: Uint8Array, at: number, j: number): { scale: number; min: number } {
  const byte = (i: number): number => bytes[at + i] as number;
  if (j < 4) return { scale: byte(j) & 63, min: byte(j + 4) & 63 };
  return {
    scale: (byte(j + 4) & 15) | ((byte(j - 4) >> 6) << 4),
    min: (byte(j + 4) >> 4) | ((byte(j) >> 6) << 4),
  };
}

/** The inverse of `readSixes`; the bytes start at zero. */
export function writeSixes(bytes: Uint8Array, at: number, j: number, scale: number, min: number): void {
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

/** d, dmin and the scales and minimums of Q4_K and Q5_K, which start their blocks, as meta fields. */
export function readSixMeta(bytes: Uint8Array, at: number, out: RowForm, meta: number): void {
  out.meta[meta] = readU16(bytes, at);
  out.meta[meta + 1] = readU16(bytes, at + 2);
  for (let j = 0; j < 8; j++) {
    const { scale, min } = readSixes(bytes, at + 4, j);
    out.meta[meta + 2 + j] = scale;
    out.meta[meta + 10 + j] = min;
  }
}
