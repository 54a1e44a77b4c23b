// The page table of a key-value cache that many sequences share: in which slot a position of a row is.

import { IngotError } from '../../../base/errors.ts';
import { elementCount, formatShape, type Shape } from '../../../base/shape.ts';
import type { Param } from '../../../kernel/signature.ts';
import type { NDArray } from '../../array.ts';
import type { LoweredValue, Operands } from '../../op.ts';
import type { Tensor, ValueType } from '../../types.ts';
import { countParam, expectDtype, expectShape, fixed, optional, shapeError } from '../operands.ts';

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
  { capacity, ring, ratio = 1 }: SlotForm,
  what: string,
): void {
  const [sequences, table] = [optional(inputs, at), optional(inputs, at + 1)];
  if (sequences === null && table === null) return;
  if (sequences === null || table === null) shapeError(what, 'sequences and a page table go together');
  if (ring !== 0) shapeError(what, `a paged cache has no ring, got ${ring}`);
  const slots = slotsPerPage(ratio);
  if (capacity % slots !== 0) {
    shapeError(what, `a paged cache has a multiple of ${slots} slots, got ${capacity}`);
  }
  expectDtype(sequences, ['i32'], `${what}: sequences`);
  expectShape(sequences, rows, `${what}: sequences`);
  expectDtype(table, ['i32'], `${what}: page table`);
  if (table.shape.length !== 2) {
    shapeError(what, `the page table must be [S, maxPages], got ${formatShape(table.shape)}`);
  }
}

/** How slots are found in a cache. */
export interface SlotForm {
  readonly capacity: number;
  readonly ring: number;
  /** Slots are of blocks of so many positions (default 1), found by the block's number. */
  readonly ratio?: number | undefined;
}

/** Slots of a page; blocks longer than a page have one in their last. */
export const slotsPerPage = (ratio: number): number => Math.max(1, Math.floor(PAGE_SLOTS / ratio));

/** The slot of a position or block that `row` writes or sees. Throws invalid_argument when it has none. */
export const slotFinder = (
  inputs: Operands<Tensor>,
  at: number,
  form: SlotForm,
  what: string,
): ((row: number, position: number) => number) =>
  slotsBy([optional(inputs, at), optional(inputs, at + 1)], form, what);

/** As `slotFinder`, by sequences and a page table that do not stand side by side. */
export function slotsBy(
  [sequences, table]: readonly [Tensor | null, Tensor | null],
  { capacity, ring, ratio = 1 }: SlotForm,
  what: string,
): (row: number, position: number) => number {
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
  const slots = slotsPerPage(ratio);
  const pages = Math.floor(capacity / slots);
  return (row, number) => {
    const position = (number + 1) * ratio - 1;
    const sequence = sequences.data[row] as number;
    if (sequence < 0 || sequence >= S || number < 0 || position >= maxPages * PAGE_SLOTS) {
      refuse(`position ${position} of sequence ${sequence} is outside ${S} sequences of ${maxPages} pages`);
    }
    const index = Math.floor(position / PAGE_SLOTS);
    const page = table.data[sequence * maxPages + index] as number;
    if (page < 0 || page >= pages) {
      refuse(`page ${index} of sequence ${sequence} is ${page} of ${pages}`);
    }
    return page * slots + Math.floor((position % PAGE_SLOTS) / ratio);
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
