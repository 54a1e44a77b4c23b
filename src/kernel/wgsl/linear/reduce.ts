// The last step of a product: sums over the lanes of a team. Lane l of a team holds vec4s for the quad l & 3 of a panel.

export interface Reduction {
  readonly threads: number;
  /** Threads of a team. */
  readonly lanes: number;
  /** vec4 values per thread. */
  readonly values: number;
  /** Subgroup sizes there can be, or undefined to do without subgroups. */
  readonly subgroups: { readonly min: number; readonly max: number } | undefined;
}

/** Workgroup bytes of the reduction. */
export function reductionBytes(r: Reduction): number {
  return 16 * (r.subgroups === undefined ? r.threads + resultCells(r) : partialCells(r, r.subgroups));
}

const resultCells = ({ threads, lanes, values }: Reduction): number => (threads / lanes) * values * 4;
const partialCells = ({ threads, values }: Reduction, { min }: { min: number }): number =>
  (threads / min) * values * 4;

/**
 * `total(team, value, row, subgroup_size) -> f32`: the sum of a value over a team, for a row 0…15 of its panel. Valid between
 * the barrier that ends `reduceStatements` and the next one.
 */
export const totalFunction = (r: Reduction): string =>
  r.subgroups === undefined ? treeTotal(r) : subgroupTotal(r, r.subgroups);

/** Statements that reduce the variables `names`, in uniform control flow, given `t`, `lane` and, with subgroups, `size`. */
export function reduceStatements(r: Reduction, names: readonly string[]): string {
  return r.subgroups === undefined ? treeReduce(r, names) : subgroupReduce(r, names);
}

function treeTotal(r: Reduction): string {
  return `var<workgroup> sum_cells: array<vec4<f32>, ${r.threads}>;
var<workgroup> sums: array<vec4<f32>, ${resultCells(r)}>;
fn total(team: u32, value: u32, row: u32, size: u32) -> f32 { return sums[(team * ${r.values}u + value) * 4u + (row >> 2u)][row & 3u]; }
`;
}

/** One value after the other, lanes four to one in each step. */
function treeReduce({ lanes, values }: Reduction, names: readonly string[]): string {
  return names
    .map((name, v) => {
      let text = `    sum_cells[t] = ${name};
    workgroupBarrier();
`;
      for (let n = lanes; n > 4; ) {
        const fold = Math.min(4, n / 4);
        n /= fold;
        const terms = Array.from({ length: fold - 1 }, (_, i) => ` + sum_cells[t + ${(i + 1) * n}u]`).join(
          '',
        );
        text += `    if (lane < ${n}u) { sum_cells[t] = sum_cells[t]${terms}; }
    workgroupBarrier();
`;
      }
      return `${text}    if (lane < 4u) { sums[(team * ${values}u + ${v}u) * 4u + lane] = sum_cells[t]; }
    workgroupBarrier();
`;
    })
    .join('');
}

/** Subgroups that are never larger than a team each leave four cells per value, which are summed when they are read. */
function subgroupTotal(r: Reduction, subgroups: { min: number; max: number }): string {
  const { lanes, values } = r;
  return `var<workgroup> sums: array<vec4<f32>, ${partialCells(r, subgroups)}>;
fn total(team: u32, value: u32, row: u32, size: u32) -> f32 {
  let parts = ${lanes}u / size;
  var sum = 0.0;
  for (var i = 0u; i < parts; i++) { sum += sums[((team * parts + i) * ${values}u + value) * 4u + (row >> 2u)][row & 3u]; }
  return sum;
}
`;
}

function subgroupReduce({ values, subgroups }: Reduction, names: readonly string[]): string {
  const each = (text: (name: string, v: number) => string): string => names.map(text).join('');
  const steps = [4, 8, 16, 32, 64].filter((m) => m < (subgroups?.max ?? 0));
  const adds = steps
    .map((m) => {
      const add = each((name) => `    ${name} += subgroupShuffleXor(${name}, ${m}u);\n`);
      return m < (subgroups?.min ?? 0) ? add : `    if (size > ${m}u) {\n${add}    }\n`;
    })
    .join('');
  const store = each((name, v) => `      sums[(t / size * ${values}u + ${v}u) * 4u + (t & 3u)] = ${name};\n`);
  return `${adds}    if (t % size < 4u) {
${store}    }
    workgroupBarrier();
`;
}
