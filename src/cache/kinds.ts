// The kinds of caches by the names that users choose them by. A kind is one entry here.

import type { Device } from '../device/device.ts';
import type { LayerSpec } from '../nn/contracts.ts';
import type { CacheStore } from './contract.ts';
import { PagedCache, type PagedCacheOptions } from './paged.ts';
import { StandardCache } from './standard.ts';

export interface CacheKind {
  /** What it is, in one line. */
  readonly about: string;
  /** Whether it holds a single sequence: conversations then wait for each other, and nothing of them is remembered. */
  readonly single: boolean;
  /** Throws out_of_memory from the device. */
  open(device: Device, specs: readonly LayerSpec[], options: PagedCacheOptions): CacheStore;
}

export const cacheKinds = {
  paged: {
    about: 'pages of 32 positions that all conversations share, with their known beginnings',
    single: false,
    open: (device, specs, options) => new PagedCache(device, specs, options),
  },
  standard: {
    about: 'one conversation at a time, a slot for each position, nothing remembered',
    single: true,
    open: (device, specs, { contextLength, maxRows, dtype }) =>
      new StandardCache(device, specs, {
        capacity: contextLength,
        dtype,
        ...(maxRows === undefined ? {} : { maxRows }),
      }),
  },
} as const satisfies Readonly<Record<string, CacheKind>>;

export type CacheKindName = keyof typeof cacheKinds;

export const cacheKindNames = Object.keys(cacheKinds) as readonly CacheKindName[];

/** The kind that a load has where it does not say. */
export const defaultCacheKind: CacheKindName = 'paged';
