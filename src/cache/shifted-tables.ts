// Tables of sequences that have no end, over windows: a row gets the pages that it may see, and its position among those. Up
// to the window all is as in a table of a whole context, so results are the same; beyond, the rows of a page are a sequence
// of their own: they see alike, however a prompt was cut into steps. Kernels know nothing of this.

import { PAGE_SLOTS } from '../array/ops/memory/paged.ts';
import { IngotError, invariant } from '../base/errors.ts';
import { dynDim } from '../base/shape.ts';
import type { PartGroup, Rotation, Sight } from './parts.ts';
import { pagesFor } from './sizes.ts';
import type { StepTables, TableLimits, TablePart } from './step-tables.ts';

/** The window of a context of which `keep` positions stay, in whole pages. Throws invalid_argument where nothing else is left. */
export function rotationOf(contextLength: number, keep: number): Rotation {
  const [pages, kept] = [pagesFor(contextLength), pagesFor(keep)];
  if (kept < pages) return { pages, kept };
  throw new IngotError(
    'invalid_argument',
    `kvKeep of ${keep} takes ${kept} pages of ${PAGE_SLOTS} positions, and the window (contextLength ${contextLength}) has ${pages}: keep fewer than that, or give a larger contextLength`,
    { details: { argument: 'kvKeep', keep, contextLength } },
  );
}

/** Rows `from` … `to` - 1 of a sequence that see the same pages: `shown`, as many as there are. */
interface Run {
  readonly from: number;
  readonly to: number;
  readonly shown: readonly number[];
  /** What is taken off their positions. */
  readonly shift: number;
}

interface Form {
  /** Pages of a row of the table. */
  readonly width: number;
  /** Pages that stay in front. */
  readonly kept: number;
  /** Rows may see different pages; those of a state go on from each other, and are one run. */
  readonly split: boolean;
}

function formOf(sight: Sight, window: number, maxRows: number): Form {
  switch (sight.kind) {
    case 'rotating':
      return { width: sight.pages, kept: sight.kept, split: true };
    case 'window':
      return { width: Math.max(window, pagesFor(sight.window - 1) + 1), kept: 0, split: true };
    case 'last':
      return { width: Math.max(window, pagesFor(maxRows) + 2), kept: 0, split: false };
    default:
      invariant(false, `a window of layers that see ${sight.kind}`);
  }
}

/** Sequences of a step in which `rows` rows of so many sequences are: each may begin and end inside a page. */
const mostRuns = (rows: number, sequences: number): number =>
  Math.min(rows, 2 * sequences + Math.ceil(rows / PAGE_SLOTS));

export function shiftedTables(
  groups: readonly Pick<PartGroup, 'sight'>[],
  { contextLength, maxSequences, maxRows = contextLength }: TableLimits,
): StepTables {
  const forms = groups.map(({ sight }) => formOf(sight, pagesFor(contextLength), maxRows));
  return {
    inputs: (rows) => {
      const vector = { shape: [rows], dtype: 'i32' as const };
      return Object.fromEntries(
        forms.flatMap(({ width }, g) => {
          const runs = dynDim(`runsInStep${g}`, mostRuns(rows.max, maxSequences));
          return [
            [`sequences${g}`, vector],
            [`positions${g}`, vector],
            [`pages${g}`, { shape: [runs, width], dtype: 'i32' as const }],
          ];
        }),
      );
    },
    view: (inputs, g) => {
      const [sequences, positions, pages] = ['sequences', 'positions', 'pages'].map(
        (x) => inputs[`${x}${g}`],
      );
      invariant(sequences && positions && pages, 'a paged cache needs the inputs that it named');
      return { paged: { sequences, pages }, positions };
    },
    bind: (parts) => Object.assign({}, ...forms.map((form, g) => bindGroup(form, g, parts))),
  };
}

function bindGroup(form: Form, g: number, parts: readonly TablePart[]): Record<string, Int32Array> {
  const runs = parts.flatMap((part) => runsOf(form, part, part.pages[g] ?? []));
  const rows = runs.reduce((sum, { from, to }) => sum + to - from, 0);
  const [sequences, positions] = [new Int32Array(rows), new Int32Array(rows)];
  const table = new Int32Array(runs.length * form.width).fill(-1);
  let at = 0;
  runs.forEach(({ from, to, shown, shift }, i) => {
    table.set(shown, i * form.width);
    sequences.fill(i, at, at + to - from);
    for (let position = from; position < to; position++) positions[at++] = position - shift;
  });
  return { [`sequences${g}`]: sequences, [`positions${g}`]: positions, [`pages${g}`]: table };
}

function runsOf({ width, kept, split }: Form, { length, rows }: TablePart, pages: readonly number[]): Run[] {
  const runs: Run[] = [];
  for (let from = length - rows; from < length; ) {
    const last = Math.floor((split ? Math.max(from, width * PAGE_SLOTS - 1) : length - 1) / PAGE_SLOTS);
    const to = Math.min(length, (last + 1) * PAGE_SLOTS);
    const gone = Math.max(0, last + 1 - width);
    const shown = [...pages.slice(0, kept), ...pages.slice(kept + gone, last + 1)];
    runs.push({ from, to, shown, shift: gone * PAGE_SLOTS });
    from = to;
  }
  return runs;
}
