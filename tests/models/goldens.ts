// Reads the tiny-model goldens of tests/goldens/models (made by tools/goldens/models.py).

import { readdirSync, readFileSync } from 'node:fs';
import type { SourceFormat } from '../../src/quant/format.ts';
import { bf16, f16, f32 } from '../../src/quant/formats/float.ts';
import type { MemoryTensor } from '../../src/testing/tiny-models.ts';

const root = new URL('../goldens/models/', import.meta.url);

export interface ModelGolden {
  readonly name: string;
  /** config.json, parsed. */
  readonly config: unknown;
  readonly dialect: 'old' | 'new';
  readonly vocab: number;
  readonly tokens: readonly number[];
  /** Greedy tokens after `tokens`. */
  readonly continuation: readonly number[];
  /** Smallest difference between the best and the second logit along the continuation. */
  readonly smallestLead: number;
  readonly largestLogit: number;
  /** `[tokens, vocab]` */
  readonly logits: Float32Array;
  readonly tensors: ReadonlyMap<string, MemoryTensor>;
}

export const goldenNames = readdirSync(root).sort();

const read = (name: string, file: string): Buffer => readFileSync(new URL(`${name}/${file}`, root));

export function readGolden(name: string): ModelGolden {
  const bytes = Uint8Array.from(read(name, 'logits.bin'));
  const golden = JSON.parse(read(name, 'golden.json').toString()) as ModelGolden;
  return {
    ...golden,
    name,
    config: JSON.parse(read(name, 'config.json').toString()),
    logits: new Float32Array(bytes.buffer),
    tensors: readTensors(read(name, 'model.safetensors')),
  };
}

const formats: Readonly<Record<string, SourceFormat>> = { F32: f32, F16: f16, BF16: bf16 };

/** The tensors of a trusted safetensors file, without the checks that the loader for foreign files makes. */
function readTensors(file: Buffer): ReadonlyMap<string, MemoryTensor> {
  const headerBytes = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.subarray(8, 8 + headerBytes).toString()) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  const { __metadata__: _, ...entries } = header;
  return new Map(
    Object.entries(entries).map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [from, to],
        },
      ]) => {
        const data = file.subarray(8 + headerBytes + from, 8 + headerBytes + to);
        return [name, { shape, format: formats[dtype]!, parts: [data] }];
      },
    ),
  );
}
