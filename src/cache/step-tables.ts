// The inputs by which the rows of a step find their pages: of each row its sequence, of each group the pages of the sequences.

import type { NDArray } from '../array/array.ts';
import type { InputSpec } from '../array/compile.ts';
import type { PageTable } from '../array/ops/memory/paged.ts';
import { invariant } from '../base/errors.ts';
import { type DynDim, dynDim } from '../base/shape.ts';
import { pagesFor } from './sizes.ts';

/** A sequence of a step, whose last `rows` positions are its rows. */
export interface TablePart {
  /** By group; -1 for pages that are gone. */
  readonly pages: readonly (readonly number[])[];
  readonly length: number;
  readonly rows: number;
}

export interface StepTables {
  /** Inputs of a plan of so many rows. */
  inputs(rows: DynDim): Readonly<Record<string, InputSpec>>;
  /** What the layers of a group get of them; `positions` where those are not the true ones. */
  view(
    inputs: Readonly<Record<string, NDArray>>,
    group: number,
  ): { readonly paged: PageTable; readonly positions?: NDArray | undefined };
  /** Their values. */
  bind(parts: readonly TablePart[]): Readonly<Record<string, Int32Array>>;
}

export interface TableLimits {
  readonly contextLength: number;
  readonly maxSequences: number;
  readonly maxRows?: number;
}

const i32 = 'i32' as const;

/** Tables of whole contexts: the page of a position is where it is in the sequence. */
export function wholeTables(
  { length: groups }: readonly unknown[],
  { contextLength, maxSequences }: TableLimits,
): StepTables {
  const width = pagesFor(contextLength);
  const names = Array.from({ length: groups }, (_, g) => `pages${g}`);
  return {
    inputs: (rows) => {
      const table = { shape: [dynDim('sequencesInStep', maxSequences), width], dtype: i32 };
      return {
        sequences: { shape: [rows], dtype: i32 },
        ...Object.fromEntries(names.map((name) => [name, table])),
      };
    },
    view: ({ sequences, ...inputs }, group) => {
      const pages = inputs[names[group] ?? ''];
      invariant(sequences && pages, 'a paged cache needs the inputs that it named');
      return { paged: { sequences, pages } };
    },
    bind: (parts) => {
      const bound: Record<string, Int32Array> = {
        sequences: Int32Array.from(parts.flatMap(({ rows }, i) => Array<number>(rows).fill(i))),
      };
      names.forEach((name, g) => {
        const table = new Int32Array(parts.length * width).fill(-1);
        parts.forEach(({ pages }, i) => {
          table.set(pages[g] ?? [], i * width);
        });
        bound[name] = table;
      });
      return bound;
    },
  };
}
