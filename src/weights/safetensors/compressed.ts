// compressed-tensors: integers packed into 32-bit words along the columns without gaps, with scales for groups or rows and zero points where
// they are asymmetric; bytes with a scale for each row; 4-bit floats with e4m3 scales and one for the whole tensor. FP8 and MX are fp8.ts's.

import { IngotError } from '../../base/errors.ts';
import { readU32 } from '../../quant/format.ts';
import { e4m3ToF32 } from '../../quant/half.ts';
import { type AffineBits, affineBits } from '../../quant/layout.ts';
import { findSourceFormat } from '../../quant/registry.ts';
import { DerivedParts } from '../derived-source.ts';
import { isJsonObject, type JsonObject } from '../json.ts';
import { contiguousSlices, dimensions, type SourceTensor } from '../tensor.ts';
import { blockSize, type Fp8Blocks, fp4Tensor, fp8Scheme } from './fp8.ts';
import type { SafetensorsEntry } from './reader.ts';
import {
  badEntry,
  bytesOf,
  bytesPer,
  type Entries,
  floatsOf,
  groupFor,
  needShape,
  readAll,
  type Scheme,
  scaleTypes,
} from './scheme.ts';

/** Bits and group sizes that the groups of the config have; a group size of 0 stands for a scale for each row. */
export interface CompressedGroup {
  readonly bits: number;
  readonly groupSize: number;
}

const formats = [
  'pack-quantized',
  'int-quantized',
  'naive-quantized',
  'float-quantized',
  'nvfp4-pack-quantized',
  'mxfp4-pack-quantized',
  'mxfp8-quantized',
  'mixed-precision',
  'dense',
];

export interface CompressedWeights {
  readonly groups: readonly CompressedGroup[];
  readonly blocks: Fp8Blocks;
}

/** Throws unsupported for a format this build does not read. */
export function compressedWeights(config: JsonObject, file: string): CompressedWeights {
  const { format = 'pack-quantized', config_groups: groups } = config;
  if (typeof format !== 'string' || !formats.includes(format)) {
    throw new IngotError(
      'unsupported',
      `${file}: compressed-tensors format ${JSON.stringify(format)?.slice(0, 60)} is not supported; use ${formats.join(', ')}, MLX or GGUF weights`,
    );
  }
  const all = Object.values(isJsonObject(groups) ? groups : {}).flatMap((group) => {
    const weights = isJsonObject(group) ? group.weights : undefined;
    return isJsonObject(weights) ? [weights] : [];
  });
  return {
    groups: all.flatMap(({ num_bits: bits, group_size: size }) => {
      const groupSize = typeof size === 'number' && size > 0 ? size : 0;
      return typeof bits === 'number' ? [{ bits, groupSize }] : [];
    }),
    blocks: all.map((weights) => blockSize(weights.block_structure)).find((blocks) => blocks !== undefined),
  };
}

export const compressedScheme =
  ({ groups, blocks }: CompressedWeights): Scheme =>
  (entry, entries) => {
    const { name } = entry;
    const module = name.replace(/\.weight(_packed|_scale|_shape|_zero_point|_global_scale|_g_idx)?$/, '');
    const packed = entries.get(`${module}.weight_packed`);
    if (packed !== undefined && name !== packed.name) return [];
    if (packed !== undefined) return [packedTensor(module, packed, entries, groups)];
    if (/\.(input_scale|input_global_scale|weight_zero_point)$/.test(name)) return [];
    const scale = entries.get(`${module}.weight_scale`);
    if (name.endsWith('.weight_scale') && entries.get(`${module}.weight`)?.dtype === 'I8') return [];
    if (name.endsWith('.weight') && entry.dtype === 'I8' && scale !== undefined)
      return [byteTensor(entry, scale, entries)];
    return fp8Scheme(blocks)(entry, entries);
  };

