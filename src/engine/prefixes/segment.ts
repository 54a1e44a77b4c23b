// A file of a piece of a prefix: the tokens from one position to another, and what layers keep of them. Layers that see
// everything have the rows of these positions; the others have what is needed to go on from the last one.
//
// bytes 0-7 "INGOTKV1", 8-11 bytes of the header, 12-15 its CRC-32, then the header (JSON), the tokens (i32) and the arrays of the
// layers, one after the other. All numbers little endian.

import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { IngotError } from '../../base/errors.ts';
import { nextTurn } from '../../base/turn.ts';
import type { LayerSnapshot } from '../../cache/contract.ts';
import { writeAtomically } from '../../weights/atomic-file.ts';
import { isJsonObject } from '../../weights/json.ts';

const magic = 'INGOTKV1';
const prefixBytes = 16;
const maxHeaderBytes = 2 ** 20;

export interface Segment {
  /** Of the tokens from the beginning on. */
  readonly hash: string;
  /** Hash of the segment before; '' at the beginning. */
  readonly parent: string;
  readonly from: number;
  readonly tokens: Int32Array;
}

/** The parts of all layers, one after the other. */
export type Layers = readonly LayerSnapshot[];

interface ArrayEntry {
  readonly bytes: number;
  readonly crc: number;
}

interface Header {
  readonly parent: string;
  readonly from: number;
  readonly tokens: ArrayEntry;
  readonly layers: readonly { readonly first: number; readonly arrays: readonly ArrayEntry[] }[];
}

export const segmentHash = (parent: string, tokens: Int32Array): string =>
  createHash('sha256').update(parent).update(bytesOf(tokens)).digest('hex').slice(0, 40);

/** Bytes of a file but for its header. */
export const segmentBytes = ({ tokens }: Segment, layers: Layers): number =>
  layers.flatMap((layer) => layer.arrays).reduce((sum, part) => sum + part.byteLength, tokens.byteLength);

/** Writes the file whole or not at all. */
export const writeSegment = (path: string, segment: Segment, layers: Layers): Promise<void> =>
  writeAtomically(path, async (sink) => {
    for (const part of await encode(segment, layers)) await sink.write(part);
  });

async function encode({ parent, from, tokens }: Segment, layers: Layers): Promise<readonly Uint8Array[]> {
  const entry = (bytes: Uint8Array): ArrayEntry => ({ bytes: bytes.byteLength, crc: crc32(bytes) });
  const described: Header['layers'][number][] = [];
  for (const layer of layers) {
    described.push({ first: layer.first, arrays: layer.arrays.map(entry) });
    await nextTurn();
  }
  const header: Header = { parent, from, tokens: entry(bytesOf(tokens)), layers: described };
  const json = new TextEncoder().encode(JSON.stringify(header));
  const start = new Uint8Array(prefixBytes);
  start.set(new TextEncoder().encode(magic));
  const view = new DataView(start.buffer);
  view.setUint32(8, json.byteLength, true);
  view.setUint32(12, crc32(json), true);
  return [start, json, bytesOf(tokens), ...layers.flatMap((layer) => layer.arrays)];
}

const bytesOf = (tokens: Int32Array): Uint8Array =>
  new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength);

/** What a file has, without its arrays. @throws IngotError `bad_file`. */
export const readSegment = async (path: string, maxTokens: number): Promise<Segment> =>
  (await read(path, maxTokens, false)).segment;

/** The arrays of a file's layers. @throws IngotError `bad_file`. */
export const readLayers = async (path: string, maxTokens: number): Promise<Layers> =>
  (await read(path, maxTokens, true)).layers;

async function read(
  path: string,
  maxTokens: number,
  arrays: boolean,
): Promise<{ segment: Segment; layers: Layers }> {
  const bad = (what: string): IngotError => new IngotError('bad_file', `${path}: ${what}`);
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    let at = 0;
    const take = async (bytes: number, what: string): Promise<Uint8Array> => {
      if (bytes > size - at) throw bad(`ends before its ${what}`);
      const buffer = new Uint8Array(bytes);
      for (let done = 0; done < bytes; ) {
        const { bytesRead } = await file.read(buffer, done, Math.min(bytes - done, 2 ** 30), at + done);
        if (bytesRead === 0) throw bad(`ends before its ${what}`);
        done += bytesRead;
      }
      at += bytes;
      return buffer;
    };
    const checked = async ({ bytes, crc }: ArrayEntry, what: string): Promise<Uint8Array> => {
      const found = await take(bytes, what);
      if (crc32(found) !== crc) throw bad(`its ${what} are damaged`);
      return found;
    };
    const start = await take(prefixBytes, 'header');
    const view = new DataView(start.buffer);
    if (new TextDecoder().decode(start.subarray(0, 8)) !== magic) throw bad('is no prefix');
    const headerBytes = view.getUint32(8, true);
    if (headerBytes > maxHeaderBytes) throw bad(`has a header of ${headerBytes} bytes`);
    const json = await checked({ bytes: headerBytes, crc: view.getUint32(12, true) }, 'header');
    const header = parseHeader(json, bad);
    const sizes = header.layers.flatMap((layer) => layer.arrays).map(({ bytes }) => bytes);
    const total = at + header.tokens.bytes + sizes.reduce((sum, n) => sum + n, 0);
    if (total !== size) throw bad(`has ${size} bytes where its header says ${total}`);
    if (header.tokens.bytes > 4 * maxTokens || header.tokens.bytes % 4 !== 0)
      throw bad(`has ${header.tokens.bytes} bytes of tokens`);
    const tokens = new Int32Array((await checked(header.tokens, 'tokens')).buffer);
    const { parent, from } = header;
    const segment = { hash: segmentHash(parent, tokens), parent, from, tokens };
    if (!arrays) return { segment, layers: [] };
    const layers: LayerSnapshot[] = [];
    for (const layer of header.layers) {
      const found: Uint8Array[] = [];
      for (const entry of layer.arrays) found.push(await checked(entry, 'keys and values'));
      layers.push({ first: layer.first, arrays: found });
    }
    return { segment, layers };
  } finally {
    await file.close();
  }
}

function parseHeader(json: Uint8Array, bad: (what: string) => IngotError): Header {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(json));
  } catch {
    throw bad('its header is no JSON');
  }
  const count = (x: unknown): boolean => Number.isSafeInteger(x) && (x as number) >= 0;
  const entry = (x: unknown): boolean => isJsonObject(x) && count(x.bytes) && count(x.crc);
  const layer = (x: unknown): boolean =>
    isJsonObject(x) && count(x.first) && Array.isArray(x.arrays) && x.arrays.every(entry);
  if (
    !isJsonObject(value) ||
    typeof value.parent !== 'string' ||
    !count(value.from) ||
    !entry(value.tokens) ||
    !Array.isArray(value.layers) ||
    !value.layers.every(layer)
  )
    throw bad('its header is not one of a prefix');
  return value as unknown as Header;
}
