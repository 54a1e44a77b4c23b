// The table of SentencePiece's `Precompiled` normaliser: a double array over UTF-8 bytes that leads to replacement texts.
// https://github.com/google/sentencepiece/blob/master/src/normalizer.cc, https://github.com/s-yata/darts-clone

import { FileFormatError } from '../../base/errors.ts';

const utf8 = new TextEncoder();

/** The replacement of a text of a few bytes; undefined when it stays. */
export type CharsMap = (text: string) => string | undefined;

/** Reads a table in base64: the length of the array in bytes, the array (32-bit units), texts that end in NUL. */
export function charsMap(base64: unknown, file: string): CharsMap {
  const wrong = (problem: string) => new FileFormatError(file, 'normalizer.precompiled_charsmap', problem);
  if (typeof base64 !== 'string') throw wrong('is not a text in base64');
  let blob: Uint8Array;
  try {
    blob = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  } catch {
    throw wrong('is not a text in base64');
  }
  const view = new DataView(blob.buffer);
  const bytes = blob.length >= 4 ? view.getUint32(0, true) : -1;
  if (bytes < 0 || bytes % 4 !== 0 || bytes + 4 > blob.length) {
    throw wrong(`says that its array has ${bytes} bytes, of ${blob.length}`);
  }
  const units = Uint32Array.from({ length: bytes / 4 }, (_, i) => view.getUint32(4 + 4 * i, true));
  const texts = blob.subarray(4 + bytes);
  return (text) => {
    const at = shortestPrefix(units, utf8.encode(text));
    if (at === undefined || at > texts.length) return undefined;
    const end = texts.indexOf(0, at);
    return new TextDecoder().decode(texts.subarray(at, end < 0 ? texts.length : end));
  };
}

const hasLeaf = (unit: number): boolean => ((unit >>> 8) & 1) === 1;
const leafValue = (unit: number): number => unit & 0x7fffffff;
const labelOf = (unit: number): number => unit & 0x800000ff;
const offsetOf = (unit: number): number => (unit >>> 10) << ((unit & 0x200) >>> 6);

/** The value of the shortest key that `bytes` begins with, which is the one that the reference takes. */
function shortestPrefix(units: Uint32Array, bytes: Uint8Array): number | undefined {
  let at = 0;
  let unit = units[at];
  if (unit === undefined) return undefined;
  at ^= offsetOf(unit);
  for (const byte of bytes) {
    if (byte === 0) return undefined;
    at ^= byte;
    unit = units[at];
    if (unit === undefined || labelOf(unit) >>> 0 !== byte) return undefined;
    at ^= offsetOf(unit);
    if (hasLeaf(unit)) {
      const leaf = units[at];
      return leaf === undefined ? undefined : leafValue(leaf);
    }
  }
  return undefined;
}