function packedTensor(
  module: string,
  packed: SafetensorsEntry,
  entries: Entries,
  groups: readonly CompressedGroup[],
): SourceTensor {
  const scale = entries.get(`${module}.weight_scale`);
  if (scale === undefined) badEntry(packed, 'has no weight_scale beside it');
  if (packed.dtype === 'U8' && scale.dtype === 'U8') return fp4Tensor(packed, scale, `${module}.weight`);
  if (packed.dtype === 'U8') {
    const whole = entries.get(`${module}.weight_global_scale`);
    if (whole === undefined) badEntry(packed, 'has no weight_global_scale beside it');
    return nvfp4Tensor(packed, scale, whole, (each, all) => each / all);
  }
  if (packed.dtype !== 'I32') badEntry(packed, `must be I32 or U8, found ${packed.dtype}`);
  if (packed.shape.length !== 2) badEntry(packed, `must be a matrix, found [${packed.shape}]`);
  const order = entries.get(`${module}.weight_g_idx`);
  if (order !== undefined) {
    throw new IngotError(
      'unsupported',
      `${packed.source.name}: ${module} has its columns in the order of their activations (weight_g_idx); use a file quantised without actorder, or GGUF`,
    );
  }
  const { rows, columns: words } = dimensions(packed.shape);
  const across = scale.shape.at(-1) ?? 0;
  // The config has one group for most files; where it has several, the shapes say which one this is.
  const fitting = groups.filter(({ bits, groupSize }) => {
    const columns = (words * 32) / bits;
    return groupSize === 0 ? across === 1 : columns === across * groupSize;
  });
  const [first, ...others] = fitting;
  if (first === undefined || others.some((g) => g.bits !== first.bits)) {
    badEntry(
      packed,
      `[${packed.shape}] with scales [${scale.shape}] fits no single group of quantization_config`,
    );
  }
  const bits = affineBits.find((each) => each === first.bits);
  if (bits === undefined) {
    throw new IngotError(
      'unsupported',
      `${packed.source.name}: ${module} has ${first.bits} bits; ${affineBits.join(', ')} can be used, or GGUF`,
    );
  }
  return integerTensor(module, { rows, columns: (words * 32) / bits, bits }, scale, {
    codes: packed,
    zeros: entries.get(`${module}.weight_zero_point`),
  });
}

interface IntegerShape {
  readonly rows: number;
  readonly columns: number;
  readonly bits: AffineBits;
}

/** w = s (u - zero): an affine layout with the minimum -s zero. */
function integerTensor(
  module: string,
  { rows, columns, bits }: IntegerShape,
  scale: SafetensorsEntry,
  stored: {
    readonly codes?: SafetensorsEntry;
    readonly bytes?: SafetensorsEntry;
    readonly zeros?: SafetensorsEntry | undefined;
  },
): SourceTensor {
  const entry = stored.codes ?? stored.bytes ?? scale;
  const own = scaleTypes[scale.dtype];
  if (own === undefined) badEntry(scale, `has type ${scale.dtype}; scales of F32, F16 and BF16 can be used`);
  const across = scale.shape.length < 2 ? 1 : (scale.shape.at(-1) ?? 1);
  const down = scale.shape[0] ?? 1;
  if ((down !== rows && down !== 1) || columns % across !== 0)
    badEntry(scale, `[${scale.shape}] has no scale for each group of [${rows}, ${columns}]`);
  const width = columns / across;
  const group = groupFor(width);
  if (group === undefined) badEntry(scale, `has scales for ${width} columns; multiples of 32 can be used`);
  const { zeros } = stored;
  if (zeros !== undefined && zeros.dtype === 'I32' && stored.codes !== undefined)
    needShape(zeros, [Math.ceil((rows * bits) / 32), across], `for the zero points of [${rows}, ${columns}]`);
  else if (zeros !== undefined) {
    if (zeros.dtype !== 'I8') badEntry(zeros, `must be I8, or I32 beside packed codes, found ${zeros.dtype}`);
    needShape(zeros, scale.shape, 'as the scales');
  }
  // A power of two times a scale is of the scale's type, other zero points are not.
  const dtype = zeros === undefined ? own : 'f32';
  const format = findSourceFormat(`mlx${bits}/${group}/${dtype}`);
  if (format === undefined) throw new Error(`no source format for ${bits} bits in groups of ${group}`);
  const groups = columns / group;
  const metaBytes = rows * groups * bytesPer(dtype);
  const sizes = [metaBytes, metaBytes, ...(stored.bytes === undefined ? [] : [rows * columns])];
  const middle = 2 ** (bits - 1);
  const parts = new DerivedParts(entry.source.name, sizes, async () => {
    const scales = floatsOf(await readAll(scale), own);
    const zeroAt =
      zeros === undefined ? () => middle : zeroPoints(await readAll(zeros), zeros, { across, bits, middle });
    const s = new Float32Array(rows * groups);
    const m = new Float32Array(rows * groups);
    for (let n = 0, at = 0; n < rows; n++) {
      for (let g = 0; g < groups; g++, at++) {
        const from = Math.floor((g * group) / width);
        s[at] = scales[(down === 1 ? 0 : n) * across + from] as number;
        m[at] = -(s[at] as number) * zeroAt(down === 1 && zeros?.dtype === 'I8' ? 0 : n, from);
      }
    }
    const made = [bytesOf(s, dtype), bytesOf(m, dtype)];
    if (stored.bytes === undefined) return made;
    return [...made, (await readAll(stored.bytes)).map((byte) => byte ^ 0x80)];
  });
  const codes = stored.codes ?? { source: parts.source(2), offset: 0 };
  const metas = [0, 1].map((i) => ({ source: parts.source(i), offset: 0 }));
  const slices = contiguousSlices(format, [rows, columns], [codes, ...metas]);
  return { kind: 'source', name: `${module}.weight`, shape: [rows, columns], format, slices };
}

