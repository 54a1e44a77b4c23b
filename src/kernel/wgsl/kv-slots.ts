// Where a key-value cache keeps a position: in its own slot, in a ring, or in a page of a sequence.

import type { GpuBinding, KernelRequest } from './contract.ts';

/** Positions of a page. */
export const pageSize = 32;

/** How a dispatch addresses the slots of its caches. */
export interface KvSlots {
  readonly paged: boolean;
  /** Bindings `sequences` and `page_table`, when there are pages. */
  readonly bindings: readonly GpuBinding[];
  /** `kv_slot(row, position)`: the slot as an i32, or -1 where there is none. */
  readonly code: string;
}

/** Kernels that have a cache and its paging. */
type CachedKernel = 'attention' | 'kv_write' | 'rope_kv';

export function kvSlots(request: KernelRequest<CachedKernel>): KvSlots {
  const { p, b } = request;
  const cap = request.constant(p.cap);
  const ring = request.constant(p.ring);
  if (!request.has(b.pageTable)) {
    const slot = ring > 0 ? `position % ${ring}` : 'position';
    return {
      paged: false,
      bindings: [],
      code: `fn kv_slot(row: u32, position: i32) -> i32 {
  let slot = ${slot};
  return select(slot, -1, position < 0 || slot >= ${cap});
}
`,
    };
  }
  const maxPages = request.constant(p.maxPages);
  return {
    paged: true,
    bindings: [
      { buffer: b.sequences, name: 'sequences', type: 'array<i32>', access: 'read' },
      { buffer: b.pageTable, name: 'page_table', type: 'array<i32>', access: 'read' },
    ],
    code: `fn kv_slot(row: u32, position: i32) -> i32 {
  if (position < 0 || position >= ${maxPages * pageSize}) { return -1; }
  let page = page_table[sequences[row] * ${maxPages} + position / ${pageSize}];
  return select(page * ${pageSize} + position % ${pageSize}, -1, page < 0 || page >= ${Math.floor(cap / pageSize)});
}
`,
  };
}
