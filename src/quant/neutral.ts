// Rows of any source format in the form that a packer takes when it has no reader of the format: a byte for each code, and the
// meta fields of each record one after the other.

import { newRowForm, readU16, readU32, type SourceFormat, writeU16, writeU32 } from './format.ts';
import { metaFields, metaRecord, type WeightLayout } from './layout.ts';

/** The packers' source code for it. */
export const neutralCode = 10;

const metaRowBytes = (layout: WeightLayout, K: number): number =>
  (K / metaRecord(layout).columns) * metaFields(layout).reduce((sum, bytes) => sum + bytes, 0);

/** `rows` rows as [codes, meta]. */
export function toNeutral(
  source: SourceFormat,
  parts: readonly Uint8Array[],
  rows: number,
  K: number,
): readonly [Uint8Array, Uint8Array] {
  const { layout } = source;
  const form = newRowForm(layout, K);
  const codes = new Uint8Array(rows * K);
  const meta = new Uint8Array(rows * metaRowBytes(layout, K));
  const fields = metaFields(layout);
  let at = 0;
  for (let row = 0; row < rows; row++) {
    source.readRow(parts, row, K, form);
    codes.set(form.codes, row * K);
    form.meta.forEach((value, i) => {
      const bytes = fields[i % fields.length] as number;
      if (bytes === 1) meta[at] = value;
      else if (bytes === 2) writeU16(meta, at, value);
      else writeU32(meta, at, value);
      at += bytes;
    });
  }
  return [codes, meta];
}

/** That form as a source format, for the plain packer. */
export function neutralFormat(layout: WeightLayout): SourceFormat {
  const fields = metaFields(layout);
  return {
    name: `neutral/${layout.kind}`,
    code: neutralCode,
    blockElements: 1,
    blockBytes: 1,
    layout,
    rowBytes: (K) => [K, metaRowBytes(layout, K)],
    readRow([codes, meta], row, K, out) {
      if (codes === undefined || meta === undefined) return;
      out.codes.set(codes.subarray(row * K, (row + 1) * K));
      let at = row * metaRowBytes(layout, K);
      out.meta.forEach((_, i) => {
        const bytes = fields[i % fields.length] as number;
        out.meta[i] =
          bytes === 1 ? (meta[at] as number) : bytes === 2 ? readU16(meta, at) : readU32(meta, at);
        at += bytes;
      });
    },
  };
}
