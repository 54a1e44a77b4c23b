// Quantised checkpoints as their tools write them, against the values that those tools (or the definitions) give.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { dequantizeSource } from '../../quant/reference.ts';
import { MemorySink } from '../atomic-file.ts';
import { Checkpoint } from '../checkpoint.ts';
import type { JsonObject } from '../json.ts';
import { MemorySource } from '../source.ts';
import { dimensions, readRows } from '../tensor.ts';
import { nf4Quantiles } from './bitsandbytes.ts';
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

  describe('of ModelOpt', () => {
    const base64 = (data: ArrayBufferView) => Buffer.from(data.buffer).toString('base64');
    const f32 = (...values: number[]) => ({
      dtype: 'F32' as const,
      shape: [],
      data: base64(new Float32Array(values)),
    });
    const codes = Uint8Array.from({ length: 3 * 32 }, (_, i) => (i * 37) & 255);
    const scales = Uint8Array.from({ length: 3 * 4 }, (_, i) => 0x28 + 5 * i);
    const nvfp4 = {
      'a.weight': { dtype: 'U8' as const, shape: [3, 32], data: base64(codes) },
      'a.weight_scale': { dtype: 'F8_E4M3' as const, shape: [3, 4], data: base64(scales) },
      'a.weight_scale_2': f32(0.03125),
      'a.input_scale': f32(0.5),
    };
    const config = (algorithm: string) => ({
      quantization_config: { quant_method: 'modelopt', quant_algo: algorithm },
    });
    /** The definitions of e2m1 and e4m3. */
    const e2m1 = (code: number): number =>
      (code & 8 ? -1 : 1) * ([0, 0.5, 1, 1.5, 2, 3, 4, 6][code & 7] as number);
    const e4m3 = (byte: number): number => (1 + (byte & 7) / 8) * 2 ** ((byte >> 3) - 7);

    it('NVFP4 has a second scale, for the whole tensor, that multiplies the first', async () => {
      const checkpoint = await open(config('NVFP4'), nvfp4);
      expect(checkpoint.tensors).toEqual(['a.weight']);
      const values = await valuesOf(checkpoint, 'a.weight');
      const expected = Float32Array.from({ length: 3 * 64 }, (_, i) => {
        const code = ((codes[i >> 1] as number) >> (4 * (i & 1))) & 15;
        return e2m1(code) * e4m3(scales[i >> 4] as number) * 0.03125;
      });
      expect(values.map((x) => x + 0)).toEqual(expected.map((x) => x + 0));
    });

    it('FP8 has a scale for the tensor', async () => {
      const weight = {
        dtype: 'F8_E4M3' as const,
        shape: [2, 32],
        data: base64(codes.slice(0, 64).map((c) => c & 0x7e)),
      };
      const checkpoint = await open(config('FP8'), {
        'a.weight': weight,
        'a.weight_scale': f32(0.25),
        'a.input_scale': f32(0.5),
      });
      expect(checkpoint.tensors).toEqual(['a.weight']);
      const [, second] = await valuesOf(checkpoint, 'a.weight');
      expect(second).toBe(0.25 * e4m3(37 & 0x7e));
    });

    it('is refused where it is something else', async () => {
      await expect(open(config('W4A8_AWQ'), nvfp4)).rejects.toThrow(`ModelOpt's "W4A8_AWQ" is not supported`);
      await expect(open(config('NVFP4'), { ...nvfp4, 'a.weight_scale_2': f32(1, 2) })).rejects.toThrow();
      const { 'a.weight_scale': _, ...rest } = nvfp4;
      const without = await open(config('NVFP4'), rest);
      expect(() => without.describe('a.weight')).toThrow('has no weight_scale beside it');
    });
  });

  it('scales of FP8 are also called what DeepSeek V4 calls them', async () => {
    const { config, tensors } = golden('fp8 blocks');
    const { 'a.weight_scale_inv': scale, ...rest } = tensors;
    if (scale === undefined) return expect.fail('the golden has no scales');
    const [named, renamed] = await Promise.all([
      open(config, tensors),
      open(config, { ...rest, 'a.scale': scale }),
    ]);
    expect([...renamed.tensors].sort()).toEqual([...named.tensors].sort());
    expect(await valuesOf(renamed, 'a.weight')).toEqual(await valuesOf(named, 'a.weight'));
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
    ['compressed nvfp4', 'a.weight_global_scale', undefined, 'has no weight_global_scale beside it'],
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

  describe('of bitsandbytes', () => {
    const config = { quantization_config: { quant_method: 'bitsandbytes', bnb_4bit_quant_type: 'nf4' } };
    const text = (bytes: Uint8Array | Float32Array) =>
      Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
    const state = (fields: object = {}) =>
      new TextEncoder().encode(
        JSON.stringify({ quant_type: 'nf4', blocksize: 64, dtype: 'bfloat16', shape: [2, 64], ...fields }),
      );
    const tensor = (dtype: SafetensorsDType, data: Uint8Array | Float32Array, shape = [data.length]) => ({
      dtype,
      shape,
      data: text(data),
    });
    // Codes 0 to 15 in order, the first of a byte in its high bits.
    const codes = Uint8Array.from({ length: 64 }, (_, i) => (((2 * i) % 16) << 4) | ((2 * i + 1) % 16));
    const base = {
      'a.weight': tensor('U8', codes, [64, 1]),
      'a.weight.absmax': tensor('F32', Float32Array.of(2, 4)),
      'a.weight.quant_map': tensor('F32', Float32Array.from(nf4Quantiles)),
      'a.weight.quant_state.bitsandbytes__nf4': tensor('U8', state()),
    };
    const wanted = (scales: readonly number[]) =>
      Array.from({ length: 128 }, (_, i) => (nf4Quantiles[i % 16] ?? 0) * (scales[Math.floor(i / 64)] ?? 0));

    it('NF4 has a scale for each block, which may be a code itself', async () => {
      const plain = await open(config, base);
      expect(plain.tensors).toEqual(['a.weight']);
      // The table is rounded to 1/127: docs/layouts.md.
      const near = async (checkpoint: Checkpoint, scales: readonly number[]) => {
        const found = await valuesOf(checkpoint, 'a.weight');
        wanted(scales).forEach((value, i) => {
          expect(Math.abs((found[i] ?? 0) - value)).toBeLessThanOrEqual(
            (scales[Math.floor(i / 64)] ?? 0) / 254 + 1e-6,
          );
        });
      };
      await near(plain, [2, 4]);
      const doubled = await open(config, {
        ...base,
        'a.weight.absmax': tensor('U8', Uint8Array.of(3, 255)),
        'a.weight.nested_absmax': tensor('F32', Float32Array.of(2)),
        'a.weight.nested_quant_map': tensor(
          'F32',
          Float32Array.from({ length: 256 }, (_, i) => i / 255),
        ),
        'a.weight.quant_state.bitsandbytes__nf4': tensor(
          'U8',
          state({ nested_blocksize: 256, nested_offset: 0.5 }),
        ),
      });
      await near(doubled, [0.5 + 6 / 255, 2.5]);
    });

    it.each([
      [
        'a state of another kind',
        { 'a.weight.quant_state.bitsandbytes__nf4': tensor('U8', state({ blocksize: 128 })) },
        'is no NF4 matrix in blocks of 64',
      ],
      [
        'a shape of other bytes',
        { 'a.weight.quant_state.bitsandbytes__nf4': tensor('U8', state({ shape: [4, 64] })) },
        'two codes in a byte for [4, 64]',
      ],
      [
        'rows that end inside a block',
        { 'a.weight.quant_state.bitsandbytes__nf4': tensor('U8', state({ shape: [4, 32] })) },
        'not whole blocks of 64',
      ],
      [
        'no JSON',
        { 'a.weight.quant_state.bitsandbytes__nf4': tensor('U8', Uint8Array.of(1)) },
        'is not JSON',
      ],
      [
        'too few scales',
        { 'a.weight.absmax': tensor('F32', Float32Array.of(2)) },
        'must be [2] for 2 blocks',
      ],
      [
        'codes of scales without their numbers',
        { 'a.weight.absmax': tensor('U8', Uint8Array.of(1, 2)) },
        'has no nested_absmax',
      ],
    ] as const)('%s is an error', async (_, changed, message) => {
      await expect(open(config, { ...base, ...changed })).rejects.toThrow(message);
    });
  });

  it.each([
    [
      'fp8 blocks',
      { weight_block_size: [0, 128] },
      'quantization_config.weight_block_size: must be the rows and columns',
    ],
    [
      'fp8 blocks',
      { weight_block_size: [7, 9] },
      'has no scale for each block of 7 x 9 of a.weight [32,256]',
    ],
    [
      'mlx affine 3',
      { nowhere: { bits: 4, group_size: 64 } },
      'quantization["nowhere"]: is no module of the files',
    ],
    ['mlx affine 3', { a: { bits: 4, group_size: 64 } }, 'must be F32 [4,1.5]'],
    ['mlx affine 3', { bits: 7 }, 'a has 7 bits in groups of 64'],
    ['gptq', { bits: 8 }, 'must be [1, 8] for [8, 64]'],
    ['gptq', { quant_method: 'awq' }, 'must be [1, 64] for [64, 16]'],
    ['compressed int4', { config_groups: 3 }, 'fits no single group of quantization_config'],
  ])('%s with a config that lies: %j', async (name, change, message) => {
    const { config, tensors } = golden(name);
    const key = config.quantization === undefined ? 'quantization_config' : 'quantization';
    const lying = { [key]: { ...(config[key] as JsonObject), ...change } };
    await expect(open(lying, tensors)).rejects.toThrow(message);
  });

  const foreign = goldens.filter(({ config }) => config.quantization_config !== undefined);
  it.each(foreign)(
    '$name: the tensors say which modules are quantised, not the lists of those that are not',
    async ({ config, tensors }) => {
      const told = config.quantization_config as JsonObject;
      const plain = {
        dtype: 'F32' as const,
        shape: [1, 2],
        data: Buffer.from(new Float32Array([3, -4]).buffer).toString('base64'),
      };
      const read = async (more: JsonObject) => {
        const checkpoint = await open(
          { quantization_config: { ...told, ...more } },
          { ...tensors, 'b.weight': plain },
        );
        const names = [...checkpoint.tensors].sort();
        return Promise.all(names.map(async (name) => [name, await valuesOf(checkpoint, name)] as const));
      };
      const unlisted = await read({});
      expect(unlisted.find(([name]) => name === 'b.weight')?.[1]).toEqual(new Float32Array([3, -4]));
      for (const list of [['b'], ['a', 're:.*a.*', 'model.layers.0.mlp'], []])
        expect(await read({ ignore: list, modules_to_not_convert: list })).toEqual(unlisted);
    },
  );

  it('with an order that the config denies', async () => {
    const { tensors, config } = golden('gptq reordered');
    const lying = { quantization_config: { ...(config.quantization_config as JsonObject), desc_act: false } };
    await expect(valuesOf(await open(lying, tensors), 'a.weight')).rejects.toThrow(
      'quantization_config does not say desc_act',
    );
  });

  it.each([
    [{ quant_method: 'bitsandbytes', load_in_4bit: true }, "bitsandbytes' FP4 is not supported; use its NF4"],
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
