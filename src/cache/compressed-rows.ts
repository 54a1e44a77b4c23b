// Layers of kind `compressed` as ops, wherever a strategy keeps their parts.

import type { NDArray } from '../array/array.ts';
import { blockWrite } from '../array/ops/memory/block-write.ts';
import type { PageTable } from '../array/ops/memory/paged.ts';
import { rowWrite } from '../array/ops/memory/row-write.ts';
import { attention } from '../array/ops/nn/attention.ts';
import { compressedAttention } from '../array/ops/nn/compressed-attention.ts';
import { indexTopk } from '../array/ops/nn/index-topk.ts';
import type { State } from '../array/weight.ts';
import { IngotError } from '../base/errors.ts';
import type {
  AttendOptions,
  BlockRows,
  BlocksSpec,
  CompressedRows,
  CompressedSpec,
} from '../nn/contracts.ts';

/** Where the arrays of a part are: in pages, or in a ring of slots (0: a slot for each position or block). */
export interface PartPlace {
  readonly states: readonly State[];
  readonly paged?: PageTable | undefined;
  readonly ring?: number | undefined;
}

/** As SequenceMemory.compressed; parts are those of `compressedParts` in their order. */
export function attendCompressed(
  { window, blocks }: CompressedSpec,
  placeOf: (part: number) => PartPlace,
  { query, row, blocks: own, index }: CompressedRows,
  positions: NDArray,
  options: AttendOptions,
): NDArray {
  const rowsAt = placeOf(0);
  const rows = rowWrite(rowsAt.states[0] as State, row, positions, rowsAt);
  if (
    (blocks === undefined) !== (own === undefined) ||
    (blocks?.indexDim === undefined) !== (index === undefined)
  ) {
    throw new IngotError(
      'invalid_argument',
      'sequence memory: blocks and an index are for compressed layers whose spec has them, and they need them',
    );
  }
  if (blocks === undefined || own === undefined)
    return attention(query, rows, rows, positions, { ...options, window, ...rowsAt });
  const [pendingAt, entriesAt] = [placeOf(1), placeOf(2)];
  const made = (which: number, from: BlockRows): NDArray =>
    writeBlocks(blocks, which, { pendingAt, entriesAt }, from, positions);
  const entries = made(0, own);
  const ids =
    index &&
    indexTopk(index.query, index.weights, made(1, index.blocks), positions, {
      k: index.count,
      ratio: blocks.ratio,
      paged: entriesAt.paged,
    });
  return compressedAttention(query, { rows, entries, ids }, positions, {
    scale: options.scale,
    sinks: options.sinks,
    window,
    ring: rowsAt.ring,
    ratio: blocks.ratio,
    sequences: rowsAt.paged?.sequences,
    rowPages: rowsAt.paged?.pages,
    entryPages: entriesAt.paged?.pages,
  });
}

/** Keeps what rows give to blocks, and makes the entries of those that they complete. */
function writeBlocks(
  { ratio, overlap }: BlocksSpec,
  which: number,
  at: { readonly pendingAt: PartPlace; readonly entriesAt: PartPlace },
  { rows, rule }: BlockRows,
  positions: NDArray,
): NDArray {
  const { pendingAt, entriesAt } = at;
  const pending = rowWrite(pendingAt.states[which] as State, rows, positions, pendingAt);
  return blockWrite(entriesAt.states[which] as State, pending, positions, rule, {
    ratio,
    overlap,
    ring: pendingAt.ring,
    sequences: pendingAt.paged?.sequences,
    pendingPages: pendingAt.paged?.pages,
    entryPages: entriesAt.paged?.pages,
  });
}
