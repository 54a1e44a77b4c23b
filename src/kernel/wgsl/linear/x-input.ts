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
