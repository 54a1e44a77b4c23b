// One row in and out of a panel: where docs/layouts.md puts each code and each meta field, and what they are worth.

import type { RowForm } from './format.ts';
import { bitsToFloat, e4m3ToF32 } from './half.ts';
import {
  codeBlockBytes,
  codesBytes,
  type LayoutKind,
  metaFields,
  metaPlaces,
  metaRecord,
  panelRows,
  type QuantizedSpec,
  quantizedSpec,
  type WeightLayout,
} from './layout.ts';

/** Writes row form `row` as lane `lane` of the zero-filled panel that starts at byte `panel`. */
export function writeLane(
  layout: WeightLayout,
  K: number,
  row: RowForm,
  bytes: Uint8Array,
  panel: number,
  lane: number,
): void {
  const { codes } = row;
  const spec = quantizedSpec(layout.kind);
  if (spec === undefined) {
    const size = layout.kind === 'f32' ? 4 : 2;
    for (let k = 0; k < K; k++) {
      const at = panel + floatAt(layout.kind, k, lane);
      for (let b = 0; b < size; b++) bytes[at + b] = ((codes[k] as number) >>> (8 * b)) & 255;
    }
  } else {
    const start = panel + 4 * lane;
    const block = codeBlockBytes(spec);
    for (const { below, mask, at, shift } of planes[spec.bits]) {
      for (let k = 0; k < K; k++) {
        const byte = start + (k >> 5) * block + (at[k & 31] as number);
        const part = (((codes[k] as number) >> below) & mask) << (shift[k & 31] as number);
        bytes[byte] = (bytes[byte] as number) | part;
      }
    }
  }
  eachMeta(layout, K, lane, (at, size, index) => {
    const value = row.meta[index] as number;
    for (let b = 0; b < size; b++) bytes[panel + at + b] = (value >>> (8 * b)) & 255;
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
  const { codes } = out;
  const spec = quantizedSpec(layout.kind);
  if (spec === undefined) {
    for (let k = 0; k < K; k++) {
      const at = floatAt(layout.kind, k, lane);
      const low = get(at) + get(at + 1) * 256;
      codes[k] = layout.kind === 'f32' ? low + get(at + 2) * 2 ** 16 + get(at + 3) * 2 ** 24 : low;
    }
  } else {
    const start = panel + 4 * lane;
    const block = codeBlockBytes(spec);
    codes.fill(0, 0, K);
    for (const { below, mask, at, shift } of planes[spec.bits]) {
      for (let k = 0; k < K; k++) {
        const byte = bytes[start + (k >> 5) * block + (at[k & 31] as number)] as number;
        codes[k] = (codes[k] as number) | (((byte >> (shift[k & 31] as number)) & mask) << below);
      }
    }
  }
  eachMeta(layout, K, lane, (at, size, index) => {
    let value = 0;
    for (let b = 0; b < size; b++) value += get(at + b) * 2 ** (8 * b);
    out.meta[index] = value;
  });
}

/**
 * Bits of a code lie in planes, one after the other within a block of 32 columns: of 8, 4, 2 or 1 bits, the lowest bits first. A
 * plane has chunks of 64 bytes; byte 4 lane + j of a chunk holds columns j, 4 + j, ... of the chunk's run, lowest bits first.
 */
interface Plane {
  /** Bits of a code below this plane's, and a mask of those in it. */
  readonly below: number;
  readonly mask: number;
  /** By column of the block: byte of the block in lane 0, and shift there. */
  readonly at: readonly number[];
  readonly shift: readonly number[];
}

function plane(below: number, bits: number): Plane {
  const columns = Math.max(4, 32 / bits); // of a chunk: four bytes of a lane
  const within = Array.from({ length: 32 }, (_, k) => k);
  return {
    below,
    mask: 2 ** bits - 1,
    at: within.map((k) => 64 * (below + Math.floor(k / columns)) + (k & 3)),
    shift: within.map((k) => ((k % columns) >> 2) * bits),
  };
}
const planes: Readonly<Record<QuantizedSpec['bits'], readonly Plane[]>> = {
  2: [plane(0, 2)],
  3: [plane(0, 2), plane(2, 1)],
  4: [plane(0, 4)],
  5: [plane(0, 4), plane(4, 1)],
  6: [plane(0, 4), plane(4, 2)],
  8: [plane(0, 8)],
};

/** Byte of a 16- or 32-bit float; bf16 keeps neighbouring columns together. */
const floatAt = (kind: LayoutKind, k: number, lane: number): number => {
  if (kind === 'bf16') return ((k >> 1) * panelRows + lane) * 4 + (k & 1) * 2;
  return (k * panelRows + lane) * (kind === 'f32' ? 4 : 2);
};

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
  const spec = quantizedSpec(layout.kind);
  if (spec === undefined) {
    const kind = layout.kind as 'f32' | 'f16' | 'bf16';
    for (let k = 0; k < K; k++) out[from + k] = bitsToFloat(kind, row.codes[k] as number);
    return;
  }
  const number = codeNumbers(spec);
  const fields = metaFields(layout).length;
  const places = metaPlaces(layout);
  const { columns } = metaRecord(layout);
  for (let first = 0; first < K; first += layout.group) {
    const record = Math.floor(first / columns) * fields;
    const group = (first % columns) / layout.group;
    const scale = scaleAt(layout, row.meta, record + places.scale, stepsAt(places.steps, record, group));
    const minimum =
      places.minimum === undefined
        ? undefined
        : scaleAt(layout, row.meta, record + places.minimum, stepsAt(places.minimumSteps, record, group));
    for (let k = first; k < first + layout.group; k++) {
      const scaled = scale * (number[row.codes[k] as number] as number);
      if (minimum === undefined) out[from + k] = scaled;
      else out[from + k] = spec.steps === true ? scaled - minimum : scaled + minimum;
    }
  }
}

const stepsAt = (steps: number | undefined, record: number, group: number): number | undefined =>
  steps === undefined ? undefined : record + steps + group;

/** A scale or minimum: a stored float, times the steps of its group where the layout has them. */
function scaleAt(layout: WeightLayout, meta: Uint32Array, at: number, steps: number | undefined): number {
  const unit = bitsToFloat(layout.metaDtype, meta[at] as number);
  return steps === undefined ? unit : unit * int8(meta[steps] as number);
}

const int8 = (byte: number): number => (byte << 24) >> 24;

/** What each code of a layout is multiplied by the scale as. */
export function codeNumbers({ bits, zero = 0, table, e4m3, unit = 1 }: QuantizedSpec): readonly number[] {
  return Array.from({ length: 2 ** bits }, (_, code) => {
    if (e4m3 === true) return unit * e4m3ToF32(code);
    return table === undefined ? code - zero : unit * (table[code] as number);
  });
}
