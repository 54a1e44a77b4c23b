// Reads the header of GGUF files (versions 2 and 3, also split into shards): metadata and the table of tensors. Every count,
// length and offset is checked against the file before anything is allocated for it.

import { FileFormatError, IngotError } from '../../base/errors.ts';
import type { SourceFormat } from '../../quant/format.ts';
import type { ByteSource } from '../source.ts';
import { HeaderCursor } from './cursor.ts';
import { type GgufMetadata, readMetadata, readString } from './metadata.ts';
import { defaultAlignment, magic, readableTypes, tensorFormats, tensorTypeName } from './types.ts';

/** One tensor of a file. */
export interface GgufTensor {
  readonly name: string;
  /** Outermost dimension first (the file has the reverse): a matrix is [rows, columns]. */
  readonly shape: readonly number[];
  readonly format: SourceFormat;
  readonly source: ByteSource;
  /** Byte offset in the source, and bytes of all elements. */
  readonly offset: number;
  readonly bytes: number;
}

export interface GgufFile {
  readonly version: number;
  /** Of the first shard, which has it all. */
  readonly metadata: GgufMetadata;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
  readonly sources: readonly ByteSource[];
  close(): Promise<void>;
}

const maxNameBytes = 4096;
const maxRank = 4;
/** Smallest sizes of a key-value pair and of a tensor entry: they bound the counts a file may claim. */
const minPairBytes = 8 + 4 + 1;
const minTensorBytes = 8 + 4 + 8 + 4 + 8;

/**
 * Opens a GGUF file, or all shards of one given its first; `sibling` opens another shard by its file name.
 * Rejects with FileFormatError for damage, `unsupported` for a version or tensor type this build cannot read. The sources
 * are closed on failure.
 */
