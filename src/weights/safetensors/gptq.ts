// GPTQ and AWQ: 4-bit (GPTQ also 2 and 8) codes in 32-bit words of transposed matrices, with zero points and f16 scales for groups of columns.
// w = s (q - z). They become affine rows with f32 scales and minimums, which hold s and -s z exactly.

import { FileFormatError, IngotError } from '../../base/errors.ts';
import type { SourceFormat } from '../../quant/format.ts';
import { readU32 } from '../../quant/format.ts';
import { f16 } from '../../quant/formats/float.ts';
import { findSourceFormat } from '../../quant/registry.ts';
import { DerivedParts } from '../derived-source.ts';
import type { JsonObject } from '../json.ts';
import { contiguousSlices, type SourceTensor } from '../tensor.ts';
import type { SafetensorsEntry } from './reader.ts';
import {
  badEntry,
  bytesOf,
  type Entries,
  floatsOf,
  groupFor,
  needShape,
  readAll,
  type Scheme,
  scaleTypes,
} from './scheme.ts';

export interface GptqQuantization {
  readonly method: 'gptq' | 'awq';
  readonly bits: 2 | 4 | 8;
  /** 0: one group for a whole row. */
  readonly groupSize: number;
  /** What is added to stored zero points: the first version of GPTQ stores them one less. */
  readonly zeroOffset: number;
  /** Columns are in the order of their activations: each says its group. */
  readonly reordered: boolean;
}

/** Throws unsupported for bits and variants this build does not read. */
export function gptqQuantization(config: JsonObject, method: 'gptq' | 'awq', file: string): GptqQuantization {
  const {
    bits = config.w_bit ?? 4,
    group_size: size = config.q_group_size ?? 128,
    version = 'gemm',
  } = config;
  const known = method === 'gptq' ? [2, 4, 8] : [4];
  if (!known.includes(bits as number)) {
    throw new IngotError(
      'unsupported',
      `${file}: ${method} with ${JSON.stringify(bits)} bits is not supported; use ${known.join(', ')} bits, MLX or GGUF weights`,
    );
  }
  if (method === 'awq' && String(version).toLowerCase() !== 'gemm') {
    throw new IngotError(
      'unsupported',
      `${file}: awq version ${JSON.stringify(version)?.slice(0, 40)} is not supported; use gemm, MLX or GGUF weights`,
    );
  }
  if (!Number.isSafeInteger(size))
    throw new FileFormatError(file, 'quantization_config.group_size', 'must be an integer');
  const second = config.checkpoint_format === 'gptq_v2';
  return {
    method,
    bits: bits as 2 | 4 | 8,
    groupSize: Math.max(0, size as number),
    zeroOffset: method === 'gptq' && !second ? 1 : 0,
    reordered: method === 'gptq' && config.desc_act === true,
  };
}

export const gptqScheme =
  (quantization: GptqQuantization): Scheme =>
  (entry, entries) => {
    const match = /^(.*)\.(qweight|qzeros|scales|g_idx)$/.exec(entry.name);
    const codes = match === null ? undefined : entries.get(`${match[1]}.qweight`);
    if (match === null || codes === undefined) return undefined;
    return match[2] === 'qweight' ? [tensorOf(match[1] ?? '', codes, entries, quantization)] : [];
  };

interface Sizes {
  readonly rows: number;
  readonly columns: number;
  readonly groups: number;
  readonly width: number;
}

function tensorOf(
  module: string,
  codes: SafetensorsEntry,
  entries: Entries,
  q: GptqQuantization,
): SourceTensor {
  const [zeros, scales] = ['qzeros', 'scales'].map((part) => entries.get(`${module}.${part}`));
  if (zeros === undefined || scales === undefined) badEntry(codes, 'has no qzeros and scales beside it');
  for (const entry of [codes, zeros])
    if (entry.dtype !== 'I32') badEntry(entry, `must be I32, found ${entry.dtype}`);
  const type = scaleTypes[scales.dtype];
  if (type === undefined) badEntry(scales, `must be F16, BF16 or F32, found ${scales.dtype}`);
  const perWord = 32 / q.bits;
  const [down = 0, across = 0] = codes.shape;
  const [columns, rows] = q.method === 'gptq' ? [down * perWord, across] : [down, across * perWord];
  const width = q.groupSize === 0 ? columns : q.groupSize;
  const groups = Math.ceil(columns / width);
  if (codes.shape.length !== 2 || columns * rows === 0)
    badEntry(codes, `must be a matrix, found [${codes.shape}]`);
  needShape(scales, [groups, rows], `for [${rows}, ${columns}] in groups of ${width}`);
  needShape(zeros, [groups, Math.ceil(rows / perWord)], `for [${rows}, ${columns}] in groups of ${width}`);
  const order = entries.get(`${module}.g_idx`);
  if (order !== undefined && order.dtype !== 'I32') badEntry(order, `must be I32, found ${order.dtype}`);
  if (order !== undefined) needShape(order, [columns], `for [${rows}, ${columns}]`);
  const sizes: Sizes = { rows, columns, groups, width };
  const read = async (): Promise<Grid> => {
    const [words, zeroWords, scaleBytes, orderBytes] = await Promise.all([
      readAll(codes),
      readAll(zeros),
      readAll(scales),
      order === undefined ? undefined : readAll(order),
    ]);
    const groupOf =
      order === undefined || orderBytes === undefined ? undefined : groupsOf(order, orderBytes, sizes, q);
    return { codes: words, zeros: zeroWords, scales: floatsOf(scaleBytes, type), groupOf };
  };
  const group = groupFor(columns % width === 0 ? width : 0);
  const format = group === undefined ? undefined : findSourceFormat(`mlx${q.bits}/${group}/f32`);
  // Rows whose columns have no groups side by side become f16, as transformers computes with them.
  if (format === undefined || q.reordered) return denseTensor(module, sizes, q, codes, read);
  return affineTensor(module, format, sizes, q, codes, read);
}

