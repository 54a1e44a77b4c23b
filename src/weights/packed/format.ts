// The packed file: weights already in the kernels' layout, mapped instead of loaded. A 64-byte prefix (magic, version,
// header length, file length, SHA-256 of the header), a JSON header, then data. Offsets in the header count from the start
// of the data, which is the first multiple of 16 KiB after the header; matrices start at such multiples too, because that
// is the largest page size in use and so the finest offset every system can map.

import { FileFormatError, IngotError } from '../../base/errors.ts';
import { checkLayout, packedBytes, type WeightLayout } from '../../quant/layout.ts';
import { isJsonObject, type JsonObject, jsonShape, parseJsonObject } from '../json.ts';
import type { ByteSource } from '../source.ts';
import { dimensions, type PackedTensor } from '../tensor.ts';

export const packedMagic = 'INGOTPAK';
export const packedVersion = 1;
/** Of files with experts in blocks, which readers of version 1 would take for something else. */
export const blocksVersion = 2;
export const prefixBytes = 64;
export const pageAlignment = 16384;
/** Name of the embedded file that holds the tokenizer part of GGUF metadata. */
export const metadataFile = 'gguf-metadata.json';
const maxHeaderBytes = 256 * 2 ** 20;

export interface PackedTensorEntry {
  readonly name: string;
  /** `[n]` (f32 values), `[N, K]` or `[E, N, K]`. */
  readonly shape: readonly number[];
  readonly layout: WeightLayout;
  readonly offset: number;
  readonly bytes: number;
  /** Of experts in blocks: bytes from the matrix of one expert to that of the next. */
  readonly stride?: number;
}

/** A file that a packed file was made from, as it was then. */
export interface SourceFile {
  readonly name: string;
  readonly bytes: number;
  /** Time of its last change, milliseconds. */
  readonly modified: number;
}

export interface PackedHeader {
  readonly config: JsonObject;
  /** What the file was made from: kind and name of the source, and a hash over its files. */
  readonly source: {
    readonly kind: string;
    readonly name: string;
    readonly fingerprint: string;
    /** Of files that hold experts only. */
    readonly files?: readonly SourceFile[];
  };
  /** Small files, embedded verbatim. */
  readonly files: readonly { readonly name: string; readonly offset: number; readonly bytes: number }[];
  readonly tensors: readonly PackedTensorEntry[];
}

/** Bytes of a packed tensor. Throws invalid_argument for a shape that the layout cannot hold. */
export function entryBytes(shape: readonly number[], layout: WeightLayout): number {
  if (shape.length === 1) return (shape[0] ?? 0) * 4;
  const { matrices, rows, columns } = dimensions(shape);
  return matrices * packedBytes(layout, rows, columns);
}

/** Where the data starts behind a header of this many bytes. */
export const dataStart = (headerBytes: number): number =>
  Math.ceil((prefixBytes + headerBytes) / pageAlignment) * pageAlignment;

/** The first version whose readers understand a file. */
export const versionOf = ({ tensors }: PackedHeader): number =>
  tensors.some(({ stride }) => stride !== undefined) ? blocksVersion : packedVersion;

/** Prefix and header of a file whose data has `dataBytes` bytes, padded up to where the data starts. */
export async function encodeHeader(
  header: PackedHeader,
  dataBytes: number,
  version: number,
): Promise<Uint8Array> {
  const json = new TextEncoder().encode(JSON.stringify(header));
  const bytes = new Uint8Array(dataStart(json.byteLength));
  const view = new DataView(bytes.buffer);
  bytes.set(new TextEncoder().encode(packedMagic), 0);
  view.setUint32(8, version, true);
  view.setBigUint64(16, BigInt(json.byteLength), true);
  view.setBigUint64(24, BigInt(bytes.byteLength + dataBytes), true);
  bytes.set(await sha256(json), 32);
  bytes.set(json, prefixBytes);
  return bytes;
}

const sha256 = async (bytes: Uint8Array): Promise<Uint8Array> =>
  new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));

