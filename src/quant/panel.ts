// One row in and out of a panel: where docs/layouts.md puts each code and each meta field, and what they are worth.

import type { RowForm } from './format.ts';
import { bf16ToF32, bitsToF32, bitsToFloat, f16ToF32 } from './half.ts';
import { codesBytes, metaFields, metaRecord, panelRows, type WeightLayout } from './layout.ts';

/** Writes row form `row` as lane `lane` of the zero-filled panel that starts at byte `panel`. */
export function writeLane(
  layout: WeightLayout,
  K: number,
  row: RowForm,
  bytes: Uint8Array,
  panel: number,
  lane: number,
): void {
  const put = (at: number, value: number): void => {
    bytes[panel + at] = (bytes[panel + at] as number) | value;
  };
  for (let k = 0; k < K; k++) writeCode(layout, k, lane, row.codes[k] as number, put);
  eachMeta(layout, K, lane, (at, size, index) => {
    const value = row.meta[index] as number;
    for (let b = 0; b < size; b++) put(at + b, (value >>> (8 * b)) & 255);
  });
}

/** Reads lane `lane` of the panel at byte `panel` back into `out`. */
export function readLane(
  layout: WeightLayout,
  K: number,
  bytes: Uint8Array,
  panel: number,
  lane: number,
  out: RowForm,
): void {
  const get = (at: number): number => bytes[panel + at] as number;
  for (let k = 0; k < K; k++) out.codes[k] = readCode(layout, k, lane, get);
  eachMeta(layout, K, lane, (at, size, index) => {
    let value = 0;
    for (let b = 0; b < size; b++) value += get(at + b) * 2 ** (8 * b);
    out.meta[index] = value;
  });
}

/** Byte of the 4-bit code of column k, and whether it is the high nibble. `blockBytes` is the size of a block of 32. */
const nibbleAt = (k: number, lane: number, blockBytes: number): number =>
  (k >> 5) * blockBytes + ((k >> 3) & 3) * 64 + 4 * lane + (k & 3);
const nibbleShift = (k: number): number => k & 4;
/** Byte and shift of the high two bits of a 6-bit code. */
const pairAt = (k: number, lane: number): number =>
  (k >> 5) * 384 + 256 + ((k >> 4) & 1) * 64 + 4 * lane + (k & 3);
const pairShift = (k: number): number => 2 * ((k >> 2) & 3);
/** Byte of the 8-bit code. */
const byteAt = (k: number, lane: number): number => (k >> 5) * 512 + ((k >> 2) & 7) * 64 + 4 * lane + (k & 3);
/** Byte of a 16- or 32-bit float; bf16 keeps neighbouring columns together. */
const floatAt = (kind: 'f32' | 'f16' | 'bf16', k: number, lane: number): number => {
  if (kind === 'bf16') return ((k >> 1) * panelRows + lane) * 4 + (k & 1) * 2;
  return (k * panelRows + lane) * (kind === 'f32' ? 4 : 2);
};

type Put = (at: number, value: number) => void;
type Get = (at: number) => number;

function writeCode(layout: WeightLayout, k: number, lane: number, code: number, put: Put): void {
  switch (layout.kind) {
    case 'f32':
    case 'f16':
    case 'bf16': {
      const at = floatAt(layout.kind, k, lane);
      for (let b = 0; b < (layout.kind === 'f32' ? 4 : 2); b++) put(at + b, (code >>> (8 * b)) & 255);
      return;
    }
    case 'q4':
    case 'q4a':
    case 'q4k':
      put(nibbleAt(k, lane, 256), code << nibbleShift(k));
      return;
    case 'q6k':
      put(nibbleAt(k, lane, 384), (code & 15) << nibbleShift(k));
      put(pairAt(k, lane), (code >> 4) << pairShift(k));
      return;
    case 'q8':
    case 'q8a':
      put(byteAt(k, lane), code);
      return;
  }
}

function readCode(layout: WeightLayout, k: number, lane: number, get: Get): number {
  switch (layout.kind) {
    case 'f32':
    case 'f16':
    case 'bf16': {
      const at = floatAt(layout.kind, k, lane);
      const low = get(at) + get(at + 1) * 256;
      return layout.kind === 'f32' ? low + get(at + 2) * 2 ** 16 + get(at + 3) * 2 ** 24 : low;
    }
    case 'q4':
    case 'q4a':
    case 'q4k':
      return (get(nibbleAt(k, lane, 256)) >> nibbleShift(k)) & 15;
    case 'q6k': {
      const low = (get(nibbleAt(k, lane, 384)) >> nibbleShift(k)) & 15;
      return low | (((get(pairAt(k, lane)) >> pairShift(k)) & 3) << 4);
    }
    case 'q8':
    case 'q8a':
      return get(byteAt(k, lane));
  }
}

/** Visits the meta fields of a lane: byte in the panel, size, index in `RowForm.meta`. */
function eachMeta(
  layout: WeightLayout,
  K: number,
  lane: number,
  visit: (at: number, size: number, index: number) => void,
): void {
  const record = metaRecord(layout);
  if (record.bytes === 0) return;
  const fields = metaFields(layout);
  let at = codesBytes(layout, K);
  let index = 0;
  for (let r = 0; r < K / record.columns; r++) {
    for (const size of fields) {
      visit(at + lane * size, size, index++);
      at += size * panelRows;
    }
  }
}

/**
 * The weights of a row form, written to `out[from …]`. Products and sums are exact in double precision, so every weight
 * is the formula's value rounded once to f32.
 */
export function rowValues(
  layout: WeightLayout,
  K: number,
  row: RowForm,
  out: Float32Array,
  from: number,
): void {
  const { codes, meta } = row;
  const field = (i: number): number => meta[i] as number;
  for (let k = 0; k < K; k++) out[from + k] = valueAt(layout, k, codes[k] as number, field);
}

const int8 = (byte: number): number => (byte << 24) >> 24;

function valueAt(layout: WeightLayout, k: number, code: number, field: (i: number) => number): number {
  switch (layout.kind) {
    case 'f32':
      return bitsToF32(code);
    case 'f16':
      return f16ToF32(code);
    case 'bf16':
      return bf16ToF32(code);
    case 'q4':
      return f16ToF32(field(k >> 5)) * (code - 8);
    case 'q8':
      return f16ToF32(field(k >> 5)) * (code - 128);
    case 'q4a':
    case 'q8a': {
      const at = 2 * Math.floor(k / layout.group);
      return bitsToFloat(layout.metaDtype, field(at)) * code + bitsToFloat(layout.metaDtype, field(at + 1));
    }
    case 'q4k': {
      const at = (k >> 8) * 18;
      const group = (k >> 5) & 7;
      const scale = f16ToF32(field(at)) * field(at + 2 + group);
      return scale * code - f16ToF32(field(at + 1)) * field(at + 10 + group);
    }
    case 'q6k': {
      const at = (k >> 8) * 17;
      return f16ToF32(field(at)) * int8(field(at + 1 + ((k >> 4) & 15))) * (code - 32);
    }
  }
}
