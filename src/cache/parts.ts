// What layers keep, as arrays in pages: a layer's spec becomes parts, and parts that need the same positions are a group
// with one page table.

import { PAGE_SLOTS } from '../array/ops/memory/paged.ts';
import { bytesPerElement } from '../base/dtype.ts';
import { IngotError } from '../base/errors.ts';
import type { CompressedSpec, FullSpec, HeadRows, LayerSpec, WindowSpec } from '../nn/contracts.ts';
import { type KvCodes, kvRowSizes } from '../quant/kv-rows.ts';

/**
 * What rows are stored as. Codes are for keys and values; beside them shared rows, entries and what they are made of are f16.
 * States of recurrent layers are f32 always.
 */
export type CacheDtype = FloatRows | KvCodes;
export type FloatRows = 'f16' | 'f32';

export const isCodes = (dtype: CacheDtype): dtype is KvCodes => dtype !== 'f16' && dtype !== 'f32';

/** The codes that keys and values are stored as, as options of ops. */
export const codesOf = (dtype: CacheDtype): { readonly codes?: KvCodes } =>
  isCodes(dtype) ? { codes: dtype } : {};

/**
 * What the row at a position needs of those before: everything, the last `window` positions with its own, or the state
 * after the position before it (the only one of its page that is kept).
 */
export type Sight =
  | { readonly kind: 'all' }
  | { readonly kind: 'window'; readonly window: number }
  /** The first `kept` pages, and as many of the last, with its own, as make `pages` of them together. */
  | { readonly kind: 'rotating'; readonly pages: number; readonly kept: number }
  /** Everything, as one slot for each block of `ratio` positions, written with the last of them. */
  | { readonly kind: 'blocks'; readonly ratio: number }
  | { readonly kind: 'last' };

/** What layers ask for themselves. */
export type OwnSight = Exclude<Sight, { readonly kind: 'rotating' }>;

/** One array of a layer: `[heads, slots, width]`; where rows are codes, of bytes. */
export interface PartArray {
  readonly name: string;
  readonly heads: number;
  readonly width: number;
  readonly dtype: FloatRows | 'u8';
}

/** What a layer keeps for rows of one sight; most layers have one part. */
export interface SpecPart {
  readonly sight: OwnSight;
  readonly arrays: readonly PartArray[];
}

export interface LayerPart {
  readonly layer: number;
  /** Which of the layer's parts it is. */
  readonly index: number;
  readonly arrays: readonly PartArray[];
}

/** Parts whose pages are taken and given back together. */
export interface PartGroup {
  readonly sight: Sight;
  /** Slots of a page: one for each position, or one for all of them. */
  readonly slotsPerPage: number;
  readonly parts: readonly LayerPart[];
}

/** A window of whole pages over what would see everything, of which the first `kept` stay. */
export interface Rotation {
  readonly pages: number;
  readonly kept: number;
}

/**
 * The groups of these layers, in the order of their first layers; where there is a rotation, what sees everything sees its window
 * instead. Throws unsupported for layers that cannot.
 */
export function groupLayers(
  specs: readonly LayerSpec[],
  dtype: CacheDtype,
  rotation?: Rotation,
): readonly PartGroup[] {
  const groups = new Map<string, { sight: Sight; parts: LayerPart[] }>();
  specs.forEach((spec, layer) => {
    if (rotation !== undefined) checkRotates(spec, layer);
    for (const [index, { sight: own, arrays }] of partsOf(spec, dtype).entries()) {
      const sight: Sight =
        own.kind === 'all' && rotation !== undefined ? { kind: 'rotating', ...rotation } : own;
      const key = JSON.stringify(sight);
      const group = groups.get(key) ?? { sight, parts: [] };
      groups.set(key, group);
      group.parts.push({ layer, index, arrays });
    }
  });
  return [...groups.values()].map(({ sight, parts }) => ({
    sight,
    slotsPerPage: slotsPerPage(sight),
    parts,
  }));
}

