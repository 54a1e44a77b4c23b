// The key-value section of a GGUF file. Values are checked when the file is opened and decoded when they are asked for:
// a token list of a quarter million strings costs nothing until a tokenizer wants it.

import { FileFormatError } from '../../base/errors.ts';
import type { HeaderCursor } from './cursor.ts';
import { type NumericType, type ValueType, valueBytes, valueTypes } from './types.ts';

export type GgufScalar = number | bigint | boolean | string;
export type GgufNumbers =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigUint64Array
  | BigInt64Array;
/** Arrays of numbers are typed arrays; strings, booleans and nested arrays plain ones. */
export type GgufValue =
  | GgufScalar
  | GgufNumbers
  | readonly string[]
  | readonly boolean[]
  | readonly GgufValue[];

/** Where a value lies in the header. Arrays keep their element type and count; `at` is then the first element. */
type Place =
  | { readonly type: Exclude<ValueType, 'array'>; readonly at: number }
  | { readonly type: 'array'; readonly element: ValueType; readonly count: number; readonly at: number };

const maxStringBytes = 16 * 2 ** 20;
const maxKeyBytes = 65535;
const maxNesting = 4;
const maxNestedArrays = 65536;
// A byte order mark at the start is a character like any other: tokens begin with it.
const text = new TextDecoder('utf-8', { ignoreBOM: true });

/** Metadata of one file, in the file's order. 64-bit integers that a number holds exactly are numbers, others bigint. */
export class GgufMetadata {
  readonly #file: string;
  readonly #values: ReadonlyMap<string, GgufValue | (() => GgufValue)>;
  readonly #types: ReadonlyMap<string, ValueType>;
  readonly #decoded = new Map<string, GgufValue>();

  /** `types` are those that the file has; without them `typeOf` knows none. */
  constructor(
    file: string,
    values: ReadonlyMap<string, GgufValue | (() => GgufValue)>,
    types: ReadonlyMap<string, ValueType> = new Map(),
  ) {
    this.#file = file;
    this.#values = values;
    this.#types = types;
  }

  /** Type of a value in the file; undefined when the key is absent. */
  typeOf(key: string): ValueType | undefined {
    return this.#types.get(key);
  }

