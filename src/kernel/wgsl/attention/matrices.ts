// Products of 16 x 16 x 16 that a subgroup of 32 computes together: halves times halves, sums in f32. On an adapter without
// subgroup matrices the same code with loops in their place computes the same, slowly: that is how tests check every index.

import type { SubgroupMatrixShape } from '../contract.ts';

/** Arrays of the tile, all of 16-byte words; offsets and strides count words. */
export interface TileStrides {
  /** `halves`: queries, then keys and values, a row each. */
  readonly halves: number;
  /** `weights`: rows of weights. */
  readonly weights: number;
  /** `scores`: rows of f32. */
  readonly scores: number;
}

export interface MatrixOps {
  /** Types `Left` and `Sums`, and functions. */
  readonly prelude: string;
  /** Queries and weights are left, keys (turned) and values are right. */
  load(what: 'queries' | 'weights' | 'keys' | 'values' | 'sums', offset: string): string;
  multiply(sums: string, left: string, right: string): string;
  store(sums: string, offset: string): string;
}

export const isUsable = (s: SubgroupMatrixShape): boolean =>
  s.m === 16 && s.n === 16 && s.k === 16 && s.component === 'f16' && s.result === 'f32';

export function matrixOps(strides: TileStrides): MatrixOps {
  const sources = {
    queries: ['Left', 'row_major', 'halves'],
    weights: ['Left', 'row_major', 'weights'],
    keys: ['Right', 'col_major', 'halves'],
    values: ['Right', 'row_major', 'halves'],
    sums: ['Sums', 'row_major', 'scores'],
  } as const;
  return {
    prelude: `alias Left = subgroup_matrix_left<f16, 16, 16>;
alias Right = subgroup_matrix_right<f16, 16, 16>;
alias Sums = subgroup_matrix_result<f32, 16, 16>;
`,
    load: (what, offset) => {
      const [type, order, array] = sources[what];
      return `subgroupMatrixLoad<${type}, ${order}>(&${array}, ${offset}, ${strides[array]}u)`;
    },
    multiply: (sums, left, right) =>
      `${sums} = subgroupMatrixMultiplyAccumulate(${left}, ${right}, ${sums});`,
    store: (sums, offset) =>
      `subgroupMatrixStore<row_major>(&scores, ${offset}, ${sums}, ${strides.scores}u);`,
  };
}

/** Every lane holds whole operands, [row of the left or column of the right][k], and 8 sums: elements lane + 32 i. */
export function plainOps(strides: TileStrides): MatrixOps {
  const along = (name: string, array: 'halves' | 'weights'): string => `fn ${name}(offset: u32) -> Left {
  var result: Left;
  for (var i = 0u; i < 256u; i++) {
    let word = ${array}[offset + i / 16u * ${strides[array]}u + i % 16u / 8u];
    result[i] = unpack2x16float(word[i % 8u / 2u])[i % 2u];
  }
  return result;
}
`;
  const names = {
    queries: 'load_rows',
    weights: 'load_weights',
    keys: 'load_rows',
    values: 'load_columns',
    sums: 'load_sums',
  };
  return {
    prelude: `alias Left = array<f32, 256>;
alias Sums = array<f32, 8>;
${along('load_rows', 'halves')}${along('load_weights', 'weights')}fn load_columns(offset: u32) -> Left {
  var result: Left;
  for (var i = 0u; i < 256u; i++) {
    let word = halves[offset + i % 16u * ${strides.halves}u + i / 16u / 8u];
    result[i] = unpack2x16float(word[i / 16u % 8u / 2u])[i / 16u % 2u];
  }
  return result;
}
fn load_sums(offset: u32, lane: u32) -> Sums {
  var result: Sums;
  for (var i = 0u; i < 8u; i++) {
    let element = lane + 32u * i;
    result[i] = bitcast<f32>(scores[offset + element / 16u * ${strides.scores}u + element % 16u / 4u][element % 4u]);
  }
  return result;
}
fn multiply(sums: Sums, left: Left, right: Left, lane: u32) -> Sums {
  var result = sums;
  var rows = left;
  var columns = right;
  for (var i = 0u; i < 8u; i++) {
    let element = lane + 32u * i;
    for (var k = 0u; k < 16u; k++) { result[i] += rows[element / 16u * 16u + k] * columns[element % 16u * 16u + k]; }
  }
  return result;
}
fn store(sums: Sums, offset: u32, lane: u32) {
  for (var i = 0u; i < 8u; i++) {
    let element = lane + 32u * i;
    scores[offset + element / 16u * ${strides.scores}u + element % 16u / 4u][element % 4u] = bitcast<u32>(sums[i]);
  }
}
`,
    load: (what, offset) => `${names[what]}(${offset}${what === 'sums' ? ', lane' : ''})`,
    multiply: (sums, left, right) => `${sums} = multiply(${sums}, ${left}, ${right}, lane);`,
    store: (sums, offset) => `store(${sums}, ${offset}, lane);`,
  };
}
