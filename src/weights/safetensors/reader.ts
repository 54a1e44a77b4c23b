// Reads safetensors files: an 8-byte header length, a JSON header, raw tensor data. One file, or shards that an index
// file names. https://github.com/huggingface/safetensors#format

import { FileFormatError, IngotError } from '../../base/errors.ts';
import { isJsonObject, type JsonObject, jsonShape, parseJsonObject } from '../json.ts';
import type { ByteSource } from '../source.ts';

const elementBytes = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  F8_E8M0: 1,
  F4: 0.5,
} as const;
export type SafetensorsDType = keyof typeof elementBytes;

export interface SafetensorsEntry {
  readonly name: string;
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  readonly source: ByteSource;
  /** Absolute byte offset, and bytes. */
  readonly offset: number;
  readonly bytes: number;
}

/** As the format's own library: a header larger than this is damage. */
const maxHeaderBytes = 100_000_000;
const maxIndexBytes = 100_000_000;

/** Reads the table of one file. Rejects with FileFormatError for anything the format forbids. */
export async function readSafetensors(source: ByteSource): Promise<Map<string, SafetensorsEntry>> {
  if (source.size < 8)
    throw new FileFormatError(source.name, 'header length', `the file has only ${source.size} bytes`);
  const length = headerLength(source, await source.read(0, 8));
  const header = parseJsonObject(await source.read(8, length), source.name, 'header');
  const dataStart = 8 + length;
  const entries = new Map<string, SafetensorsEntry>();
  for (const [name, value] of Object.entries(header)) {
    if (name !== '__metadata__') entries.set(name, readEntry(source, name, value, dataStart));
  }
  checkOverlaps(source, [...entries.values()]);
  return entries;
}

function headerLength(source: ByteSource, bytes: Uint8Array): number {
  const length = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true);
  if (length <= BigInt(Math.min(maxHeaderBytes, source.size - 8))) return Number(length);
  throw new FileFormatError(
    source.name,
    'header length',
    `is ${length}, but the file has ${source.size} bytes and a header at most ${maxHeaderBytes}`,
  );
}

function readEntry(source: ByteSource, name: string, value: unknown, dataStart: number): SafetensorsEntry {
  const field = `tensor ${JSON.stringify(name.slice(0, 100))}`;
  const fail = (problem: string): never => {
    throw new FileFormatError(source.name, field, problem);
  };
  if (!isJsonObject(value)) return fail('must be an object');
  const { dtype, shape: rawShape, data_offsets: offsets } = value;
  if (typeof dtype !== 'string' || !Object.hasOwn(elementBytes, dtype)) {
    return fail(`has the unknown dtype ${JSON.stringify(dtype)?.slice(0, 40)}`);
  }
  const shape = jsonShape(rawShape, source.name, field);
  if (
    !Array.isArray(offsets) ||
    offsets.length !== 2 ||
    !offsets.every((n) => Number.isSafeInteger(n) && n >= 0)
  ) {
    return fail('data_offsets must be two non-negative integers');
  }
  const [from, to] = offsets as [number, number];
  const available = source.size - dataStart;
  if (to < from || to > available)
    fail(`data_offsets [${from}, ${to}] leave the ${available} bytes of data in the file`);
  const known = dtype as SafetensorsDType;
  const bytes = shape.reduce((product, d) => product * d, 1) * elementBytes[known];
  if (bytes !== to - from) fail(`${known} [${shape}] needs ${bytes} bytes, data_offsets hold ${to - from}`);
  return { name, dtype: known, shape, source, offset: dataStart + from, bytes };
}

/** Tensors that share bytes are damage: a table cannot mean both. */
function checkOverlaps(source: ByteSource, entries: SafetensorsEntry[]): void {
  const ordered = entries.filter((e) => e.bytes > 0).sort((a, b) => a.offset - b.offset);
  ordered.forEach((entry, i) => {
    const next = ordered[i + 1];
    if (next === undefined || entry.offset + entry.bytes <= next.offset) return;
    const name = JSON.stringify(next.name.slice(0, 100));
    throw new FileFormatError(
      source.name,
      `tensor ${name}`,
      `overlaps ${JSON.stringify(entry.name.slice(0, 100))}`,
    );
  });
}

/** Opens files by plain name inside one folder; undefined when there is none of that name. */
export type OpenInFolder = (name: string) => Promise<ByteSource | undefined>;

export interface SafetensorsFiles {
  readonly entries: ReadonlyMap<string, SafetensorsEntry>;
  readonly sources: readonly ByteSource[];
}