export async function readGguf(
  source: ByteSource,
  sibling: (name: string) => Promise<ByteSource>,
): Promise<GgufFile> {
  const sources = [source];
  const close = async (): Promise<void> => {
    await Promise.all(sources.map((s) => s.close()));
  };
  try {
    const first = await readOne(source);
    const tensors = new Map(first.tensors);
    for (const name of otherShards(source, first.metadata)) {
      const shard = await sibling(name);
      sources.push(shard);
      for (const tensor of (await readOne(shard)).tensors.values()) {
        if (tensors.has(tensor.name)) duplicate(shard, tensor.name);
        tensors.set(tensor.name, tensor);
      }
    }
    return { version: first.version, metadata: first.metadata, tensors, sources, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** File names of shards 2 … n of `NAME-00001-of-0000n.gguf`. */
function otherShards(source: ByteSource, metadata: GgufMetadata): string[] {
  const count = metadata.integer('split.count') ?? 1;
  if (count <= 1) return [];
  const name = source.name.replace(/^.*[/\\]/, '');
  const match = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/.exec(name);
  if (match === null || Number(match[3]) !== count) {
    throw new FileFormatError(
      source.name,
      'split.count',
      `is ${count}, so the file must be named NAME-00001-of-${String(count).padStart(5, '0')}.gguf`,
    );
  }
  if (Number(match[2]) !== 1) {
    throw new IngotError(
      'invalid_argument',
      `${source.name}: open the first shard, ${match[1]}-00001-of-${match[3]}.gguf`,
    );
  }
  return Array.from(
    { length: count - 1 },
    (_, i) => `${match[1]}-${String(i + 2).padStart(5, '0')}-of-${match[3]}.gguf`,
  );
}

interface OneFile {
  readonly version: number;
  readonly metadata: GgufMetadata;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
}

async function readOne(source: ByteSource): Promise<OneFile> {
  const cursor = new HeaderCursor(source);
  await cursor.need(24, 'header');
  if (cursor.u32() !== magic) cursor.fail('magic', 'the file does not start with "GGUF"');
  const version = readVersion(cursor, source);
  const tensorCount = cursor.u64('tensor_count');
  const pairCount = cursor.u64('metadata_kv_count');
  checkCount(cursor, 'tensor_count', tensorCount, minTensorBytes);
  checkCount(cursor, 'metadata_kv_count', pairCount, minPairBytes);
  const metadata = await readMetadata(cursor, pairCount, source.name);
  const entries: Entry[] = [];
  for (let i = 0; i < tensorCount; i++)
    entries.push(await readEntry(cursor, `tensor ${i} of ${tensorCount}`));
  const alignment = readAlignment(source, metadata);
  const dataStart = Math.ceil(cursor.position / alignment) * alignment;
  const tensors = new Map<string, GgufTensor>();
  for (const entry of entries) {
    if (tensors.has(entry.name)) duplicate(source, entry.name);
    tensors.set(entry.name, place(source, entry, dataStart, alignment));
  }
  return { version, metadata, tensors };
}

function readVersion(cursor: HeaderCursor, source: ByteSource): number {
  const version = cursor.u32();
  if (version === 2 || version === 3) return version;
  const swapped = version % 2 ** 16 === 0 && version > 0;
  throw new IngotError(
    'unsupported',
    `${source.name}: GGUF version ${version} is not supported, only 2 and 3${swapped ? ' (a big-endian file?)' : ''}`,
    { details: { version } },
  );
}

function checkCount(cursor: HeaderCursor, field: string, count: number, leastBytes: number): void {
  if (count <= cursor.remaining / leastBytes) return;
  cursor.fail(field, `is ${count}, more than the ${cursor.remaining} bytes that follow can hold`);
}

function readAlignment(source: ByteSource, metadata: GgufMetadata): number {
  const alignment = metadata.integer('general.alignment', 1) ?? defaultAlignment;
  if (alignment % 8 === 0 && alignment <= 2 ** 20) return alignment;
  throw new FileFormatError(
    source.name,
    'general.alignment',
    `is ${alignment}, not a multiple of 8 up to 1 MiB`,
  );
}

interface Entry {
  readonly name: string;
  readonly dims: readonly number[];
  readonly type: number;
  readonly offset: number;
}

async function readEntry(cursor: HeaderCursor, which: string): Promise<Entry> {
  const name = await readString(cursor, `name of ${which}`, maxNameBytes);
  const field = `tensor ${JSON.stringify(name.slice(0, 100))}`;
  await cursor.need(4, field);
  const rank = cursor.u32();
  if (rank < 1 || rank > maxRank) cursor.fail(field, `has ${rank} dimensions; 1 to ${maxRank} are possible`);
  await cursor.need(rank * 8 + 12, field);
  const dims = Array.from({ length: rank }, () => cursor.u64(`${field} dimension`));
  return { name, dims, type: cursor.u32(), offset: cursor.u64(`${field} offset`) };
}

function place(source: ByteSource, entry: Entry, dataStart: number, alignment: number): GgufTensor {
  const fail = (problem: string): never => {
    throw new FileFormatError(source.name, `tensor ${JSON.stringify(entry.name.slice(0, 100))}`, problem);
  };
  const format = tensorFormats.get(entry.type);
  if (format === undefined) {
    const type = tensorTypeName(entry.type);
    throw new IngotError(
      'unsupported',
      `${source.name}: unsupported type ${type} in tensor ${JSON.stringify(entry.name.slice(0, 100))}; ` +
        `use a file in one of ${readableTypes()}`,
      { details: { tensor: entry.name, type } },
    );
  }
  const shape = entry.dims.toReversed();
  const elements = entry.dims.reduce((product, dim) => product * dim, 1);
  if (elements === 0 || !Number.isSafeInteger(elements)) fail(`has the impossible shape [${shape}]`);
  const columns = entry.dims[0] ?? 0;
  if (columns % format.blockElements !== 0) {
    fail(
      `has ${columns} columns, not a multiple of the ${format.blockElements} that ${format.name} blocks hold`,
    );
  }
  const bytes = (elements / format.blockElements) * format.blockBytes;
  const offset = dataStart + entry.offset;
  if (entry.offset % alignment !== 0)
    fail(`starts at ${entry.offset}, not a multiple of the alignment ${alignment}`);
  if (!Number.isSafeInteger(offset + bytes) || offset + bytes > source.size) {
    fail(
      `needs bytes ${offset} to ${offset + bytes} but the file has ${source.size}: it is truncated or damaged`,
    );
  }
  return { name: entry.name, shape, format, source, offset, bytes };
}

function duplicate(source: ByteSource, name: string): never {
  throw new FileFormatError(source.name, `tensor ${JSON.stringify(name.slice(0, 100))}`, 'is there twice');
}
