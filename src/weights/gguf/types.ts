// The numbers of the GGUF file format: value types of metadata, element types of tensors.
// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md

import type { SourceFormat } from '../../quant/format.ts';
import { bf16, f16, f32 } from '../../quant/formats/float.ts';
import { q4_0 } from '../../quant/formats/q4_0.ts';
import { q4_1 } from '../../quant/formats/q4_1.ts';
import { q4_k } from '../../quant/formats/q4_k.ts';
import { q6_k } from '../../quant/formats/q6_k.ts';
import { q8_0 } from '../../quant/formats/q8_0.ts';

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
export const tensorFormats: ReadonlyMap<number, SourceFormat> = new Map([
  [0, f32],
  [1, f16],
  [2, q4_0],
  [3, q4_1],
  [8, q8_0],
  [12, q4_k],
  [14, q6_k],
  [30, bf16],
]);

/** Names of the other tensor types, so that a message can say what the file has. */
const otherTensorTypes: Readonly<Record<number, string>> = {
  6: 'Q5_0',
  7: 'Q5_1',
  9: 'Q8_1',
  10: 'Q2_K',
  11: 'Q3_K',
  13: 'Q5_K',
  15: 'Q8_K',
  16: 'IQ2_XXS',
  17: 'IQ2_XS',
  18: 'IQ3_XXS',
  19: 'IQ1_S',
  20: 'IQ4_NL',
  21: 'IQ3_S',
  22: 'IQ2_S',
  23: 'IQ4_XS',
  24: 'I8',
  25: 'I16',
  26: 'I32',
  27: 'I64',
  28: 'F64',
  29: 'IQ1_M',
  34: 'TQ1_0',
  35: 'TQ2_0',
  39: 'MXFP4',
};

export const tensorTypeName = (type: number): string =>
  tensorFormats.get(type)?.name.toUpperCase() ?? otherTensorTypes[type] ?? `number ${type}`;

/** The file's number for a format; undefined for formats that GGUF does not have. */
export const tensorTypeOf = (format: SourceFormat): number | undefined => {
  for (const [type, candidate] of tensorFormats) if (candidate === format) return type;
  return undefined;
};
