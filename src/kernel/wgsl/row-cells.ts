// A row that one workgroup keeps in registers between its passes over it: memory is read once.

/** Cells a thread keeps at most. */
const mostCells = 8;

/** Code for each cell `v0, v1, …` of a thread; `place` is its index in the row. */
export interface RowCells {
  /** Declares the cells and loads them; those beyond the row hold `empty`. */
  readonly load: string;
  /** The same statement for every cell of the row. */
  each(statement: (cell: string, place: string) => string): string;
}

/** Undefined when the row of `width` elements is too wide for `threads` threads. `load` is what loads a place; default from `x` at `base`. */
export function rowCells(
  width: number,
  threads: number,
  empty: string,
  load = (cell: string, place: string): string => `${cell} = x[base + ${place}];`,
): RowCells | undefined {
  const count = Math.ceil(width / threads);
  if (count > mostCells) return undefined;
  const each: RowCells['each'] = (statement) =>
    Array.from({ length: count }, (_, k) => {
      const text = statement(`v${k}`, `(t + ${k * threads}u)`);
      return (k + 1) * threads <= width
        ? `  ${text}\n`
        : `  if (t + ${k * threads}u < ${width}u) { ${text} }\n`;
    }).join('');
  const declared = Array.from({ length: count }, (_, k) => `  var v${k} = ${empty};\n`).join('');
  return { load: `${declared}${each(load)}`, each };
}
