// All source formats. Adding one is a file in formats/ and a line here.

import type { SourceFormat } from './format.ts';
import { bf16, f16, f32 } from './formats/float.ts';
import { mlxFormat } from './formats/mlx.ts';
import { q4_0 } from './formats/q4_0.ts';
import { q4_1 } from './formats/q4_1.ts';
import { q4_k } from './formats/q4_k.ts';
import { q6_k } from './formats/q6_k.ts';
import { q8_0 } from './formats/q8_0.ts';
import type { MetaDtype } from './layout.ts';

const mlxMetaDtypes: readonly MetaDtype[] = ['f32', 'f16', 'bf16'];
const mlxFormats = ([4, 8] as const).flatMap((bits) =>
  [32, 64, 128].flatMap((group) => mlxMetaDtypes.map((meta) => mlxFormat(bits, group, meta))),
);

export const sourceFormats: readonly SourceFormat[] = [
  f32,
  f16,
  bf16,
  q4_0,
  q4_1,
  q8_0,
  q4_k,
  q6_k,
  ...mlxFormats,
];

/** The format of this name, or undefined. */
export const findSourceFormat = (name: string): SourceFormat | undefined =>
  sourceFormats.find((format) => format.name === name);
