// FP8 e4m3 weights with scales beside them: one for each block of rows and columns (DeepSeek's `weight_scale_inv`, and `scale` in V4), for each row or for the
// whole tensor (compressed-tensors' and fbgemm's `weight_scale`). Also 4-bit floats in bytes whose scales are powers of two for 32 columns.

import { FileFormatError } from '../../base/errors.ts';
import type { SourceFormat } from '../../quant/format.ts';
import { mlxMxfp4 } from '../../quant/formats/fp4.ts';
import { findSourceFormat } from '../../quant/registry.ts';
import { DerivedParts } from '../derived-source.ts';
import type { JsonObject } from '../json.ts';
import { contiguousSlices, dimensions, type SourceTensor } from '../tensor.ts';
import type { SafetensorsEntry } from './reader.ts';
import {
  badEntry,
  bytesOf,
  bytesPer,
  floatsOf,
  groupFor,
  readAll,
  type Scheme,
  scaleTypes,
} from './scheme.ts';

const scaleNames = ['weight_scale_inv', 'weight_scale', 'scale'];

/** Rows and columns of a block as the config says; undefined: 128, or what follows from the shapes. */
export type Fp8Blocks =
  | { readonly rows: number; readonly columns: number /** No tensor has others. */; readonly all: boolean }
  | undefined;

/** `weight_block_size` of a config. Throws FileFormatError for what is none. */
export function fp8Blocks({ weight_block_size: size }: JsonObject, file: string): Fp8Blocks {
  if (size === undefined || size === null) return undefined;
  const blocks = blockSize(size);
  if (blocks !== undefined) return { ...blocks, all: true };
  throw new FileFormatError(
    file,
    'quantization_config.weight_block_size',
    `must be the rows and columns of a block, found ${JSON.stringify(size)?.slice(0, 40)}`,
  );
}

export function blockSize(size: unknown): Fp8Blocks {
  if (!Array.isArray(size) || size.length !== 2 || !size.every((n) => Number.isSafeInteger(n) && n > 0))
    return undefined;
  const [rows, columns] = size as [number, number];
  return { rows, columns, all: false };
}

export const fp8Scheme =
  (blocks: Fp8Blocks): Scheme =>
  (entry, entries) => {
    const part = /^(.*)\.(weight_scale_inv|weight_scale|scale|input_scale|activation_scale)$/.exec(
      entry.name,
    );
    if (part !== null && isCoded(entries.get(`${part[1]}.weight`))) return [];
    if (!isCoded(entry) || !entry.name.endsWith('.weight')) return undefined;
    const module = entry.name.replace(/\.weight$/, '');
    const scale = scaleNames.map((name) => entries.get(`${module}.${name}`)).find((e) => e !== undefined);
    if (scale === undefined)
      return entry.dtype === 'F8_E4M3' ? 'has type F8_E4M3 but no scale beside it' : undefined;
    return [
      entry.dtype === 'F8_E4M3' ? fp8Tensor(entry, scale, blocks) : fp4Tensor(entry, scale, entry.name),
    ];
  };

const isCoded = (entry: SafetensorsEntry | undefined): boolean =>
  entry !== undefined && ['F8_E4M3', 'I8', 'U8', 'F4'].includes(entry.dtype);

/** Columns and rows that share a scale. Throws FileFormatError when the blocks do not fill the matrix. */
function blockOf(
  weight: SafetensorsEntry,
  scale: SafetensorsEntry,
  blocks: Fp8Blocks,
): { readonly rows: number; readonly columns: number; readonly grid: readonly [number, number, number] } {
  const { matrices, rows, columns } = dimensions(weight.shape);
  const elements = scale.shape.reduce((product, d) => product * d, 1);
  if (elements === 1) return { rows, columns, grid: [1, 1, 1] };
  // A vector has a scale for each row.
  const [across = 1, down = 1, deep = 1] =
    scale.shape.length === 1 ? [1, elements] : scale.shape.toReversed();
  const block = {
    rows: sizeOf(rows, down, blocks?.all, blocks?.rows),
    columns: sizeOf(columns, across, blocks?.all, blocks?.columns),
  };
  if (deep === matrices && block.rows > 0 && block.columns > 0)
    return { ...block, grid: [deep, down, across] };
  const size = blocks?.all === true ? `${blocks.rows} x ${blocks.columns} of ` : '';
  return badEntry(
    scale,
    `[${scale.shape}] has no scale for each block of ${size}${weight.name} [${weight.shape}]`,
  );
}