export const indexName = 'model.safetensors.index.json';
export const singleName = 'model.safetensors';

/**
 * Reads the tables of a model folder: `model.safetensors.index.json` and its shards, or `model.safetensors`. With `file`, those
 * of that file and no other: an index, all shards of the index that has it for one, or a file that is the whole model.
 * Rejects with not_found when there is none, bad_file for damage (all missing shards are listed). Sources are closed on
 * failure.
 */
export async function openSafetensors(
  folder: string,
  openFile: OpenInFolder,
  file?: string,
): Promise<SafetensorsFiles> {
  const sources: ByteSource[] = [];
  try {
    for (const name of indexesOf(file)) {
      const index = await openFile(name);
      if (index === undefined) continue;
      const weightMap = await readIndex(index).finally(() => index.close());
      const wanted = file === undefined || file === name || [...weightMap.values()].includes(file);
      if (wanted) return { entries: await readShards(folder, weightMap, openFile, sources), sources };
    }
    const single = await openFile(file ?? singleName);
    if (single === undefined) {
      const missing = file === undefined ? `has neither ${indexName} nor ${singleName}` : `has no ${file}`;
      throw new IngotError('not_found', `${folder}: ${missing}`);
    }
    sources.push(single);
    const [, , count] = shardName.exec(file ?? '') ?? [];
    if (count !== undefined && Number(count) > 1) {
      const problem = `is one of ${Number(count)} parts, and no index beside it says which tensors are in which`;
      throw new FileFormatError(`${folder}/${file}`, 'file', problem);
    }
    return { entries: await readSafetensors(single), sources };
  } catch (error) {
    await Promise.all(sources.map((source) => source.close()));
    throw error;
  }
}

const shardName = /^(.*)-\d{5}-of-(\d{5})\.safetensors$/;

/** Names of the index that a file is, or of those that may have it for a shard. */
function indexesOf(file: string | undefined): readonly string[] {
  if (file === undefined) return [indexName];
  if (file.endsWith('.json')) return [file];
  const [, model] = shardName.exec(file) ?? [];
  return [...new Set([`${model ?? 'model'}.safetensors.index.json`, indexName])];
}

/** The weight map of an index file: tensor name -> shard file name, each a plain name in the same folder. */
async function readIndex(source: ByteSource): Promise<ReadonlyMap<string, string>> {
  if (source.size > maxIndexBytes) {
    throw new FileFormatError(source.name, 'size', `an index of ${source.size} bytes is not plausible`);
  }
  const index: JsonObject = parseJsonObject(await source.read(0, source.size), source.name, 'index');
  if (!isJsonObject(index.weight_map))
    throw new FileFormatError(source.name, 'weight_map', 'must be an object');
  const map = new Map<string, string>();
  for (const [name, shard] of Object.entries(index.weight_map)) {
    // Anything but a plain name could lead out of the folder; an index as shard would be a cycle.
    if (typeof shard !== 'string' || !/^[\w-][\w.-]{0,200}\.safetensors$/.test(shard)) {
      const shown = JSON.stringify(shard)?.slice(0, 100);
      const field = `weight_map[${JSON.stringify(name.slice(0, 100))}]`;
      throw new FileFormatError(source.name, field, `${shown} is not a plain .safetensors file name`);
    }
    map.set(name, shard);
  }
  return map;
}

async function readShards(
  folder: string,
  weightMap: ReadonlyMap<string, string>,
  openFile: OpenInFolder,
  sources: ByteSource[],
): Promise<Map<string, SafetensorsEntry>> {
  const shards = [...new Set(weightMap.values())].sort();
  const missing: string[] = [];
  const entries = new Map<string, SafetensorsEntry>();
  for (const shard of shards) {
    const source = await openFile(shard);
    if (source === undefined) {
      missing.push(shard);
      continue;
    }
    sources.push(source);
    for (const [name, entry] of await readSafetensors(source)) {
      if (weightMap.get(name) === shard) entries.set(name, entry);
    }
  }
  const index = `${folder}/${indexName}`;
  if (missing.length > 0) {
    const list = missing.slice(0, 20).join(', ');
    throw new FileFormatError(
      index,
      'weight_map',
      `${missing.length} of ${shards.length} files are missing: ${list}`,
    );
  }
  for (const [name, shard] of weightMap) {
    if (!entries.has(name))
      throw new FileFormatError(`${folder}/${shard}`, `tensor ${JSON.stringify(name)}`, 'is not in it');
  }
  return entries;
}
