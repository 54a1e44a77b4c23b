// The numbers of the GGUF file format: value types of metadata, element types of tensors.
// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md

import type { SourceFormat } from '../../quant/format.ts';
import { sourceFormats } from '../../quant/registry.ts';

export const magic = 0x46554747; // 'GGUF'
export const defaultAlignment = 32;

/** Value types by their number in the file. */
export const valueTypes = [
  'uint8',
  'int8',
  'uint16',
  'int16',
  'uint32',
  'int32',
  'float32',
  'bool',
  'string',
  'array',
  'uint64',
  'int64',
  'float64',
] as const;
export type ValueType = (typeof valueTypes)[number];
export type NumericType = Exclude<ValueType, 'string' | 'array' | 'bool'>;

/** Bytes of a value; strings and arrays: the least they need. */
export const valueBytes: Readonly<Record<ValueType, number>> = {
  uint8: 1,
  int8: 1,
  uint16: 2,
  int16: 2,
  uint32: 4,
  int32: 4,
  float32: 4,
  bool: 1,
  string: 8,
  array: 12,
  uint64: 8,
  int64: 8,
  float64: 8,
};

/** Tensor types this build reads, by their number in the file. */
export const tensorFormats: ReadonlyMap<number, SourceFormat> = new Map(
  sourceFormats.flatMap((format) => (format.gguf === undefined ? [] : [[format.gguf.type, format] as const])),
);

/** Names of the other tensor types, so that a message can say what the file has. */
const otherTensorTypes: Readonly<Record<number, string>> = {
  9: 'Q8_1',
  15: 'Q8_K',
  24: 'I8',
  25: 'I16',
  26: 'I32',
  27: 'I64',
  28: 'F64',
  41: 'Q1_0',
};

export const tensorTypeName = (type: number): string =>
  tensorFormats.get(type)?.gguf?.name ?? otherTensorTypes[type] ?? `number ${type}`;

/** Names of all tensor types this build reads. */
export const readableTypes = (): string =>
  [...tensorFormats.values()].map(({ gguf }) => gguf?.name).join(', ');

/** The file's number for a format; undefined for formats that GGUF does not have. */
export const tensorTypeOf = (format: SourceFormat): number | undefined => format.gguf?.type;
