// Metadata of an open GGUF file for another one.

import type { GgufMetadata } from './metadata.ts';
import type { NumericType, ValueType } from './types.ts';
import type { WritableValue } from './writer.ts';

const isNumeric = (type: ValueType): type is NumericType =>
  type !== 'string' && type !== 'array' && type !== 'bool';

/** Metadata of an open file as a writer takes it, without what describes its split. */
export function copiedMetadata(metadata: GgufMetadata): Record<string, WritableValue> {
  const copied: Record<string, WritableValue> = {};
  for (const key of metadata.keys()) {
    const value = metadata.get(key);
    if (value === undefined || /^split\./.test(key) || key === 'general.file_type') continue;
    const type = metadata.typeOf(key);
    if (type !== undefined && isNumeric(type)) copied[key] = { type, value: value as number | bigint };
    else copied[key] = value as WritableValue;
  }
  return copied;
}
