// The kinds of caches by the names that users choose them by. A kind is one entry here.

import type { Device } from '../device/device.ts';
import type { LayerSpec } from '../nn/contracts.ts';
import type { CacheStore } from './contract.ts';
import { PagedCache, type PagedCacheOptions } from './paged.ts';
import type { CacheDtype } from './parts.ts';
import { StandardCache } from './standard.ts';

export interface CacheKind {
  /** What it is, in one line. */
  readonly about: string;
  /** Whether it holds a single sequence: conversations then wait for each other, and nothing of them is remembered. */
  readonly single: boolean;
  /** What keys and values are stored as where kvBits does not say; default: floats, as the precision has them. */
  readonly dtype?: CacheDtype;
  /** Whether memory may be smaller than what conversations take: the others are in a file of `options.tier`. */
  readonly tiered: boolean;
  /** Whether conversations go on beyond the context, which is a window of their positions. */
  readonly rotates: boolean;
  /** Throws out_of_memory from the device, unsupported where the device or the layers lack something. */
  open(device: Device, specs: readonly LayerSpec[], options: PagedCacheOptions): CacheStore;
}

/** First positions that a window keeps where the caller does not say: a page. */
export const DEFAULT_KEEP = 4;

/** A kind whose keys and values are codes where kvBits does not say. */
const quantised = (kind: CacheKind, about: string): CacheKind => ({ ...kind, about, dtype: 'q8' });

const plain = {
  paged: {
    about: 'pages of 32 positions that all conversations share, with their known beginnings',
    single: false,
    tiered: false,
    rotates: false,
    open: (device, specs, options) => new PagedCache(device, specs, options),
  },
  tiered: {
    about:
      'pages, of which those that no layer needs now are in a file: longer than memory, the same numbers',
    single: false,
    tiered: true,
    rotates: false,
    open: (device, specs, options) => new PagedCache(device, specs, options),
  },
  rotating: {
    about: 'pages of a window of positions and of the first (kvKeep): conversations without an end',
    single: false,
    tiered: false,
    rotates: true,
    open: (device, specs, options) => new PagedCache(device, specs, { keep: DEFAULT_KEEP, ...options }),
  },
  standard: {
    about: 'one conversation at a time, a slot for each position, nothing remembered',
    single: true,
    tiered: false,
    rotates: false,
    open: (device, specs, { contextLength, maxRows, dtype }) =>
      new StandardCache(device, specs, {
        capacity: contextLength,
        dtype,
        ...(maxRows === undefined ? {} : { maxRows }),
      }),
  },
} as const satisfies Readonly<Record<string, CacheKind>>;

export const cacheKinds = {
  ...plain,
  'paged-quantized': quantised(plain.paged, 'as paged, with keys and values in 8 bits or fewer (kvBits)'),
  quantized: quantised(plain.standard, 'as standard, with keys and values in 8 bits or fewer (kvBits)'),
} as const satisfies Readonly<Record<string, CacheKind>>;

export type CacheKindName = keyof typeof cacheKinds;

export const cacheKindNames = Object.keys(cacheKinds) as readonly CacheKindName[];

/** The kind that a load has where it does not say. */
export const defaultCacheKind: CacheKindName = 'paged';

/** What keys and values may be stored as, by the names of `kvBits`. */
const storedAs = {
  16: 'f16',
  8: 'q8',
  4: 'q4',
  turbo4: 'turbo4',
  turbo3: 'turbo3',
  turbo2: 'turbo2',
} as const satisfies Readonly<Record<number | string, CacheDtype>>;

/** Bits of a number, and for `turbo` of a rotated one with a codebook. */
export type KvBits = keyof typeof storedAs;

export const kvBitsNames = ['16', '8', '4', 'turbo4', 'turbo3', 'turbo2'] as const;

/** What `kvBits` says, as a number or a text; undefined for what is none of them. */
export const kvBitsOf = (value: unknown): KvBits | undefined => {
  const name = kvBitsNames.find((each) => each === String(value));
  return name === undefined ? undefined : /^\d/.test(name) ? (Number(name) as KvBits) : (name as KvBits);
};

/** What keys and values are stored as. */
export function cacheDtype(
  { dtype }: CacheKind,
  {
    kvBits,
    precision,
  }: { readonly kvBits?: KvBits | undefined; readonly precision?: 'fast' | 'exact' | undefined },
): CacheDtype {
  if (kvBits !== undefined) return storedAs[kvBits];
  return dtype ?? (precision === 'exact' ? 'f32' : 'f16');
}
