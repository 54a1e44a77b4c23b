// What layers keep, as arrays in pages: a layer's spec becomes parts, and parts that need the same positions are a group
// with one page table.

import { PAGE_SLOTS } from '../array/ops/paged.ts';
import { bytesPerElement } from '../base/dtype.ts';
import type { LayerSpec } from '../nn/contracts.ts';

/** Storage type of keys and values; states of recurrent layers are f32 always. */
export type CacheDtype = 'f16' | 'f32';

/**
 * What the row at a position needs of those before: everything, the last `window` positions with its own, or the state
 * after the position before it (the only one of its page that is kept).
 */
export type Sight =
  | { readonly kind: 'all' }
  | { readonly kind: 'window'; readonly window: number }
  | { readonly kind: 'last' };

/** One array of a layer: `[heads, slots, width]`. */
export interface PartArray {
  readonly name: string;
  readonly heads: number;
  readonly width: number;
  readonly dtype: CacheDtype;
}

export interface LayerPart {
  readonly layer: number;
  readonly arrays: readonly PartArray[];
}

/** Parts whose pages are taken and given back together. */
export interface PartGroup {
  readonly sight: Sight;
  /** Slots of a page: one for each position, or one for all of them. */
  readonly slotsPerPage: number;
  readonly parts: readonly LayerPart[];
}

/** The groups of these layers, in the order of their first layers. */
export function groupLayers(specs: readonly LayerSpec[], dtype: CacheDtype): readonly PartGroup[] {
  const groups = new Map<string, { sight: Sight; parts: LayerPart[] }>();
  specs.forEach((spec, layer) => {
    const found = partOf(spec, dtype);
    if (found === undefined) return;
    const key = JSON.stringify(found.sight);
    const group = groups.get(key) ?? { sight: found.sight, parts: [] };
    groups.set(key, group);
    group.parts.push({ layer, arrays: found.arrays });
  });
  return [...groups.values()].map(({ sight, parts }) => ({
    sight,
    slotsPerPage: sight.kind === 'last' ? 1 : PAGE_SLOTS,
    parts,
  }));
}

/** What a layer keeps, and which positions need it; undefined when it keeps nothing. */
export function partOf(
  spec: LayerSpec,
  dtype: CacheDtype,
): { readonly sight: Sight; readonly arrays: readonly PartArray[] } | undefined {
  switch (spec.kind) {
    case 'full':
    case 'window': {
      const sight: Sight = spec.kind === 'full' ? { kind: 'all' } : { kind: 'window', window: spec.window };
      return {
        sight,
        arrays: [
          { name: 'keys', ...spec.keys, dtype },
          { name: 'values', ...spec.values, dtype },
        ],
      };
    }
    case 'latent':
      return {
        sight: { kind: 'all' },
        arrays: [
          { name: 'rows', heads: 1, width: spec.rank + spec.ropeDim, dtype },
          ...(spec.indexDim === undefined ? [] : [{ name: 'index', heads: 1, width: spec.indexDim, dtype }]),
        ],
      };
    case 'recurrent':
      return {
        sight: { kind: 'last' },
        arrays: spec.states.map(({ shape }, i) => ({
          name: `state ${i}`,
          heads: 1,
          width: shape.reduce((product, n) => product * n, 1),
          dtype: 'f32',
        })),
      };
    case 'none':
      return undefined;
    default:
      return spec satisfies never;
  }
}

/** Bytes of one slot of an array, over its heads. */
export const slotBytes = ({ heads, width, dtype }: PartArray): number =>
  heads * width * bytesPerElement(dtype);

/** Bytes that a page of a group takes over its layers. */
export const groupPageBytes = ({ parts, slotsPerPage }: PartGroup): number =>
  parts.reduce(
    (sum, { arrays }) => sum + arrays.reduce((part, array) => part + slotsPerPage * slotBytes(array), 0),
    0,
  );

/** The first position that the row at `position` needs; `position` itself where it needs none before. */
export function firstNeeded(sight: Sight, position: number): number {
  switch (sight.kind) {
    case 'all':
      return 0;
    case 'window':
      return Math.max(0, position - sight.window + 1);
    case 'last':
      return Math.max(0, position - 1);
    default:
      return sight satisfies never;
  }
}

/** The first page that the row at `position` needs. */
export const firstPageNeeded = (sight: Sight, position: number): number =>
  Math.floor(firstNeeded(sight, position) / PAGE_SLOTS);
