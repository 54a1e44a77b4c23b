// Every packed layout as one row of data. Sizes, packing, WGSL readers and the constants of the native kernels
// (tools/gen-layouts.mjs) follow from it; docs/layouts.md says what each is for.

/** Numbers that the codes of a 4-bit layout stand for, before scaling: integers of at most 127, so that they run on int8. */
const tables = {
  iq4: [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113],
  /** Twice the numbers of e2m1. */
  e2m1: [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12],
  iq3s: [1, 3, 5, 7, 9, 11, 13, 15, -1, -3, -5, -7, -9, -11, -13, -15],
  iq3xxs: [4, 12, 20, 28, 36, 44, 52, 62, -4, -12, -20, -28, -36, -44, -52, -62],
  iq2: [8, 25, 43, -8, -25, -43, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
  /** Eight times the sum of a digit of -1, 0, 1 and a shift of 1/8 up or down. */
  iq1: [-9, -7, -1, 1, 7, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
  /** 127 times the quantiles of NF4, rounded: off by at most 1/254 of a group's largest magnitude. */
  nf4: [-127, -88, -67, -50, -36, -23, -12, 0, 10, 20, 31, 43, 56, 71, 92, 127],
} as const;

/**
 * `code`: number in native kernels and programs. Quantised layouts have the `bits` of a code, the `groups` of columns that may
 * share a scale, and say what a code `q` stands for:
 * - `zero`: q - zero. `minimum`: q, and each group has a minimum that is added.
 * - `table`: the q-th number of it times `unit`. `e4m3`: the float of these 8 bits times `unit`.
 *
 * Scales are of one of the types `scales`, one for each group; or, with `steps`, an f16 for 256 columns times a signed 8-bit
 * number for each group, and minimums likewise, stored negated. The 8-bit types of scales are `e8m0`, a power of two of which half
 * is meant (so that byte 0 is 2^-128 and byte 255 is 2^127), and `e4m3`.
 */
export const layoutTable = {
  f32: { code: 0 },
  f16: { code: 1 },
  bf16: { code: 2 },
  q4: { code: 3, bits: 4, zero: 8, groups: [32], scales: ['f16'] },
  q4a: { code: 4, bits: 4, minimum: true, groups: [32, 64, 128], scales: ['f32', 'f16', 'bf16'] },
  q8: { code: 5, bits: 8, zero: 128, groups: [32], scales: ['f16'] },
  q8a: { code: 6, bits: 8, minimum: true, groups: [32, 64, 128], scales: ['f32', 'f16', 'bf16'] },
  q4k: { code: 7, bits: 4, minimum: true, groups: [32], steps: true },
  q6k: { code: 8, bits: 6, zero: 32, groups: [16], steps: true },
  q5: { code: 9, bits: 5, zero: 16, groups: [32], scales: ['f16'] },
  q5k: { code: 10, bits: 5, minimum: true, groups: [32], steps: true },
  q3k: { code: 11, bits: 3, zero: 4, groups: [16], steps: true },
  q2k: { code: 12, bits: 2, minimum: true, groups: [16], steps: true },
  q2a: { code: 13, bits: 2, minimum: true, groups: [32, 64, 128], scales: ['f32', 'f16', 'bf16'] },
  q3a: { code: 14, bits: 3, minimum: true, groups: [32, 64, 128], scales: ['f32', 'f16', 'bf16'] },
  q5a: { code: 15, bits: 5, minimum: true, groups: [32, 64, 128], scales: ['f32', 'f16', 'bf16'] },
  q6a: { code: 16, bits: 6, minimum: true, groups: [32, 64, 128], scales: ['f32', 'f16', 'bf16'] },
  iq4nl: { code: 17, bits: 4, table: tables.iq4, unit: 1, groups: [32], scales: ['f16'] },
  mxfp4: { code: 18, bits: 4, table: tables.e2m1, unit: 1, groups: [32], scales: ['e8m0'] },
  nf4: { code: 19, bits: 4, table: tables.nf4, unit: 1 / 127, groups: [64], scales: ['f32', 'f16', 'bf16'] },
  nvfp4: { code: 20, bits: 4, table: tables.e2m1, unit: 0.5, groups: [16], scales: ['e4m3', 'f16', 'f32'] },
  iq4xs: { code: 21, bits: 4, table: tables.iq4, unit: 1, groups: [32], steps: true },
  iq3s: { code: 22, bits: 4, table: tables.iq3s, unit: 1, groups: [32], steps: true },
  iq3xxs: { code: 23, bits: 4, table: tables.iq3xxs, unit: 1 / 4, groups: [32], steps: true },
  iq2: { code: 24, bits: 4, table: tables.iq2, unit: 1 / 8, groups: [16], steps: true },
  iq1: { code: 25, bits: 4, table: tables.iq1, unit: 1 / 8, groups: [16], steps: true },
  f8: { code: 26, bits: 8, e4m3: true, unit: 1, groups: [32, 64, 128], scales: ['f32', 'f16', 'bf16'] },
  mxfp8: { code: 27, bits: 8, e4m3: true, unit: 2, groups: [32], scales: ['e8m0'] },
} as const;
