// MXFP4 as GPT-OSS stores its experts: `NAME_blocks` [E, rows, K / 32, 16] with two e2m1 in a byte, the first in the low bits, and
// `NAME_scales` [E, rows, K / 32]: the tensor `NAME.weight` [E, rows, K].

import { mlxMxfp4 } from '../../quant/formats/fp4.ts';
import { contiguousSlices } from '../tensor.ts';
import { badEntry, needShape, type Scheme } from './scheme.ts';

export const gptOssScheme: Scheme = (entry, entries) => {
  const { name } = entry;
  if (name.endsWith('_scales') && entries.has(name.replace(/_scales$/, '_blocks'))) return [];
  if (!name.endsWith('_blocks') || entry.dtype !== 'U8') return undefined;
  const tensor = name.replace(/_blocks$/, '');
  const scales = entries.get(`${tensor}_scales`);
  if (scales === undefined) return 'has blocks but no scales beside it';
  const [experts = 0, rows = 0, groups = 0, bytes = 0] = entry.shape;
  if (entry.shape.length !== 4 || bytes !== 16)
    badEntry(entry, `must be [experts, rows, groups, 16], found [${entry.shape}]`);
  if (scales.dtype !== 'U8') badEntry(scales, `must be U8, found ${scales.dtype}`);
  needShape(scales, [experts, rows, groups], `for blocks [${entry.shape}]`);
  if (experts * rows * groups === 0) badEntry(entry, `has the empty shape [${entry.shape}]`);
  const shape = [experts, rows, groups * 32];
  const slices = contiguousSlices(mlxMxfp4, shape, [entry, scales]);
  return [{ kind: 'source', name: `${tensor}.weight`, shape, format: mlxMxfp4, slices }];
};