export interface PackedFile {
  readonly header: PackedHeader;
  readonly tensors: ReadonlyMap<string, PackedTensor>;
  /** Contents of an embedded file, or undefined. */
  readFile(name: string): Promise<Uint8Array | undefined>;
}

/** Reads and checks prefix and header. Rejects with FileFormatError, or unsupported for another version. */
export async function readPacked(source: ByteSource): Promise<PackedFile> {
  const { json, start } = await readHeaderBytes(source);
  const raw = parseJsonObject(json, source.name, 'header');
  const available = source.size - start;
  const { config, source: origin } = raw;
  if (!isJsonObject(config)) throw new FileFormatError(source.name, 'config', 'must be an object');
  if (!isJsonObject(origin)) throw new FileFormatError(source.name, 'source', 'must be an object');
  const files = list(raw.files, source, 'files').map((value, i) =>
    readFileEntry(source, value, i, available),
  );
  const entries = list(raw.tensors, source, 'tensors').map((value, i) =>
    readTensor(source, value, i, available),
  );
  const tensors = new Map<string, PackedTensor>();
  for (const entry of entries) {
    const field = `tensor ${JSON.stringify(entry.name.slice(0, 100))}`;
    if (tensors.has(entry.name)) throw new FileFormatError(source.name, field, 'is there twice');
    tensors.set(entry.name, { kind: 'packed', source, ...entry, offset: start + entry.offset });
  }
  const header: PackedHeader = {
    config,
    source: {
      kind: String(origin.kind),
      name: String(origin.name),
      fingerprint: String(origin.fingerprint),
      ...(origin.files === undefined
        ? {}
        : {
            files: list(origin.files, source, 'source.files').map((value, i) =>
              readSourceFile(source, value, i),
            ),
          }),
    },
    files,
    tensors: entries,
  };
  return {
    header,
    tensors,
    async readFile(name) {
      const file = files.find((f) => f.name === name);
      return file === undefined ? undefined : source.read(start + file.offset, file.bytes);
    },
  };
}

async function readHeaderBytes(source: ByteSource): Promise<{ json: Uint8Array; start: number }> {
  const prefix = await source.read(0, prefixBytes);
  const view = new DataView(prefix.buffer, prefix.byteOffset, prefixBytes);
  if (new TextDecoder('latin1').decode(prefix.subarray(0, 8)) !== packedMagic) {
    throw new FileFormatError(source.name, 'magic', `the file does not start with ${packedMagic}`);
  }
  const version = view.getUint32(8, true);
  if (version !== packedVersion && version !== blocksVersion) {
    throw new IngotError(
      'unsupported',
      `${source.name}: packed file version ${version}, this build reads ${packedVersion} and ${blocksVersion}; pack the model again`,
    );
  }
  const length = view.getBigUint64(16, true);
  const size = view.getBigUint64(24, true);
  if (size !== BigInt(source.size)) {
    throw new FileFormatError(
      source.name,
      'size',
      `must be ${size} bytes but is ${source.size}; pack the model again`,
    );
  }
  if (length > BigInt(Math.min(maxHeaderBytes, source.size - prefixBytes))) {
    throw new FileFormatError(source.name, 'header length', `is ${length} in a file of ${source.size} bytes`);
  }
  const json = await source.read(prefixBytes, Number(length));
  const sum = await sha256(json);
  if (sum.some((byte, i) => byte !== prefix[32 + i])) {
    throw new FileFormatError(
      source.name,
      'header',
      'does not have its checksum: damaged, pack the model again',
    );
  }
  const start = dataStart(json.byteLength);
  if (start > source.size) throw new FileFormatError(source.name, 'size', 'the file ends before its data');
  return { json, start };
}

function list(value: unknown, source: ByteSource, field: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw new FileFormatError(source.name, field, 'must be a list');
}

