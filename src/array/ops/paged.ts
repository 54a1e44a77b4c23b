// The page table of a key-value cache that many sequences share: in which slot a position of a row is.

import { IngotError } from '../../base/errors.ts';
import { elementCount, formatShape, type Shape } from '../../base/shape.ts';
import type { Param } from '../../kernel/signature.ts';
import type { NDArray } from '../array.ts';
import type { LoweredValue, Operands } from '../op.ts';
import type { Tensor, ValueType } from '../types.ts';
import { countParam, expectDtype, expectShape, fixed, optional, shapeError } from './operands.ts';

/** Slots of a page. */
export const PAGE_SLOTS = 32;

/** Where rows find their slots in a cache `[Hkv, pages * 32, Dh]`. */
export interface PageTable {
  /** i32 `[n]`: the sequence of each row. Rows of one sequence follow each other. */
  readonly sequences: NDArray;
  /** i32 `[S, maxPages]`: the page of positions 32 i … 32 i + 31 of each sequence, -1 for none. */
  readonly pages: NDArray;
}

/** Checks operands `at` (sequences) and `at` + 1 (page table): both or neither. */
export function checkPages(
  inputs: Operands<ValueType>,
  at: number,
  rows: Shape,
  { capacity, ring }: { readonly capacity: number; readonly ring: number },
  what: string,
): void {
  const [sequences, table] = [optional(inputs, at), optional(inputs, at + 1)];
  if (sequences === null && table === null) return;
  if (sequences === null || table === null) shapeError(what, 'sequences and a page table go together');
  if (ring !== 0) shapeError(what, `a paged cache has no ring, got ${ring}`);
  if (capacity % PAGE_SLOTS !== 0) {
    shapeError(what, `a paged cache has a multiple of ${PAGE_SLOTS} slots, got ${capacity}`);
  }
  expectDtype(sequences, ['i32'], `${what}: sequences`);
  expectShape(sequences, rows, `${what}: sequences`);
  expectDtype(table, ['i32'], `${what}: page table`);
  if (table.shape.length !== 2) {
    shapeError(what, `the page table must be [S, maxPages], got ${formatShape(table.shape)}`);
  }
}

/** The slot of a position that `row` writes or sees. Throws invalid_argument when it has none. */
export function slotFinder(
  inputs: Operands<Tensor>,
  at: number,
  { capacity, ring }: { readonly capacity: number; readonly ring: number },
  what: string,
): (row: number, position: number) => number {
  const [sequences, table] = [optional(inputs, at), optional(inputs, at + 1)];
  const refuse = (problem: string): never => {
    throw new IngotError('invalid_argument', `${what}: ${problem}`);
  };
  if (sequences === null || table === null) {
    return (_, position) => {
      const slot = ring > 0 ? position % ring : position;
      return slot >= 0 && slot < capacity
        ? slot
        : refuse(`position ${position} is outside a cache of ${capacity}`);
    };
  }
  const [S = 0, maxPages = 0] = table.shape;
  return (row, position) => {
    const sequence = sequences.data[row] as number;
    if (sequence < 0 || sequence >= S || position < 0 || position >= maxPages * PAGE_SLOTS) {
      refuse(`position ${position} of sequence ${sequence} is outside ${S} sequences of ${maxPages} pages`);
    }
    const index = Math.floor(position / PAGE_SLOTS);
    const page = table.data[sequence * maxPages + index] as number;
    if (page < 0 || page >= capacity / PAGE_SLOTS) {
      refuse(`page ${index} of sequence ${sequence} is ${page} of ${capacity / PAGE_SLOTS}`);
    }
    return page * PAGE_SLOTS + (position % PAGE_SLOTS);
  };
}

/** The dispatch parameters S and maxPages; zeros without a table. */
export function pageParams(table: LoweredValue | null, what: string): { S: Param; maxPages: Param } {
  if (table === null) return { S: 0, maxPages: 0 };
  return {
    S: countParam(elementCount(table.type.shape.slice(0, 1))),
    maxPages: fixed(table.type.shape[1], what),
  };
}