/**
 * Size of `count` blocks that fill `length`, the last of which may be smaller: what the config says, by default what all use; or, unless the
 * config says it of all tensors, an exact share. 0: there is none.
 */
function sizeOf(length: number, count: number, all = false, said = 128): number {
  if (Math.ceil(length / said) === count) return said;
  if (all) return 0;
  return count > 0 && length % count === 0 ? length / count : 0;
}

function fp8Tensor(weight: SafetensorsEntry, scale: SafetensorsEntry, blocks: Fp8Blocks): SourceTensor {
  const { matrices, rows, columns } = dimensions(weight.shape);
  const block = blockOf(weight, scale, blocks);
  // Powers of two become bf16, which has all of them.
  const powers = scale.dtype === 'F8_E8M0' || scale.dtype === 'U8';
  const dtype = powers ? 'bf16' : scaleTypes[scale.dtype];
  if (dtype === undefined)
    badEntry(scale, `has type ${scale.dtype}; scales of F32, F16, BF16, F8_E8M0 and U8 can be used`);
  const group = block.columns >= columns ? groupFor(columns) : groupFor(columns, block.columns);
  if (group === undefined)
    badEntry(weight, `has scales for ${block.columns} of ${columns} columns; multiples of 32 can be used`);
  const format = formatNamed(`fp8/${group}/${dtype}`);
  const groups = columns / group;
  const parts = new DerivedParts(
    scale.source.name,
    [matrices * rows * groups * bytesPer(dtype)],
    async () => {
      const bytes = await readAll(scale);
      const stored = powers
        ? Float32Array.from(bytes, (e) => (e === 255 ? Number.NaN : 2 ** (e - 127)))
        : floatsOf(bytes, dtype);
      const [deep, down, across] = block.grid;
      const values = new Float32Array(matrices * rows * groups);
      for (let e = 0, at = 0; e < matrices; e++) {
        for (let n = 0; n < rows; n++) {
          const row = ((deep === 1 ? 0 : e) * down + Math.floor(n / block.rows)) * across;
          for (let g = 0; g < groups; g++)
            values[at++] = stored[row + Math.floor((g * group) / block.columns)] as number;
        }
      }
      return [bytesOf(values, dtype)];
    },
  );
  const slices = contiguousSlices(format, weight.shape, [weight, { source: parts.source(0), offset: 0 }]);
  return { kind: 'source', name: weight.name, shape: weight.shape, format, slices };
}

/** Two e2m1 in a byte, the first in the low bits, and a power of two for 32 columns: MXFP4. */
export function fp4Tensor(weight: SafetensorsEntry, scale: SafetensorsEntry, name: string): SourceTensor {
  const perByte = weight.dtype === 'F4' ? 1 : 2; // F4 counts its elements
  const shape = [...weight.shape.slice(0, -1), perByte * (weight.shape.at(-1) ?? 0)];
  const expected = [...shape.slice(0, -1), (shape.at(-1) ?? 0) / 32];
  const fits = scale.shape.length === expected.length && scale.shape.every((d, i) => d === expected[i]);
  if (!fits || (scale.dtype !== 'U8' && scale.dtype !== 'F8_E8M0'))
    badEntry(
      scale,
      `must be F8_E8M0 [${expected}] for two 4-bit floats in each byte of [${weight.shape}], found ${scale.dtype} [${scale.shape}]`,
    );
  const slices = contiguousSlices(mlxMxfp4, shape, [weight, scale]);
  return { kind: 'source', name, shape, format: mlxMxfp4, slices };
}

function formatNamed(name: string): SourceFormat {
  const format = findSourceFormat(name);
  if (format === undefined) throw new Error(`no source format ${name}`);
  return format;
}
