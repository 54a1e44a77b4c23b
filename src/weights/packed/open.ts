// A packed file as a checkpoint.

import { GgufMetadata, type GgufValue } from '../gguf/metadata.ts';
import { parseJsonObject } from '../json.ts';
import type { CheckpointParts } from '../parts.ts';
import type { ByteSource } from '../source.ts';
import { metadataFile, readPacked } from './format.ts';

/** The checkpoint over an open packed file; closing it closes the source. Rejects like `readPacked`. */
export async function packedCheckpoint(path: string, source: ByteSource): Promise<CheckpointParts> {
  const file = await readPacked(source);
  const stored = await file.readFile(metadataFile);
  const metadata =
    stored === undefined
      ? undefined
      : decodeMetadata(path, parseJsonObject(stored, source.name, metadataFile));
  return {
    path,
    kind: 'packed',
    config: file.header.config,
    tensors: file.tensors,
    ...(metadata === undefined ? {} : { metadata }),
    files: file.header.files.map((f) => f.name).filter((name) => name !== metadataFile),
    readFile: (name) => file.readFile(name),
    close: () => source.close(),
  };
}

/** The tokenizer and general keys as JSON: typed arrays become plain ones, bigints decimal strings. */
export function encodeMetadata(metadata: GgufMetadata): Uint8Array {
  const values: Record<string, unknown> = {};
  for (const key of metadata.keys()) {
    if (/^(tokenizer|general)\./.test(key)) values[key] = plain(metadata.get(key));
  }
  return new TextEncoder().encode(JSON.stringify(values));
}

function plain(value: GgufValue | undefined): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object') return value;
  return Array.from<GgufValue, unknown>(value as ArrayLike<GgufValue>, plain);
}

function decodeMetadata(path: string, stored: Readonly<Record<string, unknown>>): GgufMetadata {
  return new GgufMetadata(path, new Map(Object.entries(stored) as [string, GgufValue][]));
}
