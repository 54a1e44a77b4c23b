// All source formats. Adding one is a file in formats/ and a line here.

import { invariant } from '../base/errors.ts';
import type { SourceFormat } from './format.ts';
import { bf16, f16, f32 } from './formats/float.ts';
import { mlxMxfp4, mlxMxfp8, mlxNvfp4, mxfp4, nvfp4 } from './formats/fp4.ts';
import { iq1_m, iq1_s } from './formats/iq1.ts';
import { iq2_s, iq2_xs, iq2_xxs } from './formats/iq2.ts';
import { iq3_s, iq3_xxs } from './formats/iq3.ts';
import { iq4_nl, iq4_xs } from './formats/iq4.ts';
import { q2_k, q3_k } from './formats/q2_k.ts';
import { q4_0, q5_0 } from './formats/q4_0.ts';
import { q4_1, q5_1 } from './formats/q4_1.ts';
import { q4_k, q5_k } from './formats/q4_k.ts';
import { q6_k } from './formats/q6_k.ts';
import { q8_0 } from './formats/q8_0.ts';
import { tq1_0, tq2_0 } from './formats/tq.ts';
import { mlxFormat, wordsFormat } from './formats/words.ts';
import {
  affineBits,
  checkedLayout,
  formatLayout,
  type MetaDtype,
  sameLayout,
  type WeightLayout,
} from './layout.ts';

const floats: readonly MetaDtype[] = ['f32', 'f16', 'bf16'];
const groups = [32, 64, 128];
const mlxFormats = affineBits.flatMap((bits) =>
  groups.flatMap((group) => floats.map((meta) => mlxFormat(bits, group, meta))),
);
/** FP8 e4m3 with a scale for each group of columns: what block, channel and tensor scales become. */
const fp8Formats = groups.flatMap((group) =>
  floats.map((meta) => wordsFormat(`fp8/${group}/${meta}`, checkedLayout('f8', group, meta))),
);
/** What NVFP4 with a second scale for the whole tensor becomes. */
const nvfp4Format = wordsFormat('nvfp4/16/f32', checkedLayout('nvfp4', 16, 'f32'));
const nf4Formats = floats.map((meta) => wordsFormat(`nf4/64/${meta}`, checkedLayout('nf4', 64, meta)));

export const sourceFormats: readonly SourceFormat[] = [
  f32,
  f16,
  bf16,
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q8_0,
  q2_k,
  q3_k,
  q4_k,
  q5_k,
  q6_k,
  iq4_nl,
  iq4_xs,
  iq3_s,
  iq3_xxs,
  iq2_s,
  iq2_xs,
  iq2_xxs,
  iq1_s,
  iq1_m,
  tq1_0,
  tq2_0,
  mxfp4,
  nvfp4,
  mlxMxfp4,
  mlxMxfp8,
  mlxNvfp4,
  ...mlxFormats,
  ...fp8Formats,
  nvfp4Format,
  ...nf4Formats,
];

/** The format of this name, or undefined. */
export const findSourceFormat = (name: string): SourceFormat | undefined =>
  sourceFormats.find((format) => format.name === name);

/** The format with this code that is packed in this layout. */
export function sourceFormatOf(code: number, layout: WeightLayout): SourceFormat {
  const format = sourceFormats.find((f) => f.code === code && sameLayout(f.layout, layout));
  invariant(format !== undefined, `no source format ${code} for ${formatLayout(layout)}`);
  return format;
}
