// Damage for fuzz tests: bytes and JSON changed at random places in the ways that hurt parsers, and a source that watches what
// is read.

import { type ByteSource, checkRange } from './source.ts';

/** xorshift32: integers below n. */
export class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = seed;
  }
  below(n: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % n;
  }
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }
}

/** Bytes in memory that claim a size, and remember the largest read and what was read in total. */
export class WatchedSource implements ByteSource {
  readonly name: string;
  readonly path = undefined;
  readonly size: number;
  readonly #bytes: Uint8Array;
  largest = 0;
  total = 0;
  constructor(bytes: Uint8Array, name: string, size = bytes.byteLength) {
    this.#bytes = bytes;
    this.name = name;
    this.size = size;
  }
  async read(offset: number, length: number): Promise<Uint8Array> {
    checkRange(this, offset, length);
    this.#count(length);
    const target = new Uint8Array(length);
    target.set(this.#bytes.subarray(offset, offset + length));
    return target;
  }
  async readInto(offset: number, target: Uint8Array): Promise<void> {
    checkRange(this, offset, target.byteLength);
    this.#count(target.byteLength);
    target.set(this.#bytes.subarray(offset, offset + target.byteLength));
  }
  #count(bytes: number): void {
    this.largest = Math.max(this.largest, bytes);
    this.total += bytes;
  }
  async close(): Promise<void> {}
}

const hostile64 = [
  0n,
  1n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 40n,
  2n ** 53n,
  2n ** 62n,
  2n ** 63n,
  2n ** 64n - 1n,
];

/** A damaged copy. Damage falls into the first `head` bytes, where all structure is. */
export function mutate(random: Random, original: Uint8Array, head: number): Uint8Array {
  let bytes = original.slice();
  for (let n = 1 + random.below(3); n > 0 && bytes.length > 16; n--) {
    const at = random.below(Math.min(head, bytes.length - 8));
    switch (random.below(6)) {
      case 0:
        bytes = bytes.slice(0, random.below(bytes.length));
        break;
      case 1:
        new DataView(bytes.buffer).setBigUint64(at, random.pick(hostile64), true);
        break;
      case 2:
        new DataView(bytes.buffer).setUint32(at, Number(random.pick(hostile64) & 0xffffffffn), true);
        break;
      case 3: {
        const gap = random.below(32);
        bytes.copyWithin(at, Math.min(at + gap, bytes.length)); // bytes are gone, the rest moves up
        break;
      }
      default:
        for (let flips = 1 + random.below(4); flips > 0; flips--) {
          const where = random.below(Math.min(head, bytes.length));
          bytes[where] = (bytes[where] as number) ^ (1 << random.below(8));
        }
    }
  }
  return bytes;
}

const hostileValues: readonly unknown[] = [
  null,
  true,
  -1,
  0,
  1,
  1.5,
  2 ** 31,
  2 ** 53,
  2 ** 60,
  1e300,
  '',
  'x',
  '__proto__',
  'constructor',
  '../x',
  '/etc/passwd',
  'model.safetensors.index.json',
  'F64',
  'U32',
  [],
  [0],
  [-1, 2],
  [2 ** 40, 2 ** 40],
  [0, 2 ** 53],
  new Array(20).fill(1),
  {},
  { dtype: 'F32', shape: [1], data_offsets: [0, 4] },
  { bits: 3, group_size: 0 },
];

/** A copy of a JSON value with one or two places replaced, removed or copied from elsewhere. */
export function mutateJson(random: Random, original: unknown): unknown {
  const value: unknown = structuredClone(original);
  for (let n = 1 + random.below(2); n > 0; n--) {
    let place: unknown = value;
    for (let depth = 0; depth < 6; depth++) {
      if (typeof place !== 'object' || place === null) break;
      const keys = Object.keys(place);
      const key = keys.length === 0 ? 'new' : random.pick(keys);
      const holder = place as Record<string, unknown>;
      const next: unknown = holder[key];
      if (random.below(3) === 0 || typeof next !== 'object' || next === null) {
        if (random.below(8) === 0) delete holder[key];
        else holder[key] = structuredClone(random.pick(hostileValues));
        break;
      }
      place = next;
    }
  }
  return value;
}
