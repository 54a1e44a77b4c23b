// Rows of f32 in WGSL, eight columns at a time.

import { octetColumns } from './unpack.ts';

const whole = (K: number): boolean => K % octetColumns === 0;

/** Type to bind rows of K columns as, for `rowReader`. */
export const rowType = (K: number): string => (whole(K) ? 'array<vec4<f32>>' : 'array<f32>');

/** `NAME_eight(row, octet) -> Eight` of the rows of K columns bound as `name`; zeros past the last column. */
export function rowReader(name: string, K: number): string {
  if (whole(K)) {
    return `fn ${name}_eight(row: u32, octet: u32) -> Eight {
  let at = row * ${K / 4}u + octet * 2u;
  return Eight(${name}[at], ${name}[at + 1u]);
}
`;
  }
  const four = (j: number): string =>
    `vec4<f32>(${[0, 1, 2, 3].map((i) => `${name}_at(row, octet * 8u + ${j + i}u)`).join(', ')})`;
  return `fn ${name}_at(row: u32, k: u32) -> f32 { return select(0.0, ${name}[row * ${K}u + min(k, ${K - 1}u)], k < ${K}u); }
fn ${name}_eight(row: u32, octet: u32) -> Eight { return Eight(${four(0)}, ${four(4)}); }
`;
}

/** `norm_octet(octet) -> Eight` of the norm's weight, bound as `norm_weight`; `offset` is added to it. */
export const normReader = (
  K: number,
  offset: string,
): string => `${rowReader('norm_weight', K)}fn norm_octet(octet: u32) -> Eight {
  let w = norm_weight_eight(0u, octet);
  return ${offset === '0.0f' ? 'w' : `Eight(w.a + ${offset}, w.b + ${offset})`};
}
`;