/** What a tensor's files have. */
interface Grid {
  readonly codes: Uint8Array;
  readonly zeros: Uint8Array;
  /** `[groups, rows]`. */
  readonly scales: Float32Array;
  /** Group of each column; undefined: in order. */
  readonly groupOf: Int32Array | undefined;
}

/** Throws FileFormatError for groups there are none of, and for an order that the config denies. */
function groupsOf(
  order: SafetensorsEntry,
  bytes: Uint8Array,
  { columns, groups, width }: Sizes,
  { reordered }: GptqQuantization,
): Int32Array {
  const found = Int32Array.from({ length: columns }, (_, k) => readU32(bytes, 4 * k) | 0);
  const bad = found.findIndex(
    (group, k) => group < 0 || group >= groups || (!reordered && group !== Math.floor(k / width)),
  );
  if (bad < 0) return found;
  return badEntry(
    order,
    reordered
      ? `column ${bad} is in group ${found[bad]} of ${groups}`
      : `column ${bad} is in group ${found[bad]}, but quantization_config does not say desc_act`,
  );
}

/** Where AWQ puts the columns of a word. */
const awqOrder = [0, 2, 4, 6, 1, 3, 5, 7];
const awqPlaces = awqOrder.map((_, i) => awqOrder.indexOf(i));

/** The code of row n and column k. */
function codeAt(q: GptqQuantization, { rows }: Sizes, codes: Uint8Array, n: number, k: number): number {
  const perWord = 32 / q.bits;
  const word =
    q.method === 'gptq'
      ? readU32(codes, (Math.floor(k / perWord) * rows + n) * 4)
      : readU32(codes, (k * (rows / perWord) + Math.floor(n / perWord)) * 4);
  const place = q.method === 'gptq' ? k % perWord : (awqPlaces[n % perWord] as number);
  return (word >>> (place * q.bits)) & (2 ** q.bits - 1);
}

/** The zero point of row n in a group. */
function zeroAt(q: GptqQuantization, { rows }: Sizes, zeros: Uint8Array, group: number, n: number): number {
  const perWord = 32 / q.bits;
  const word = readU32(zeros, (group * Math.ceil(rows / perWord) + Math.floor(n / perWord)) * 4);
  const place = q.method === 'gptq' ? n % perWord : (awqPlaces[n % perWord] as number);
  return ((word >>> (place * q.bits)) & (2 ** q.bits - 1)) + q.zeroOffset;
}

function affineTensor(
  module: string,
  format: SourceFormat,
  sizes: Sizes,
  q: GptqQuantization,
  codes: SafetensorsEntry,
  read: () => Promise<Grid>,
): SourceTensor {
  const { rows, columns, width } = sizes;
  const { group } = format.layout;
  const groups = columns / group;
  const bytes = format.rowBytes(columns).map((each) => each * rows);
  const parts = new DerivedParts(codes.source.name, bytes, async () => {
    const grid = await read();
    const words = new Uint8Array(bytes[0] ?? 0);
    const scales = new Float32Array(rows * groups);
    const minimums = new Float32Array(rows * groups);
    for (let n = 0; n < rows; n++) {
      for (let k = 0; k < columns; k++) {
        const bit = (n * columns + k) * q.bits;
        const code = codeAt(q, sizes, grid.codes, n, k);
        words[bit >> 3] = (words[bit >> 3] as number) | (code << (bit & 7));
      }
      for (let g = 0; g < groups; g++) {
        const from = Math.floor((g * group) / width);
        const scale = grid.scales[from * rows + n] as number;
        scales[n * groups + g] = scale;
        minimums[n * groups + g] = -scale * zeroAt(q, sizes, grid.zeros, from, n);
      }
    }
    return [words, bytesOf(scales, 'f32'), bytesOf(minimums, 'f32')];
  });
  return sourceTensor(module, format, [rows, columns], parts, bytes.length);
}

function denseTensor(
  module: string,
  sizes: Sizes,
  q: GptqQuantization,
  codes: SafetensorsEntry,
  read: () => Promise<Grid>,
): SourceTensor {
  const { rows, columns, width } = sizes;
  const parts = new DerivedParts(codes.source.name, [rows * columns * 2], async () => {
    const grid = await read();
    const values = new Float32Array(rows * columns);
    for (let n = 0; n < rows; n++) {
      for (let k = 0; k < columns; k++) {
        const group = grid.groupOf?.[k] ?? Math.floor(k / width);
        const zero = zeroAt(q, sizes, grid.zeros, group, n);
        values[n * columns + k] =
          (grid.scales[group * rows + n] as number) * (codeAt(q, sizes, grid.codes, n, k) - zero);
      }
    }
    return [bytesOf(values, 'f16')];
  });
  return sourceTensor(module, f16, [rows, columns], parts, 1);
}

function sourceTensor(
  module: string,
  format: SourceFormat,
  shape: readonly number[],
  parts: DerivedParts,
  count: number,
): SourceTensor {
  const sources = Array.from({ length: count }, (_, i) => ({ source: parts.source(i), offset: 0 }));
  return {
    kind: 'source',
    name: `${module}.weight`,
    shape,
    format,
    slices: contiguousSlices(format, shape, sources),
  };
}