  keys(): string[] {
    return [...this.#values.keys()];
  }

  has(key: string): boolean {
    return this.#values.has(key);
  }

  get(key: string): GgufValue | undefined {
    const known = this.#decoded.get(key);
    if (known !== undefined) return known;
    const value = this.#values.get(key);
    if (typeof value !== 'function') return value;
    const decoded = value();
    this.#decoded.set(key, decoded);
    return decoded;
  }

  /** A string, or undefined when the key is absent. Throws FileFormatError when it is something else. */
  string(key: string): string | undefined {
    const value = this.get(key);
    if (value === undefined || typeof value === 'string') return value;
    return this.#wrong(key, 'a string');
  }

  boolean(key: string): boolean | undefined {
    const value = this.get(key);
    if (value === undefined || typeof value === 'boolean') return value;
    return this.#wrong(key, 'a boolean');
  }

  /** A finite number. */
  number(key: string): number | undefined {
    const value = this.get(key);
    if (value === undefined) return undefined;
    if (typeof value === 'number' && Number.isFinite(value)) return value;
    return this.#wrong(key, 'a finite number');
  }

  /** An integer of at least `least`. */
  integer(key: string, least = 0): number | undefined {
    const value = this.number(key);
    if (value === undefined || (Number.isSafeInteger(value) && value >= least)) return value;
    return this.#wrong(key, `an integer of at least ${least}`);
  }

  #wrong(key: string, expected: string): never {
    const value = this.get(key);
    const shown = typeof value === 'object' ? `an array of ${value.length}` : String(value).slice(0, 60);
    throw new FileFormatError(this.#file, key, `must be ${expected}, found ${shown}`);
  }
}

/** Reads `count` pairs. Throws FileFormatError for wrong types, sizes past the end, and keys that come twice. */
export async function readMetadata(cursor: HeaderCursor, count: number, file: string): Promise<GgufMetadata> {
  const places = new Map<string, Place>();
  for (let i = 0; i < count; i++) {
    const key = await readString(cursor, `key ${i} of ${count}`, maxKeyBytes);
    if (places.has(key)) cursor.fail(`metadata key ${JSON.stringify(key.slice(0, 80))}`, 'is there twice');
    places.set(key, await readValue(cursor, `metadata ${JSON.stringify(key.slice(0, 80))}`));
  }
  const values = new Map<string, () => GgufValue>();
  for (const [key, place] of places) values.set(key, () => decode(cursor.bytes, place));
  const types = new Map([...places].map(([key, place]) => [key, place.type] as const));
  return new GgufMetadata(file, values, types);
}

/** A length-prefixed string at the cursor. */
export async function readString(cursor: HeaderCursor, field: string, maxBytes: number): Promise<string> {
  const length = await stringLength(cursor, field, maxBytes);
  const start = cursor.position;
  cursor.position += length;
  return text.decode(cursor.bytes.subarray(start, start + length));
}

async function stringLength(cursor: HeaderCursor, field: string, maxBytes: number): Promise<number> {
  if (!cursor.ready(8)) await cursor.need(8, field);
  const length = cursor.u64(field);
  if (length > maxBytes)
    cursor.fail(field, `is a string of ${length} bytes; at most ${maxBytes} are accepted`);
  if (!cursor.ready(length)) await cursor.need(length, field);
  return length;
}

async function readType(cursor: HeaderCursor, field: string): Promise<ValueType> {
  await cursor.need(4, field);
  const number = cursor.u32();
  return valueTypes[number] ?? cursor.fail(field, `has unknown value type ${number}`);
}

async function readValue(cursor: HeaderCursor, field: string): Promise<Place> {
  const type = await readType(cursor, field);
  if (type !== 'array') {
    const at = cursor.position;
    await skip(cursor, type, field, 0);
    return { type, at };
  }
  const { element, count } = await readArrayHead(cursor, field);
  const at = cursor.position;
  await skipElements(cursor, element, count, field, 1);
  return { type, element, count, at };
}

async function readArrayHead(
  cursor: HeaderCursor,
  field: string,
): Promise<{ element: ValueType; count: number }> {
  const element = await readType(cursor, field);
  await cursor.need(8, field);
  const count = cursor.u64(field);
  if (count > cursor.remaining / valueBytes[element]) {
    cursor.fail(field, `claims ${count} elements of ${element} but only ${cursor.remaining} bytes follow`);
  }
  return { element, count };
}

/** Moves past one value, checking that it is whole and well formed. */
async function skip(cursor: HeaderCursor, type: ValueType, field: string, depth: number): Promise<void> {
  if (type === 'string') {
    const length = await stringLength(cursor, field, maxStringBytes);
    cursor.position += length;
    return;
  }
  if (type === 'array') {
    if (depth >= maxNesting) cursor.fail(field, `nests arrays more than ${maxNesting} deep`);
    const { element, count } = await readArrayHead(cursor, field);
    await skipElements(cursor, element, count, field, depth + 1);
    return;
  }
  await cursor.need(valueBytes[type], field);
  if (type === 'bool') checkBooleans(cursor, 1, field);
  cursor.position += valueBytes[type];
}

function checkBooleans(cursor: HeaderCursor, count: number, field: string): void {
  for (let i = cursor.position; i < cursor.position + count; i++) {
    const value = cursor.bytes[i] as number;
    if (value > 1) cursor.fail(field, `has the boolean ${value}; it must be 0 or 1`);
  }
}

async function skipElements(
  cursor: HeaderCursor,
  element: ValueType,
  count: number,
  field: string,
  depth: number,
): Promise<void> {
  if (element === 'array') {
    if (count > maxNestedArrays)
      cursor.fail(field, `has ${count} nested arrays; at most ${maxNestedArrays} are accepted`);
    for (let i = 0; i < count; i++) await skip(cursor, element, field, depth);
    return;
  }
  if (element === 'string') {
    // Vocabularies are long: what is buffered is passed without awaiting each string.
    for (let done = 0; done < count; done++) {
      done += cursor.skipStrings(count - done, maxStringBytes);
      if (done < count) await skip(cursor, element, field, depth);
    }
    return;
  }
  await cursor.need(count * valueBytes[element], field);
  if (element === 'bool') checkBooleans(cursor, count, field);
  cursor.position += count * valueBytes[element];
}

/** Decodes a value that was skipped over: its bytes are known to be whole. */
function decode(bytes: Uint8Array, place: Place): GgufValue {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (place.type === 'array') return decodeArray(view, place.element, place.count, place.at).value;
  return decodeScalar(view, place.type, place.at).value;
}

interface Decoded<T> {
  readonly value: T;
  readonly end: number;
}

function decodeScalar(view: DataView, type: Exclude<ValueType, 'array'>, at: number): Decoded<GgufScalar> {
  if (type === 'string') {
    const end = at + 8 + Number(view.getBigUint64(at, true));
    return { value: text.decode(new Uint8Array(view.buffer, view.byteOffset + at + 8, end - at - 8)), end };
  }
  const end = at + valueBytes[type];
  if (type === 'bool') return { value: view.getUint8(at) === 1, end };
  return { value: decodeNumber(view, type, at), end };
}

function decodeNumber(view: DataView, type: NumericType, at: number): number | bigint {
  switch (type) {
    case 'uint8':
      return view.getUint8(at);
    case 'int8':
      return view.getInt8(at);
    case 'uint16':
      return view.getUint16(at, true);
    case 'int16':
      return view.getInt16(at, true);
    case 'uint32':
      return view.getUint32(at, true);
    case 'int32':
      return view.getInt32(at, true);
    case 'float32':
      return view.getFloat32(at, true);
    case 'float64':
      return view.getFloat64(at, true);
    case 'uint64':
      return narrow(view.getBigUint64(at, true));
    case 'int64':
      return narrow(view.getBigInt64(at, true));
  }
}

const narrow = (value: bigint): number | bigint =>
  Number.isSafeInteger(Number(value)) ? Number(value) : value;

const typedArrays = {
  uint8: Uint8Array,
  int8: Int8Array,
  uint16: Uint16Array,
  int16: Int16Array,
  uint32: Uint32Array,
  int32: Int32Array,
  float32: Float32Array,
  float64: Float64Array,
  uint64: BigUint64Array,
  int64: BigInt64Array,
} as const;

function decodeArray(view: DataView, element: ValueType, count: number, at: number): Decoded<GgufValue> {
  if (element !== 'string' && element !== 'bool' && element !== 'array') {
    const end = at + count * valueBytes[element];
    // The copy aligns the elements; hosts are little endian, as files are.
    const copy = view.buffer.slice(view.byteOffset + at, view.byteOffset + end) as ArrayBuffer;
    return { value: new typedArrays[element](copy), end };
  }
  const values: GgufValue[] = [];
  let end = at;
  for (let i = 0; i < count; i++) {
    const item = element === 'array' ? decodeNested(view, end) : decodeScalar(view, element, end);
    values.push(item.value);
    end = item.end;
  }
  return { value: values, end };
}

function decodeNested(view: DataView, at: number): Decoded<GgufValue> {
  const element = valueTypes[view.getUint32(at, true)] as ValueType; // known: it was read once
  return decodeArray(view, element, Number(view.getBigUint64(at + 4, true)), at + 12);
}
