// A snapshot out of the segments of a prefix.

import { bytesPerElement } from '../../base/dtype.ts';
import { IngotError } from '../../base/errors.ts';
import { nextTurn } from '../../base/turn.ts';
import type { CacheSnapshot, LayerSnapshot } from '../../cache/contract.ts';
import { type CacheDtype, type PartArray, partsOf } from '../../cache/parts.ts';
import type { LayerSpec } from '../../nn/contracts.ts';
import type { Layers } from './segment.ts';

export interface StoredPiece {
  readonly from: number;
  /** Positions of it that are wanted, all from `from` on. */
  readonly count: number;
  /** Positions that it has. */
  readonly length: number;
  readonly layers: Layers;
}

/** Parts of layers that see everything are put together; of the others the last piece has all that is needed. Throws bad_file. */
export async function assemble(
  pieces: readonly StoredPiece[],
  specs: readonly LayerSpec[],
  dtype: CacheDtype,
): Promise<CacheSnapshot> {
  const last = pieces.at(-1);
  const length = last === undefined ? 0 : last.from + last.count;
  const layers: LayerSnapshot[][] = [];
  let i = 0;
  for (const spec of specs) {
    const own: LayerSnapshot[] = [];
    for (const { sight, arrays } of partsOf(spec, dtype)) {
      const part = i++;
      if (sight.kind === 'all') {
        const rows = arrays.map((array, a) => joined(pieces, length, part, a, array));
        own.push({ first: 0, arrays: rows });
        await nextTurn();
      } else own.push(last?.layers[part] ?? { first: 0, arrays: [] });
    }
    layers.push(own);
  }
  return { dtype, length, layers };
}

/** Rows of all pieces of one array of a layer. */
function joined(
  pieces: readonly StoredPiece[],
  length: number,
  layer: number,
  array: number,
  { heads, width, dtype }: PartArray,
): Uint8Array {
  const row = width * bytesPerElement(dtype);
  const out = new Uint8Array(heads * length * row);
  for (const { from, count, length: rows, layers } of pieces) {
    const stored = layers[layer]?.arrays[array];
    if (stored?.byteLength !== heads * rows * row)
      throw new IngotError(
        'bad_file',
        `a stored prefix has no rows ${from} to ${from + rows} of layer ${layer}`,
      );
    for (let h = 0; h < heads; h++) {
      const start = h * rows * row;
      out.set(stored.subarray(start, start + count * row), (h * length + from) * row);
    }
  }
  return out;
}

/** Positions `start` to `end` of layers that see everything, of which `layers` has those from `from` to `to`. */
export function cutLayers(
  layers: Layers,
  specs: readonly LayerSpec[],
  dtype: CacheDtype,
  { from, to, start, end }: { from: number; to: number; start: number; end: number },
): Layers {
  if (start === from && end === to) return layers;
  const parts = specs.flatMap((spec) => partsOf(spec, dtype));
  return layers.map((layer, i) => {
    const part = parts[i];
    if (part === undefined) return layer;
    const arrays = part.arrays.map(({ heads, width, dtype: type }, a) => {
      const row = width * bytesPerElement(type);
      const out = new Uint8Array(heads * (end - start) * row);
      for (let h = 0; h < heads; h++) {
        const head = h * (to - from);
        const rows = layer.arrays[a]?.subarray((head + start - from) * row, (head + end - from) * row);
        if (rows) out.set(rows, h * (end - start) * row);
      }
      return out;
    });
    return { first: start, arrays };
  });
}

/** Whether a prefix may end anywhere in a piece. */
export const seesAll = (specs: readonly LayerSpec[], dtype: CacheDtype): boolean =>
  specs.every((spec) => partsOf(spec, dtype).every(({ sight }) => sight.kind === 'all'));
