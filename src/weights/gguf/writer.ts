// Writes GGUF version 3 files, streaming tensor data so that files larger than memory can be made.

import { IngotError } from '../../base/errors.ts';
import { checkColumns, type SourceFormat } from '../../quant/format.ts';
import { pad, type Sink, type TensorData, writeAtomically, writeTensorData } from '../atomic-file.ts';
import type { GgufNumbers } from './metadata.ts';
import {
  defaultAlignment,
  magic,
  type NumericType,
  tensorTypeOf,
  type ValueType,
  valueTypes,
} from './types.ts';

/** A metadata value; numbers say their type: `u32(3)`, `f32(1e-5)`. */
export type WritableValue =
  | string
  | boolean
  | { readonly type: NumericType; readonly value: number | bigint }
  | readonly string[]
  | readonly boolean[]
  | GgufNumbers;

export const u32 = (value: number): WritableValue => ({ type: 'uint32', value });
export const f32 = (value: number): WritableValue => ({ type: 'float32', value });

export interface WritableTensor {
  readonly name: string;
  /** Outermost dimension first, as everywhere in Ingot. */
  readonly shape: readonly number[];
  readonly format: SourceFormat;
  readonly data: TensorData;
}

export interface GgufContent {
  readonly metadata: Readonly<Record<string, WritableValue>>;
  readonly tensors: readonly WritableTensor[];
}

/** Creates a GGUF file. Throws invalid_argument for a format GGUF lacks, disk_full when there is no room. */
export async function writeGgufFile(path: string, content: GgufContent): Promise<void> {
  await writeAtomically(path, (sink) => writeGguf(sink, content));
}

/** Bytes of a tensor in its format. Throws invalid_argument when the rows do not fit the format's blocks. */
export function tensorBytes(tensor: Pick<WritableTensor, 'shape' | 'format'>): number {
  const K = tensor.shape.at(-1) ?? 0;
  checkColumns(tensor.format, K);
  const rows = tensor.shape.slice(0, -1).reduce((product, d) => product * d, 1);
  return tensor.format.rowBytes(K).reduce((sum, bytes) => sum + bytes, 0) * rows;
}

export async function writeGguf(sink: Sink, { metadata, tensors }: GgufContent): Promise<void> {
  const header = new HeaderBytes();
  const pairs = Object.entries(metadata);
  header.number('uint32', magic);
  header.number('uint32', 3);
  header.number('uint64', tensors.length);
  header.number('uint64', pairs.length);
  for (const [key, value] of pairs) {
    header.string(key);
    header.value(value);
  }
  let offset = 0;
  for (const { name, shape, format } of tensors) {
    const type = tensorTypeOf(format);
    if (type === undefined) {
      throw new IngotError('invalid_argument', `tensor ${name}: GGUF has no type for ${format.name}`);
    }
    header.string(name);
    header.number('uint32', shape.length);
    for (const dim of shape.toReversed()) header.number('uint64', dim);
    header.number('uint32', type);
    header.number('uint64', offset);
    offset += Math.ceil(tensorBytes({ shape, format }) / defaultAlignment) * defaultAlignment;
  }
  await sink.write(header.bytes());
  await pad(sink, defaultAlignment);
  for (const tensor of tensors) {
    await writeTensorData(sink, tensor.name, tensor.data, tensorBytes(tensor));
    await pad(sink, defaultAlignment);
  }
}

/** Builds the header in memory. */
class HeaderBytes {
  #buffer = new Uint8Array(4096);
  #view = new DataView(this.#buffer.buffer);
  #length = 0;

  bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  /** Room for `count` more bytes; returns where they start. */
  #extend(count: number): number {
    const at = this.#length;
    if (at + count > this.#buffer.byteLength) {
      const grown = new Uint8Array(Math.max(at + count, this.#buffer.byteLength * 2));
      grown.set(this.#buffer);
      this.#buffer = grown;
      this.#view = new DataView(grown.buffer);
    }
    this.#length += count;
    return at;
  }

  number(type: NumericType, value: number | bigint): void {
    const bits = Number(/\d+$/.exec(type)?.[0]);
    const at = this.#extend(bits / 8);
    const view = this.#view;
    if (type === 'float32') view.setFloat32(at, Number(value), true);
    else if (type === 'float64') view.setFloat64(at, Number(value), true);
    else if (bits === 64) view.setBigInt64(at, BigInt.asIntN(64, BigInt(value)), true);
    else if (bits === 32) view.setUint32(at, Number(value) >>> 0, true);
    else if (bits === 16) view.setUint16(at, Number(value), true);
    else view.setUint8(at, Number(value));
  }

  string(value: string): void {
    const encoded = new TextEncoder().encode(value);
    this.number('uint64', encoded.byteLength);
    const at = this.#extend(encoded.byteLength);
    this.#buffer.set(encoded, at);
  }

  #type(type: ValueType): void {
    this.number('uint32', valueTypes.indexOf(type));
  }

  value(value: WritableValue): void {
    if (typeof value === 'string') {
      this.#type('string');
      this.string(value);
    } else if (typeof value === 'boolean') {
      this.#type('bool');
      this.number('uint8', value ? 1 : 0);
    } else if ('type' in value) {
      this.#type(value.type);
      this.number(value.type, value.value);
    } else {
      this.#array(value);
    }
  }

  #array(values: readonly string[] | readonly boolean[] | GgufNumbers): void {
    const element = arrayType(values);
    this.#type('array');
    this.#type(element);
    this.number('uint64', values.length);
    for (const value of values) {
      if (typeof value === 'string') this.string(value);
      else if (typeof value === 'boolean') this.number('uint8', value ? 1 : 0);
      else this.number(element as NumericType, value);
    }
  }
}

function arrayType(
  values: readonly string[] | readonly boolean[] | GgufNumbers,
): Exclude<ValueType, 'array'> {
  if (values instanceof Uint8Array) return 'uint8';
  if (values instanceof Int8Array) return 'int8';
  if (values instanceof Uint16Array) return 'uint16';
  if (values instanceof Int16Array) return 'int16';
  if (values instanceof Uint32Array) return 'uint32';
  if (values instanceof Int32Array) return 'int32';
  if (values instanceof Float32Array) return 'float32';
  if (values instanceof Float64Array) return 'float64';
  if (values instanceof BigUint64Array) return 'uint64';
  if (values instanceof BigInt64Array) return 'int64';
  return typeof values[0] === 'boolean' ? 'bool' : 'string';
}