/** Throws unsupported for layers whose rows choose among all positions or blocks: there is no window of those. */
function checkRotates(spec: LayerSpec, layer: number): void {
  const indexed = spec.kind === 'latent' && spec.indexDim !== undefined;
  if (spec.kind !== 'compressed' && !indexed) return;
  throw new IngotError(
    'unsupported',
    `kv 'rotating' keeps a window of positions, and layer ${layer} (${indexed ? 'latent with an index' : spec.kind}) chooses among all: take another kv`,
    { details: { argument: 'kv', layer } },
  );
}

function slotsPerPage(sight: Sight): number {
  if (sight.kind === 'last') return 1;
  return sight.kind === 'blocks' ? Math.max(1, PAGE_SLOTS / sight.ratio) : PAGE_SLOTS;
}

/** What a layer keeps, and which positions need it. Throws invalid_argument for heads that codes do not fit. */
export function partsOf(spec: LayerSpec, stored: CacheDtype): readonly SpecPart[] {
  const dtype = isCodes(stored) ? 'f16' : stored;
  switch (spec.kind) {
    case 'full':
    case 'window': {
      const sight: OwnSight =
        spec.kind === 'full' ? { kind: 'all' } : { kind: 'window', window: spec.window };
      return [
        {
          sight,
          arrays: ['keys', 'values'].map((name) => headRows(name, commonRows(spec), stored)),
        },
      ];
    }
    case 'latent':
      return [
        {
          sight: { kind: 'all' },
          arrays: [
            sharedRows('rows', spec.rank + spec.ropeDim, dtype),
            ...(spec.indexDim === undefined ? [] : [sharedRows('index', spec.indexDim, dtype)]),
          ],
        },
      ];
    case 'compressed':
      return compressedParts(spec, dtype);
    case 'recurrent':
      return [
        {
          sight: { kind: 'last' },
          arrays: spec.states.map(({ shape }, i) =>
            sharedRows(
              `state ${i}`,
              shape.reduce((product, n) => product * n, 1),
              'f32',
            ),
          ),
        },
      ];
    case 'none':
      return [];
    default:
      return spec satisfies never;
  }
}

/**
 * The rows that keys and values are kept in, as kernels take both alike: of the more heads and the wider. Throws unsupported
 * where the more heads are no multiple of the fewer.
 */
export function commonRows({ keys, values }: FullSpec | WindowSpec): HeadRows {
  const heads = Math.max(keys.heads, values.heads);
  if (heads % keys.heads !== 0 || heads % values.heads !== 0) {
    throw new IngotError(
      'unsupported',
      `${keys.heads} heads of keys and ${values.heads} of values: one must be a multiple of the other`,
    );
  }
  return { heads, width: Math.max(keys.width, values.width) };
}

const headRows = (name: string, { heads, width }: HeadRows, stored: CacheDtype): PartArray =>
  isCodes(stored)
    ? { name, heads, width: kvRowSizes(stored, width).bytes, dtype: 'u8' }
    : { name, heads, width, dtype: stored };

const sharedRows = (name: string, width: number, dtype: FloatRows): PartArray => ({
  name,
  heads: 1,
  width,
  dtype,
});