/** The stored code of zero for a row and group: packed along the rows as codes are along columns, or bytes. */
function zeroPoints(
  bytes: Uint8Array,
  { dtype }: SafetensorsEntry,
  { across, bits, middle }: { readonly across: number; readonly bits: number; readonly middle: number },
): (row: number, group: number) => number {
  if (dtype === 'I8') return (row, group) => (((bytes[row * across + group] as number) << 24) >> 24) + middle;
  const word = (i: number, group: number): number => readU32(bytes, (i * across + group) * 4);
  return (row, group) => {
    const [at, shift] = [(row * bits) >> 5, (row * bits) & 31];
    const low = word(at, group) >>> shift;
    // A code may begin in one word and end in the next.
    const high = shift + bits > 32 ? word(at + 1, group) << (32 - shift) : 0;
    return (low | high) & (2 ** bits - 1);
  };
}

/** Signed bytes with scales: the codes are the bytes with their highest bit turned. */
function byteTensor(weight: SafetensorsEntry, scale: SafetensorsEntry, entries: Entries): SourceTensor {
  if (weight.shape.length !== 2) badEntry(weight, `must be a matrix, found [${weight.shape}]`);
  const { rows, columns } = dimensions(weight.shape);
  const module = weight.name.replace(/\.weight$/, '');
  const zeros = entries.get(`${module}.weight_zero_point`);
  return integerTensor(module, { rows, columns, bits: 8 }, scale, { bytes: weight, zeros });
}

/**
 * NVFP4: scales e4m3 for 16 columns, and one for the whole tensor. `joined` makes one of both. Throws FileFormatError for types and shapes
 * that do not fit.
 */
export function nvfp4Tensor(
  packed: SafetensorsEntry,
  scale: SafetensorsEntry,
  global: SafetensorsEntry,
  joined: (scale: number, whole: number) => number,
): SourceTensor {
  const { rows, columns: bytes } = dimensions(packed.shape);
  const columns = 2 * bytes;
  if (packed.shape.length !== 2 || columns % 32 !== 0)
    badEntry(packed, `[${packed.shape}] is not whole groups of 16 columns`);
  if (scale.dtype !== 'F8_E4M3') badEntry(scale, `must be F8_E4M3, found ${scale.dtype}`);
  needShape(scale, [rows, columns / 16], `for [${rows}, ${columns}]`);
  if (global.dtype !== 'F32' || global.bytes !== 4)
    badEntry(global, `must be one F32, found ${global.dtype} [${global.shape}]`);
  const format = findSourceFormat('nvfp4/16/f32');
  if (format === undefined) throw new Error('no source format nvfp4/16/f32');
  const parts = new DerivedParts(scale.source.name, [scale.bytes * 4], async () => {
    const [whole = 1] = floatsOf(await readAll(global), 'f32');
    return [
      bytesOf(
        Float32Array.from(await readAll(scale), (byte) => joined(e4m3ToF32(byte), whole)),
        'f32',
      ),
    ];
  });
  const slices = contiguousSlices(format, [rows, columns], [packed, { source: parts.source(0), offset: 0 }]);
  const name = packed.name.replace(/_packed$/, '');
  return { kind: 'source', name, shape: [rows, columns], format, slices };
}
