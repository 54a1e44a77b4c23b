// NF4 as bitsandbytes stores it: two codes in a byte, the first in the high bits, for the elements of a matrix one after the other; a
// scale for each run of 64; and a tensor of JSON that says the shape. Scales may themselves be 8-bit codes (double quantisation).

import { FileFormatError, IngotError } from '../../base/errors.ts';
import type { SourceFormat } from '../../quant/format.ts';
import { findSourceFormat } from '../../quant/registry.ts';
import { DerivedParts } from '../derived-source.ts';
import { type JsonObject, parseJsonObject } from '../json.ts';
import { contiguousSlices, type SourceTensor } from '../tensor.ts';
import type { SafetensorsEntry } from './reader.ts';
import { badEntry, bytesOf, type Entries, floatsOf, needShape, readAll, type Scheme } from './scheme.ts';

/** What the JSON of a tensor says, by the name of its state tensor. */
export type NfStates = ReadonlyMap<string, JsonObject>;

export const stateSuffix = 'quant_state.bitsandbytes__nf4';
/** Elements that share a scale. */
export const nfBlock = 64;
const maxState = 4096;

/** The numbers that codes stand for, times the scale of a block (https://arxiv.org/abs/2305.14314, appendix E). */
export const nf4Quantiles: readonly number[] = [
  -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
  -0.18477343022823334, -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725,
  0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
];

/** Reads the state tensors of a file; empty where it has none. */
export async function readStates(entries: Entries): Promise<NfStates> {
  const states = new Map<string, JsonObject>();
  for (const entry of entries.values()) {
    if (!entry.name.endsWith(`.${stateSuffix}`)) continue;
    if (entry.dtype !== 'U8' || entry.bytes > maxState)
      badEntry(entry, `must be JSON of at most ${maxState} bytes, found ${entry.dtype} [${entry.shape}]`);
    states.set(entry.name, parseJsonObject(await readAll(entry), entry.source.name, entry.name));
  }
  return states;
}

/** Throws unsupported for what is not NF4. */
export function nfScheme(config: JsonObject, file: string, states: NfStates): Scheme {
  if (config.load_in_8bit === true || (config.bnb_4bit_quant_type ?? 'fp4') !== 'nf4') {
    const what = config.load_in_8bit === true ? 'LLM.int8()' : 'FP4';
    throw new IngotError(
      'unsupported',
      `${file}: bitsandbytes' ${what} is not supported; use its NF4, plain weights, MLX or GGUF`,
    );
  }
  return (entry, entries) => {
    const part = /^(.*\.weight)\.(absmax|quant_map|nested_absmax|nested_quant_map|quant_state\.\w+)$/.exec(
      entry.name,
    );
    if (part !== null && entries.has(part[1] ?? '')) return [];
    const state = states.get(`${entry.name}.${stateSuffix}`);
    return state === undefined ? undefined : [nfTensor(entry, entries, state)];
  };
}

function nfTensor(entry: SafetensorsEntry, entries: Entries, state: JsonObject): SourceTensor {
  const { shape, blocksize } = state;
  const valid =
    Array.isArray(shape) && shape.length === 2 && shape.every((n) => Number.isSafeInteger(n) && n > 0);
  if (!valid || blocksize !== nfBlock || state.quant_type !== 'nf4')
    badEntry(
      entry,
      `has a state that is no NF4 matrix in blocks of ${nfBlock}: ${JSON.stringify(state).slice(0, 120)}`,
    );
  const [rows, columns] = shape as [number, number];
  const blocks = (rows * columns) / nfBlock;
  if (columns % nfBlock !== 0)
    badEntry(entry, `has rows of ${columns} columns, not whole blocks of ${nfBlock}`);
  if (entry.dtype !== 'U8' || entry.bytes !== (rows * columns) / 2)
    badEntry(
      entry,
      `must be U8 with two codes in a byte for [${rows}, ${columns}], found ${entry.dtype} [${entry.shape}]`,
    );
  const scale = scaleReader(entry, entries, state, blocks);
  const parts = new DerivedParts(entry.source.name, [entry.bytes, 4 * blocks], async () => {
    const codes = await readAll(entry);
    return [codes.map((byte) => (byte >> 4) | (byte << 4)), bytesOf(await scale(), 'f32')];
  });
  const sources = [0, 1].map((index) => ({ source: parts.source(index), offset: 0 }));
  const slices = contiguousSlices(nf4, [rows, columns], sources);
  return { kind: 'source', name: entry.name, shape: [rows, columns], format: nf4, slices };
}

/** Checks the tensors that scales are made of; gives what reads them. */
function scaleReader(
  entry: SafetensorsEntry,
  entries: Entries,
  { nested_blocksize: size, nested_offset: offset }: JsonObject,
  blocks: number,
): () => Promise<Float32Array> {
  const beside = (part: string): SafetensorsEntry =>
    entries.get(`${entry.name}.${part}`) ?? badEntry(entry, `has no ${part} beside it`);
  const absmax = beside('absmax');
  needShape(absmax, [blocks], `for ${blocks} blocks`);
  if (absmax.dtype === 'F32') return async () => floatsOf(await readAll(absmax), 'f32');
  const [scales, map] = [beside('nested_absmax'), beside('nested_quant_map')];
  if (absmax.dtype !== 'U8' || typeof size !== 'number' || !(size > 0) || typeof offset !== 'number')
    badEntry(absmax, `must be F32, or U8 with nested_blocksize and nested_offset; found ${absmax.dtype}`);
  for (const part of [scales, map])
    if (part.dtype !== 'F32') badEntry(part, `must be F32, found ${part.dtype}`);
  needShape(scales, [Math.ceil(blocks / size)], `for ${blocks} scales in runs of ${size}`);
  needShape(map, [256], 'for codes of 8 bits');
  return async () => {
    const [codes, outer, numbers] = await Promise.all([readAll(absmax), readAll(scales), readAll(map)]);
    const [of, values] = [floatsOf(outer, 'f32'), floatsOf(numbers, 'f32')];
    return Float32Array.from(codes, (code, i) =>
      Math.fround(Math.fround((values[code] as number) * (of[Math.floor(i / size)] as number)) + offset),
    );
  };
}

const nf4: SourceFormat = formatNamed('nf4/64/f32');

function formatNamed(name: string): SourceFormat {
  const format = findSourceFormat(name);
  if (format === undefined) throw new FileFormatError('formats', name, 'is missing');
  return format;
}

/** `quantization_config` of a folder whose matrices are NF4, but for the modules in `kept`. */
export const nfConfig = (kept: readonly string[]): JsonObject => ({
  quant_method: 'bitsandbytes',
  load_in_4bit: true,
  load_in_8bit: false,
  bnb_4bit_quant_type: 'nf4',
  bnb_4bit_use_double_quant: false,
  bnb_4bit_compute_dtype: 'bfloat16',
  bnb_4bit_quant_storage: 'uint8',
  llm_int8_skip_modules: kept,
});

/** The bytes of the state tensor of a matrix. */
export const nfState = (shape: readonly number[]): Uint8Array =>
  new TextEncoder().encode(
    JSON.stringify({ quant_type: 'nf4', blocksize: nfBlock, dtype: 'bfloat16', shape }),
  );
