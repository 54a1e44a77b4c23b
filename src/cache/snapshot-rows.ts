// Rows of an array of a snapshot, from the position that a strategy wants them from.

import { bytesPerElement } from '../base/dtype.ts';
import { IngotError } from '../base/errors.ts';
import type { LayerSnapshot } from './contract.ts';
import type { PartArray } from './parts.ts';

/**
 * Rows `first` … `length` - 1 of an array `[heads, rows, width]` of a snapshot that has them.
 * @throws IngotError `invalid_argument` for an array of another size.
 */
export function rowsFrom(
  layer: LayerSnapshot | undefined,
  array: number,
  rows: PartArray & { readonly first: number; readonly length: number },
): Uint8Array {
  const { heads, width, dtype, first, length } = rows;
  const row = width * bytesPerElement(dtype);
  const there = layer?.arrays[array];
  const from = layer?.first ?? 0;
  const expected = heads * (length - from) * row;
  if (there?.byteLength !== expected) {
    throw new IngotError(
      'invalid_argument',
      `a snapshot has ${there?.byteLength ?? 0} bytes for an array of a layer that takes ${expected}`,
    );
  }
  if (from === first) return there;
  const out = new Uint8Array(heads * (length - first) * row);
  for (let h = 0; h < heads; h++) {
    const start = (h * (length - from) + first - from) * row;
    out.set(there.subarray(start, start + (length - first) * row), h * (length - first) * row);
  }
  return out;
}
