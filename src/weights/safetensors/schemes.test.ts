// Quantised checkpoints as their tools write them, against the values that those tools (or the definitions) give.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { dequantizeSource } from '../../quant/reference.ts';
import { MemorySink } from '../atomic-file.ts';
import { Checkpoint } from '../checkpoint.ts';
import type { JsonObject } from '../json.ts';
import { MemorySource } from '../source.ts';
import { dimensions, readRows } from '../tensor.ts';
import { safetensorsCheckpoint } from './open.ts';
import type { SafetensorsDType } from './reader.ts';
import { writeSafetensors } from './writer.ts';

interface Golden {
  readonly name: string;
  readonly config: JsonObject;
  readonly tensors: Readonly<Record<string, { dtype: SafetensorsDType; shape: number[]; data: string }>>;
  readonly expect: Readonly<Record<string, { shape: number[]; values: string }>>;
}
const goldens = JSON.parse(
  readFileSync(new URL('../../../tests/goldens/quant/checkpoints.json', import.meta.url), 'utf8'),
) as Golden[];
const golden = (name: string): Golden => goldens.find((g) => g.name === name) ?? expect.fail(name);
const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'));

async function open(config: JsonObject, tensors: Golden['tensors']): Promise<Checkpoint> {
  const sink = new MemorySink();
  await writeSafetensors(
    sink,
    Object.entries(tensors).map(([name, { dtype, shape, data }]) => {
      const bytes = bytesOf(data);
      return { name, dtype, shape, bytes: bytes.byteLength, data: bytes };
    }),
  );
  const source = new MemorySource(sink.bytes(), 'model.safetensors');
  const files = async (name: string) => (name === 'model.safetensors' ? source : undefined);
  return new Checkpoint(
    await safetensorsCheckpoint('dir', config, {
      openFile: files,
      small: { files: [], readFile: async () => undefined },
    }),
  );
}

/** All values of a tensor, `[E, N, K]` row major. */
async function valuesOf(checkpoint: Checkpoint, name: string): Promise<Float32Array> {
  const tensor = checkpoint.describe(name);
  if (tensor.kind !== 'source') return expect.fail('is packed');
  const { rows, columns } = dimensions(tensor.shape);
  const parts = await Promise.all(
    tensor.slices.map(async (slice) => {
      // In two pieces: what is computed is computed once.
      const cut = Math.ceil(rows / 2);
      const pieces = [await readRows(slice, 0, cut), await readRows(slice, cut, rows - cut)];
      return pieces.map((piece, i) =>
        dequantizeSource(tensor.format, piece, i === 0 ? cut : rows - cut, columns),
      );
    }),
  );
  return Float32Array.from(parts.flat().flatMap((piece) => [...piece]));
}

const change = (
  { tensors }: Golden,
  name: string,
  changed: Partial<Golden['tensors'][string]> | undefined,
): Golden['tensors'] => {
  const { [name]: old, ...rest } = tensors;
  if (old === undefined) return expect.fail(name);
  return changed === undefined ? rest : { ...rest, [name]: { ...old, ...changed } };
};

describe('quantised checkpoints', () => {
  it.each(goldens)('$name', async ({ config, tensors, expect: expected }) => {
    const checkpoint = await open(config, tensors);
    expect([...checkpoint.tensors].sort()).toEqual(Object.keys(expected).sort());
    for (const [name, { shape, values }] of Object.entries(expected)) {
      expect(checkpoint.describe(name).shape).toEqual(shape);
      const found = (await valuesOf(checkpoint, name)).map((v) => v + 0); // without negative zeros
      expect(found).toEqual(new Float32Array(bytesOf(values).buffer).map((v) => v + 0));
    }
  });

  it.each([
    ['fp8 blocks', 'a.weight_scale_inv', { shape: [4, 1] }, undefined],
    ['fp8 rows', 'a.weight_scale', { shape: [1, 16] }, 'has scales for 6 of 96 columns'],
    [
      'fp8 blocks',
      'a.weight_scale_inv',
      { dtype: 'BF16' as const, shape: [2, 2, 2] },
      'has no scale for each block',
    ],
    ['compressed int4', 'a.weight_scale', { shape: [16, 2] }, 'fits no single group of quantization_config'],
    ['compressed int4 asymmetric', 'a.weight_zero_point', { shape: [2, 1] }, 'must be [1, 2]'],
    ['compressed nvfp4', 'a.weight_global_scale', undefined, 'needs one F32'],
    ['gptq', 'a.scales', { shape: [1, 16] }, 'must be [2, 8]'],
    ['gptq', 'a.qzeros', undefined, 'has no qzeros and scales'],
    ['awq', 'a.qweight', { dtype: 'F32' as const }, 'must be I32, found F32'],
    [
      'gpt-oss mxfp4',
      'model.layers.0.mlp.experts.down_proj_scales',
      { shape: [2, 2, 6] },
      'must be [2, 6, 2]',
    ],
    ['mlx mxfp4 4', 'a.scales', { shape: [2, 8] }, 'must be U8 [4,4]'],
  ])('%s that contradicts itself in %s', async (name, tensor, changed, message) => {
    const changedTensors = change(golden(name), tensor, changed);
    const opened = open(golden(name).config, changedTensors);
    if (message === undefined) await opened;
    else await expect(opened).rejects.toThrow(message);
  });

  it('with an order that the config denies', async () => {
    const { tensors, config } = golden('gptq reordered');
    const lying = { quantization_config: { ...(config.quantization_config as JsonObject), desc_act: false } };
    await expect(valuesOf(await open(lying, tensors), 'a.weight')).rejects.toThrow(
      'quantization_config does not say desc_act',
    );
  });

  it.each([
    [
      { quant_method: 'bitsandbytes', load_in_4bit: true },
      '"bitsandbytes" is not supported; use plain weights',
    ],
    [{ quant_method: 'toString' }, '"toString" is not supported'],
    [{ quant_method: 'gptq', bits: 3 }, 'gptq with 3 bits is not supported; use 2, 4, 8 bits'],
    [{ quant_method: 'awq', version: 'marlin' }, 'awq version "marlin" is not supported'],
    [{ quant_method: 'compressed-tensors', format: 'marlin-24' }, 'format "marlin-24" is not supported'],
  ])('refuses %j', async (quantization_config, message) => {
    await expect(open({ quantization_config }, golden('fp8 blocks').tensors)).rejects.toThrow(message);
    await expect(open({ quantization_config }, golden('fp8 blocks').tensors)).rejects.toMatchObject({
      code: 'unsupported',
    });
  });
});