/** Name, offset and length common to files and tensors, inside the data. */
function readPlace(
  source: ByteSource,
  value: unknown,
  field: string,
  available: number,
): { readonly value: JsonObject; readonly name: string; readonly offset: number; readonly bytes: number } {
  if (!isJsonObject(value)) throw new FileFormatError(source.name, field, 'must be an object');
  const { name, offset, bytes } = value;
  if (typeof name !== 'string') throw new FileFormatError(source.name, `${field}.name`, 'must be a string');
  for (const [key, number] of Object.entries({ offset, bytes })) {
    if (Number.isSafeInteger(number) && (number as number) >= 0) continue;
    throw new FileFormatError(source.name, `${field}.${key}`, 'must be a non-negative integer');
  }
  const place = { value, name, offset: offset as number, bytes: bytes as number };
  if (place.offset <= available && place.bytes <= available - place.offset) return place;
  throw new FileFormatError(
    source.name,
    `${field}.offset`,
    `bytes ${place.offset} to ${place.offset + place.bytes} leave the ${available} bytes of data`,
  );
}

function readFileEntry(
  source: ByteSource,
  raw: unknown,
  index: number,
  available: number,
): PackedHeader['files'][number] {
  const { name, offset, bytes } = readPlace(source, raw, `files[${index}]`, available);
  return { name, offset, bytes };
}

function readSourceFile(source: ByteSource, raw: unknown, index: number): SourceFile {
  const field = `source.files[${index}]`;
  if (!isJsonObject(raw)) throw new FileFormatError(source.name, field, 'must be an object');
  const { name, bytes, modified } = raw;
  if (typeof name === 'string' && typeof bytes === 'number' && typeof modified === 'number')
    return { name, bytes, modified };
  throw new FileFormatError(source.name, field, 'must have a name, bytes and modified');
}

function readTensor(source: ByteSource, raw: unknown, index: number, available: number): PackedTensorEntry {
  const field = `tensors[${index}]`;
  const { value, name, offset, bytes } = readPlace(source, raw, field, available);
  const shape = jsonShape(value.shape, source.name, field);
  const { layout } = value;
  if (!isJsonObject(layout)) throw new FileFormatError(source.name, `${field}.layout`, 'must be an object');
  const { kind, group, metaDtype } = layout;
  const checked = { kind, group, metaDtype } as WeightLayout; // checkLayout makes this true
  try {
    if (shape.length < 1 || shape.length > 3)
      throw new IngotError('bad_file', 'a shape has 1 to 3 dimensions');
    checkLayout(checked);
    const expected = entryBytes(shape, checked);
    if (bytes !== expected)
      throw new IngotError('bad_file', `[${shape}] needs ${expected} bytes, found ${bytes}`);
    if (value.stride !== undefined) {
      const stride = blockStride(value.stride, { offset, bytes, available, shape });
      return { name, shape, layout: checked, offset, bytes, stride };
    }
    const alignment = shape.length === 1 ? 4 : pageAlignment;
    if (offset % alignment !== 0)
      throw new IngotError('bad_file', `offset ${offset} is not a multiple of ${alignment}`);
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause);
    throw new FileFormatError(source.name, `tensor ${JSON.stringify(name.slice(0, 100))}`, problem, {
      cause,
    });
  }
  return { name, shape, layout: checked, offset, bytes };
}

/** The stride of experts in blocks, checked: each matrix lies in the data, apart from the next. */
function blockStride(
  stride: unknown,
  {
    offset,
    bytes,
    available,
    shape,
  }: {
    readonly offset: number;
    readonly bytes: number;
    readonly available: number;
    readonly shape: readonly number[];
  },
): number {
  const { matrices } = dimensions(shape);
  const each = bytes / matrices;
  const valid =
    shape.length === 3 && typeof stride === 'number' && Number.isSafeInteger(stride) && stride >= each;
  if (!valid || stride % 64 !== 0 || offset % 64 !== 0)
    throw new IngotError('bad_file', `blocks of ${String(stride)} bytes hold no [${shape}] at ${offset}`);
  if (offset + (matrices - 1) * stride + each > available)
    throw new IngotError(
      'bad_file',
      `${matrices} blocks of ${stride} bytes leave the ${available} bytes of data`,
    );
  return stride;
}