/** The rows of the window; values and gates of the positions that entries are still to be made of; the entries. */
function compressedParts({ window, width, blocks }: CompressedSpec, dtype: FloatRows): readonly SpecPart[] {
  const rows: SpecPart = { sight: { kind: 'window', window }, arrays: [sharedRows('rows', width, dtype)] };
  if (blocks === undefined) return [rows];
  const { ratio, overlap, indexDim } = blocks;
  if (!Number.isSafeInteger(ratio) || ratio < 1 || (PAGE_SLOTS % ratio !== 0 && ratio % PAGE_SLOTS !== 0)) {
    throw new IngotError(
      'unsupported',
      `sequence memory: blocks of ${ratio} positions do not fit pages of ${PAGE_SLOTS}`,
    );
  }
  const series = overlap ? 2 : 1;
  return [
    rows,
    {
      sight: { kind: 'window', window: ratio * series },
      arrays: [
        sharedRows('pending', 2 * series * width, dtype),
        ...(indexDim === undefined ? [] : [sharedRows('pending index', 2 * series * indexDim, dtype)]),
      ],
    },
    {
      sight: { kind: 'blocks', ratio },
      arrays: [
        sharedRows('entries', width, dtype),
        ...(indexDim === undefined ? [] : [sharedRows('index', indexDim, dtype)]),
      ],
    },
  ];
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

/** Parts of a group whose arrays are alike, and the bytes of a page of one of them. */
export function shapesOf({ parts, slotsPerPage }: PartGroup) {
  const shapes = new Map<string, { readonly pageBytes: number; readonly parts: LayerPart[] }>();
  for (const part of parts) {
    const key = JSON.stringify(part.arrays.map(({ heads, width, dtype }) => [heads, width, dtype]));
    const pageBytes = part.arrays.reduce((sum, array) => sum + slotsPerPage * slotBytes(array), 0);
    const shape = shapes.get(key) ?? { pageBytes, parts: [] };
    shapes.set(key, shape);
    shape.parts.push(part);
  }
  return [...shapes.values()];
}

/** Whether pages of a group may be elsewhere than in memory: those that a row needs all of, and that are many. */
export const mayLeave = ({ sight }: Pick<PartGroup, 'sight'>): boolean => sight.kind === 'all';

/** Bytes that a page of a group takes at least where its pages may leave memory: a layer of each shape has all of them. */
export const leastPageBytes = (group: PartGroup): number =>
  mayLeave(group)
    ? shapesOf(group).reduce((sum, { pageBytes }) => sum + pageBytes, 0)
    : groupPageBytes(group);

/** The first position that the row at `position` needs, but for pages that stay; `position` itself where it needs none before. */
export function firstNeeded(sight: Sight, position: number): number {
  switch (sight.kind) {
    case 'all':
    case 'blocks':
      return 0;
    case 'window':
      return Math.max(0, position - sight.window + 1);
    case 'rotating': {
      const first = Math.floor(position / PAGE_SLOTS) - (sight.pages - sight.kept) + 1;
      return first <= sight.kept ? 0 : first * PAGE_SLOTS;
    }
    case 'last':
      return Math.max(0, position - 1);
    default:
      return sight satisfies never;
  }
}

/** The first page that the row at `position` needs. */
export const firstPageNeeded = (sight: Sight, position: number): number =>
  Math.floor(firstNeeded(sight, position) / PAGE_SLOTS);

/** Whether all rows need a page: those of windows that rotate keep their first. */
export const staysFor = (sight: Sight, page: number): boolean =>
  sight.kind === 'rotating' && page < sight.kept;

/** Whether the row at `position` needs a page before it. */
export const needsPage = (sight: Sight, page: number, position: number): boolean =>
  page >= firstPageNeeded(sight, position) || staysFor(sight, page);

/** Whether rows of this sight need everything before them. */
export const seesAll = (sight: Sight): boolean => sight.kind === 'all' || sight.kind === 'blocks';

/** Pages for each one that has slots: blocks longer than a page leave one in their last page. */
export const pageStride = (sight: Sight): number =>
  sight.kind === 'blocks' ? Math.max(1, sight.ratio / PAGE_SLOTS) : 1;

/** Whether a page has slots. */
export const keepsPage = (sight: Sight, page: number): boolean => (page + 1) % pageStride(sight) === 0;

/** Slots that the first `length` positions fill where each position or block has one. */
export const filledSlots = (sight: Sight, length: number): number =>
  sight.kind === 'blocks' ? Math.floor(length / sight.ratio) : length;
