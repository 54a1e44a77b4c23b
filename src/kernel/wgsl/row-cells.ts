// Rows that the threads of a workgroup share: several short ones, or one that is long. A thread keeps its cells (elements, or
// fours of them) in registers between the passes over its row, so that memory is read once.

/** Threads of a workgroup. */
export const rowThreads = 256;

/** Cells a thread keeps at most. */
const mostCells = 8;

/** Threads of a row of so many cells: about four cells each. */
export const threadsPerRow = (cells: number): number =>
  Math.min(rowThreads, 2 ** Math.ceil(Math.log2(Math.max(1, cells / 4))));

/** Code for the cells of a thread; `place` is the index of a cell in the row. */
export interface RowCells {
  /** Declares the cells and loads them; those beyond the row hold `empty`. Empty text when they are loaded again each time. */
  readonly load: string;
  /** The same statement for every cell of the row. */
  each(statement: (cell: string, place: string) => string): string;
}

export interface RowCellsParts {
  /** Cells of a row, known or as an expression. */
  readonly cells: number | string;
  readonly perRow: number;
  /** Value of cells beyond the row, and so their type. */
  readonly empty: string;
  /** A cell as an expression, from its place. */
  value(place: string): string;
  /** A statement at the first load of a cell. */
  keep?(cell: string, place: string): string;
}

/** In terms of `part`, the thread's number among those of its row. */
export function rowCells({ cells, perRow, empty, value, keep }: RowCellsParts): RowCells {
  const count = typeof cells === 'number' ? Math.ceil(cells / perRow) : Number.POSITIVE_INFINITY;
  const text = typeof cells === 'number' ? `${cells}u` : cells;
  if (count > mostCells) {
    const loop = (body: string): string =>
      `  for (var i = part; i < ${text}; i += ${perRow}u) { let v = ${value('i')}; ${body} }\n`;
    const load = keep === undefined ? '' : loop(keep('v', 'i'));
    return { load, each: (statement) => loop(statement('v', 'i')) };
  }
  const each: RowCells['each'] = (statement) =>
    Array.from({ length: count }, (_, k) => {
      const body = statement(`v${k}`, `(part + ${k * perRow}u)`);
      const whole = typeof cells === 'number' && (k + 1) * perRow <= cells;
      return whole ? `  ${body}\n` : `  if (part + ${k * perRow}u < ${text}) { ${body} }\n`;
    }).join('');
  const declared = Array.from({ length: count }, (_, k) => `  var v${k} = ${empty};\n`).join('');
  const load = each((cell, place) => `${cell} = ${value(place)};${keep?.(cell, place) ?? ''}`);
  return { load: `${declared}${load}`, each };
}

/** The head of `main`: which row a thread works on. Threads beyond the last row read that one, and must not write: `live`. */
export const rowStart = (rows: string, perRow: number): string => `@compute @workgroup_size(${rowThreads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let rows = ${rows};
  let part = t % ${perRow}u;
  let own = group_index(id, count) * ${rowThreads / perRow}u + t / ${perRow}u;
  let live = own < rows;
  let row = min(own, rows - 1u);
`;

/** `name(value, thread)`: what `combine`, an expression of a and b, makes of the values of a row's threads, to all of them. */
export const rowReduce = (name: string, perRow: number, combine: string): string =>
  `var<workgroup> ${name}_cells: array<f32, ${rowThreads}>;
fn ${name}(value: f32, t: u32) -> f32 {
  ${name}_cells[t] = value;
  for (var half = ${perRow >> 1}u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (t % ${perRow}u < half) { let a = ${name}_cells[t]; let b = ${name}_cells[t + half]; ${name}_cells[t] = ${combine}; }
  }
  workgroupBarrier();
  let result = ${name}_cells[t - t % ${perRow}u];
  workgroupBarrier();
  return result;
}
`;
