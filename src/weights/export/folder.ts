// A checkpoint as a folder of safetensors: plain floats, MLX's quantised forms, FP8 with a scale for each block of 128 x 128, or NF4 as
// bitsandbytes has it.

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { IngotError } from '../../base/errors.ts';
import type { SourceFormat } from '../../quant/format.ts';
import { f32ToE4m3 } from '../../quant/half.ts';
import { isFloatLayout } from '../../quant/layout.ts';
import { renameWhenWhole, writeAtomically } from '../atomic-file.ts';
import { isJsonObject, type JsonObject } from '../json.ts';
import { nf4Quantiles, nfBlock, nfConfig, nfState, stateSuffix } from '../safetensors/bitsandbytes.ts';
import type { SafetensorsDType } from '../safetensors/reader.ts';
import { bytesOf } from '../safetensors/scheme.ts';
import { type WritableSafetensor, writeSafetensors } from '../safetensors/writer.ts';
import { dimensions } from '../tensor.ts';
import { configText } from './config-text.ts';
import type { ExportProgress } from './progress.ts';
import { encodedPieces, piecesOf } from './rows.ts';
import type { StoredTensor } from './stored.ts';

/** How quantised matrices are stored. */
export type FolderKind = 'mlx' | 'plain' | 'fp8' | 'nf4';

/** Small files that go beside the weights, by name. */
export type SmallFiles = ReadonlyMap<string, Uint8Array>;

export interface FolderContent {
  readonly kind: FolderKind;
  /** config.json of the model; what it says of quantisation is replaced. */
  readonly config: JsonObject;
  /** The text it was read from, when it was a file. */
  readonly configText?: string | undefined;
  readonly tensors: readonly StoredTensor[];
  readonly files: SmallFiles;
}

/** Writes the folder whole or not at all. Rejects with disk_full when there is no room. */
export async function writeFolder(
  path: string,
  content: FolderContent,
  progress: ExportProgress,
): Promise<void> {
  const { files } = content;
  await renameWhenWhole(path, async (temporary) => {
    await mkdir(temporary);
    for (const [name, bytes] of files) await writeFile(join(temporary, name), bytes);
    const { config, tensors } = folderFiles(content, progress);
    await writeFile(join(temporary, 'config.json'), configText(config, content.configText));
    await writeAtomically(join(temporary, 'model.safetensors'), (sink) => writeSafetensors(sink, tensors));
  });
}

/** config.json and the tensors of model.safetensors. */
export const folderFiles = (
  content: FolderContent,
  progress: ExportProgress,
): { readonly config: JsonObject; readonly tensors: readonly WritableSafetensor[] } => ({
  config: folderConfig(content),
  tensors: content.tensors.flatMap((stored) => writableTensors(stored, content.kind, progress)),
});

/** The config with what the weights are quantised by in place of what it said before. */
function folderConfig({ config, tensors, kind }: FolderContent): JsonObject {
  const { quantization: _, quantization_config: __, ...kept } = config;
  const rest = kind === 'mlx' ? { ...kept, ...mlxFields(kept) } : kept;
  if (kind === 'fp8') {
    const quantization_config = {
      quant_method: 'fp8',
      activation_scheme: 'dynamic',
      weight_block_size: [block, block],
    };
    return { ...rest, quantization_config };
  }
  if (kind === 'nf4') {
    const kept = tensors.filter(({ shape, format }) => shape.length > 1 && isFloatLayout(format.layout));
    return { ...rest, quantization_config: nfConfig(kept.map(({ name }) => name.replace(/\.weight$/, ''))) };
  }
  const quantised = tensors.filter(({ format }) => !isFloatLayout(format.layout));
  const [first] = quantised;
  if (kind === 'plain' || first === undefined) return rest;
  const main = mlxParameters(mostCommon(quantised.map(({ format }) => format)) ?? first.format);
  const others = quantised.flatMap(({ name, format }) => {
    const own = mlxParameters(format);
    const same = JSON.stringify(own) === JSON.stringify(main);
    return same ? [] : [[name.replace(/\.weight$/, ''), own] as const];
  });
  const quantization = { ...main, ...Object.fromEntries(others) };
  return { ...rest, quantization, quantization_config: quantization };
}

