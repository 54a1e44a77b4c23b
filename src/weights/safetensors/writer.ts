// Writes one safetensors file. For tests, exports and tools.

import { pad, type Sink, type TensorData, writeAtomically, writeTensorData } from '../atomic-file.ts';
import type { SafetensorsDType } from './reader.ts';

export interface WritableSafetensor {
  readonly name: string;
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  /** Bytes of all elements: what `data` produces. */
  readonly bytes: number;
  readonly data: TensorData;
}

/** Creates a safetensors file. Rejects with disk_full when there is no room. */
export async function writeSafetensorsFile(
  path: string,
  tensors: readonly WritableSafetensor[],
): Promise<void> {
  await writeAtomically(path, (sink) => writeSafetensors(sink, tensors));
}

export async function writeSafetensors(sink: Sink, tensors: readonly WritableSafetensor[]): Promise<void> {
  let offset = 0;
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  for (const { name, dtype, shape, bytes } of tensors) {
    header[name] = { dtype, shape, data_offsets: [offset, offset + bytes] };
    offset += bytes;
  }
  // Spaces at the end of the JSON align the data.
  const json = JSON.stringify(header);
  const length = Math.ceil(new TextEncoder().encode(json).byteLength / 8) * 8;
  const text = new TextEncoder().encode(
    json.padEnd(json.length + length - new TextEncoder().encode(json).byteLength),
  );
  const prefix = new Uint8Array(8);
  new DataView(prefix.buffer).setBigUint64(0, BigInt(text.byteLength), true);
  await sink.write(prefix);
  await sink.write(text);
  await pad(sink, 8);
  for (const tensor of tensors) await writeTensorData(sink, tensor.name, tensor.data, tensor.bytes);
}