/** Fields that MLX's models ask for under the names that older configs have. */
function mlxFields(config: JsonObject): JsonObject {
  const rope = isJsonObject(config.rope_parameters) ? config.rope_parameters : {};
  // Of settings by kind of layer those of full attention; layers within a window have a base of their own.
  const { rope_theta, partial_rotary_factor, ...scaling } = isJsonObject(rope.full_attention)
    ? rope.full_attention
    : rope;
  const { rope_theta: local } = isJsonObject(rope.sliding_attention) ? rope.sliding_attention : {};
  const type = scaling.rope_type ?? scaling.type;
  const older: JsonObject = {
    rope_theta,
    partial_rotary_factor,
    rope_local_base_freq: local,
    rope_scaling: type === undefined || type === 'default' ? null : { ...scaling, type },
    num_experts: config.num_local_experts,
  };
  const missing = Object.entries(older).filter(
    ([name, value]) => value !== undefined && config[name] === undefined,
  );
  return Object.fromEntries(missing);
}

function mostCommon(formats: readonly SourceFormat[]): SourceFormat | undefined {
  const counts = new Map<SourceFormat, number>();
  for (const format of formats) counts.set(format, (counts.get(format) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0];
}

function mlxParameters({ name, blockBytes, layout }: SourceFormat): JsonObject {
  const mode = /^mlx-(\w+)$/.exec(name)?.[1];
  return { group_size: layout.group, bits: blockBytes, ...(mode === undefined ? {} : { mode }) };
}

const dtypes: Readonly<Record<string, SafetensorsDType>> = {
  f32: 'F32',
  f16: 'F16',
  bf16: 'BF16',
  e8m0: 'U8',
  e4m3: 'U8',
};

function writableTensors(
  stored: StoredTensor,
  kind: FolderKind,
  progress: ExportProgress,
): readonly WritableSafetensor[] {
  if (isFloatLayout(stored.format.layout)) return floatTensors(stored, progress);
  if (kind === 'nf4') return nfTensors(stored, progress);
  return kind === 'fp8' ? fp8Tensors(stored, progress) : mlxTensors(stored, progress);
}

/** The tensors of a stack whose name has a `*`, one for each matrix; else the one that it is. */
function* tensorsOf({ name, shape }: StoredTensor): Generator<{
  readonly name: string;
  readonly shape: readonly number[];
  readonly only?: number;
  readonly last: boolean;
}> {
  if (!name.includes('*')) {
    yield { name, shape, last: true };
    return;
  }
  const [matrices = 0] = shape;
  for (let e = 0; e < matrices; e++)
    yield { name: name.replace('*', String(e)), shape: shape.slice(1), only: e, last: e === matrices - 1 };
}

/** Floats, row after row. */
function floatTensors(stored: StoredTensor, progress: ExportProgress): readonly WritableSafetensor[] {
  const { format } = stored;
  const dtype = dtypes[format.name] ?? 'BF16';
  return Array.from(tensorsOf(stored), ({ name, shape, only, last }) => ({
    name,
    dtype,
    shape,
    bytes: format.blockBytes * shape.reduce((product, n) => product * n, 1),
    data: async function* (): AsyncGenerator<Uint8Array> {
      for await (const { values, rows } of piecesOf(stored, only === undefined ? {} : { only })) {
        progress.check();
        const columns = values.length / rows;
        for (let i = 0; i < rows; i++)
          yield* format.quantizeRow?.(values.subarray(i * columns, (i + 1) * columns)) ?? [];
      }
      if (last) progress.done(stored);
    },
  }));
}

/** Codes as words, then scales and biases, which are kept until the codes are written. */
function mlxTensors(stored: StoredTensor, progress: ExportProgress): readonly WritableSafetensor[] {
  const { name, shape, format } = stored;
  const { matrices, rows, columns } = dimensions(shape);
  const [codeBytes = 0, ...metaBytes] = format.rowBytes(columns).map((bytes) => bytes * rows * matrices);
  const outer = shape.slice(0, -1);
  const kept: Uint8Array[][] = metaBytes.map(() => []);
  const codes = async function* (): AsyncGenerator<Uint8Array> {
    for await (const [part, ...metas] of encodedPieces(stored, { encode: progress.encode })) {
      progress.check();
      metas.forEach((meta, i) => {
        kept[i]?.push(meta.slice());
      });
      if (part !== undefined) yield part;
    }
    progress.done(stored);
  };
  const module = name.replace(/\.weight$/, '');
  return [
    {
      name,
      dtype: 'U32',
      shape: [...outer, (columns * format.blockBytes) / 32],
      bytes: codeBytes,
      data: codes,
    },
    ...metaBytes.map(
      (bytes, i): WritableSafetensor => ({
        name: `${module}.${['scales', 'biases'][i]}`,
        dtype: dtypes[format.layout.metaDtype] ?? 'U8',
        shape: [...outer, columns / format.layout.group],
        bytes,
        data: () => kept[i]?.splice(0) ?? [],
      }),
    ),
  ];
}

/** Rows and columns of an FP8 block. */
const block = 128;

/**
 * e4m3 with the largest magnitude of a block at 448; the scales are what codes are multiplied by. Throws unsupported for a
 * stack that is one tensor.
 */
function fp8Tensors(stored: StoredTensor, progress: ExportProgress): readonly WritableSafetensor[] {
  return Array.from(tensorsOf(stored), ({ name, shape, only, last }): readonly WritableSafetensor[] => {
    if (shape.length !== 2) unwrittenStack(name, 'FP8');
    const { rows, columns } = dimensions(shape);
    const across = Math.ceil(columns / block);
    const down = Math.ceil(rows / block);
    const scales = new Float32Array(down * across);
    const codes = async function* (): AsyncGenerator<Uint8Array> {
      const options = { multiple: block, ...(only === undefined ? {} : { only }) };
      for await (const { first, rows: count, values } of piecesOf(stored, options)) {
        progress.check();
        yield encodeFp8(values, count, columns, scales.subarray((first / block) * across));
      }
      if (last) progress.done(stored);
    };
    return [
      { name, dtype: 'F8_E4M3', shape: [rows, columns], bytes: rows * columns, data: codes },
      {
        name: name.replace(/weight$/, 'weight_scale_inv'),
        dtype: 'F32',
        shape: [down, across],
        bytes: scales.byteLength,
        data: () => [new Uint8Array(scales.buffer)],
      },
    ];
  }).flat();
}

/** NF4 codes with their scales, numbers and state. Throws unsupported for a stack that is one tensor. */
function nfTensors(stored: StoredTensor, progress: ExportProgress): readonly WritableSafetensor[] {
  return Array.from(tensorsOf(stored), ({ name, shape, only, last }): readonly WritableSafetensor[] => {
    if (shape.length !== 2) unwrittenStack(name, 'NF4');
    const { rows, columns } = dimensions(shape);
    const scales: Uint8Array[] = [];
    const codes = async function* (): AsyncGenerator<Uint8Array> {
      for await (const [part, meta] of encodedPieces(stored, only === undefined ? {} : { only })) {
        progress.check();
        if (meta !== undefined) scales.push(meta.slice());
        // The first code of a byte is in its high bits.
        if (part !== undefined) yield part.map((byte) => (byte >> 4) | (byte << 4));
      }
      if (last) progress.done(stored);
    };
    const whole = (
      part: string,
      dtype: SafetensorsDType,
      data: Uint8Array,
      length: number,
    ): WritableSafetensor => ({
      name: `${name}.${part}`,
      dtype,
      shape: [length],
      bytes: data.byteLength,
      data,
    });
    const blocks = (rows * columns) / nfBlock;
    const state = nfState(shape);
    return [
      { name, dtype: 'U8', shape: [(rows * columns) / 2, 1], bytes: (rows * columns) / 2, data: codes },
      {
        name: `${name}.absmax`,
        dtype: 'F32',
        shape: [blocks],
        bytes: 4 * blocks,
        data: () => scales.splice(0),
      },
      whole('quant_map', 'F32', bytesOf(nf4Quantiles, 'f32'), nf4Quantiles.length),
      whole(stateSuffix, 'U8', state, state.length),
    ];
  }).flat();
}

function unwrittenStack(name: string, format: string): never {
  throw new IngotError(
    'unsupported',
    `${name} holds all experts, which ${format} is not written for; use MLX or GGUF`,
  );
}

/** Codes of whole rows of blocks (the last may be short), with the scale of each into `scales`. */
function encodeFp8(values: Float32Array, rows: number, columns: number, scales: Float32Array): Uint8Array {
  const across = Math.ceil(columns / block);
  const peaks = new Float32Array(Math.ceil(rows / block) * across);
  const place = (i: number): number => {
    const row = Math.floor(i / columns);
    return Math.floor(row / block) * across + Math.floor((i - row * columns) / block);
  };
  values.forEach((value, i) => {
    peaks[place(i)] = Math.max(peaks[place(i)] as number, Math.abs(value));
  });
  peaks.forEach((peak, b) => {
    scales[b] = peak / 448;
  });
  return Uint8Array.from(values, (value, i) => {
    const scale = scales[place(i)] as number;
    return scale === 0 ? 0 : f32ToE4m3(value / scale);
  });
}
