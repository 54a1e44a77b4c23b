import { describe, expect, it } from 'vitest';
import { findSourceFormat } from '../../quant/registry.ts';
import { MemorySink } from '../atomic-file.ts';
import { Checkpoint } from '../checkpoint.ts';
import type { JsonObject } from '../json.ts';
import { MemorySource } from '../source.ts';
import { type CheckpointTensor, readRows, type SourceTensor } from '../tensor.ts';
import { safetensorsCheckpoint } from './open.ts';
import { readSafetensors, type SafetensorsDType } from './reader.ts';
import { type WritableSafetensor, writeSafetensors } from './writer.ts';

const widths: Partial<Record<SafetensorsDType, number>> = { F32: 4, F16: 2, BF16: 2, U32: 4, I64: 8 };
let counter = 0;
function tensor(name: string, dtype: SafetensorsDType, shape: number[]): WritableSafetensor {
  const bytes = shape.reduce((a, b) => a * b, 1) * (widths[dtype] ?? 1);
  return {
    name,
    dtype,
    shape,
    bytes,
    data: Uint8Array.from({ length: bytes }, () => (counter = (counter * 13 + 7) % 251)),
  };
}

async function bytesOf(tensors: WritableSafetensor[]): Promise<Uint8Array> {
  const sink = new MemorySink();
  await writeSafetensors(sink, tensors);
  return sink.bytes();
}

/** Bytes of a file with this header. */
function raw(header: unknown, data = 0): Uint8Array {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + json.length + data);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  return bytes;
}

async function open(files: Record<string, Uint8Array>, config: JsonObject = {}): Promise<Checkpoint> {
  const openFile = async (name: string): Promise<MemorySource | undefined> => {
    const bytes = files[name];
    return bytes === undefined ? undefined : new MemorySource(bytes, `dir/${name}`);
  };
  const small = { files: [], readFile: async () => undefined };
  return new Checkpoint(await safetensorsCheckpoint('dir', config, { openFile, small }));
}
const single = async (tensors: WritableSafetensor[], config?: JsonObject): Promise<Checkpoint> =>
  open({ 'model.safetensors': await bytesOf(tensors) }, config);
const source = (found: CheckpointTensor): SourceTensor =>
  found.kind === 'source' ? found : expect.fail('not a source tensor');
const data = (tensor: WritableSafetensor | undefined): Uint8Array =>
  tensor?.data instanceof Uint8Array ? tensor.data : expect.fail('no data');
const json = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

describe('safetensors', () => {
  it('round trip', async () => {
    const tensors = [tensor('a', 'F32', [2, 3]), tensor('b.ü', 'BF16', [5]), tensor('c', 'F16', [2, 2, 2])];
    const checkpoint = await single(tensors);
    expect(checkpoint.tensors).toEqual(['a', 'b.ü', 'c']);
    for (const { name, shape, data: bytes, dtype } of tensors) {
      const found = source(checkpoint.describe(name));
      expect(found.shape).toEqual(shape);
      expect(found.format.name).toBe(dtype.toLowerCase());
      const matrices = await Promise.all(found.slices.map((slice) => readRows(slice, 0, shape.at(-2) ?? 1)));
      expect(Buffer.concat(matrices.flat())).toEqual(Buffer.from(bytes as Uint8Array));
    }
  });

  it('come in shards', async () => {
    const files = {
      'model.safetensors.index.json': json({ weight_map: { a: 'x-1.safetensors', b: 'x-2.safetensors' } }),
      'x-1.safetensors': await bytesOf([tensor('a', 'F32', [2]), tensor('other', 'F32', [2])]),
      'x-2.safetensors': await bytesOf([tensor('b', 'F32', [3])]),
    };
    expect((await open(files)).tensors).toEqual(['a', 'b']);
    const { 'x-2.safetensors': _, ...incomplete } = files;
    await expect(open(incomplete)).rejects.toThrow('1 of 2 files are missing: x-2.safetensors');
    const wrong = { ...files, 'x-2.safetensors': await bytesOf([tensor('c', 'F32', [3])]) };
    await expect(open(wrong)).rejects.toThrow('dir/x-2.safetensors: tensor "b": is not in it');
  });

  it.each([
    '../x.safetensors',
    '/etc/x.safetensors',
    'a/b.safetensors',
    'model.safetensors.index.json',
    '.x.safetensors',
    7,
    null,
  ])('shards cannot be %s', async (shard) => {
    const index = { 'model.safetensors.index.json': json({ weight_map: { a: shard } }) };
    await expect(open(index)).rejects.toThrow('weight_map["a"]');
  });

  it('tables of whole numbers are read as f32, as long as that holds them', async () => {
    const table = (values: readonly bigint[]): WritableSafetensor => {
      const data = new Uint8Array(BigInt64Array.from(values).buffer);
      return { name: 'ids', dtype: 'I64', shape: [2, 2], bytes: data.byteLength, data };
    };
    const rows = async (values: readonly bigint[]): Promise<readonly Uint8Array[]> => {
      const found = source((await single([table(values)])).describe('ids'));
      return readRows(found.slices[0] ?? [], 0, 2);
    };
    const [read] = await rows([3n, 0n, -1n, 16_777_216n]);
    expect([...new Float32Array(read?.slice().buffer ?? new ArrayBuffer())]).toEqual([3, 0, -1, 2 ** 24]);
    await expect(rows([3n, 0n, 0n, 16_777_217n])).rejects.toThrow('holds 16777217; whole numbers up to 2^24');
  });

  it('say why a tensor cannot be used', async () => {
    const checkpoint = await single([tensor('ids', 'I64', [2]), tensor('words', 'U32', [2, 4])]);
    expect(() => checkpoint.describe('ids')).toThrow('dir: tensor ids has type I64');
    expect(() => checkpoint.describe('words')).toThrow('no scales and biases');
    expect(() => checkpoint.describe('model.x.weight')).toThrow('dir: tensor model.x.weight is missing');
    await expect(single([], { quantization_config: { quant_method: 'hqq' } })).rejects.toThrow(
      '"hqq" is not supported',
    );
    await expect(open({})).rejects.toMatchObject({ code: 'not_found' });
  });
});

describe('MLX quantisation', () => {
  const module = (name: string, bits: number, group: number, N: number, K: number): WritableSafetensor[] => [
    tensor(`${name}.weight`, 'U32', [N, (K * bits) / 32]),
    tensor(`${name}.scales`, 'BF16', [N, K / group]),
    tensor(`${name}.biases`, 'BF16', [N, K / group]),
  ];

  it('is found, with parameters for single modules', async () => {
    const tensors = [
      ...module('a', 4, 64, 3, 128),
      ...module('b', 8, 32, 2, 64),
      tensor('norm.weight', 'BF16', [8]),
    ];
    const checkpoint = await single(tensors, {
      quantization: { group_size: 64, bits: 4, b: { group_size: 32, bits: 8 }, c: false },
    });
    const a = source(checkpoint.describe('a.weight'));
    expect(a.format).toBe(findSourceFormat('mlx4/64/bf16'));
    expect(a.shape).toEqual([3, 128]);
    expect(await readRows(a.slices[0] ?? [], 2, 1)).toEqual([
      data(tensors[0]).subarray(128),
      data(tensors[1]).subarray(8),
      data(tensors[2]).subarray(8),
    ]);
    expect(source(checkpoint.describe('b.weight')).format.name).toBe('mlx8/32/bf16');
    expect(source(checkpoint.describe('norm.weight')).format.name).toBe('bf16');
  });

  it('must fit together and be supported', async () => {
    const tensors = module('a', 4, 64, 3, 128);
    await expect(single(tensors, { quantization: { group_size: 32, bits: 4 } })).rejects.toThrow(
      'tensor "a.scales": must be BF16 [3,4] for codes [3,16] of 4 bits, found BF16 [3,2]',
    );
    await expect(single(tensors, { quantization: { group_size: 64, bits: 7 } })).rejects.toThrow(
      'a has 7 bits in groups of 64',
    );
    await expect(single(tensors, { quantization: { group_size: 'x', bits: 4 } })).rejects.toThrow(
      'must be integers',
    );
    await expect(single(tensors, { quantization: { mode: 'fp3', group_size: 32, bits: 3 } })).rejects.toThrow(
      '"fp3" is not supported; use affine, mxfp4',
    );
  });
});

describe('damaged safetensors', () => {
  const entry = (change: object): unknown => ({
    w: { dtype: 'F32', shape: [2], data_offsets: [0, 8], ...change },
  });
  const length = (value: bigint): Uint8Array => {
    const bytes = new Uint8Array(64);
    new DataView(bytes.buffer).setBigUint64(0, value, true);
    return bytes;
  };
  const cases: [string, Uint8Array, string][] = [
    ['empty', new Uint8Array(3), 'the file has only 3 bytes'],
    ['a header of 2^63 bytes', length(2n ** 63n), 'header length: is 9223372036854775808'],
    ['a header past the end', length(57n), 'header length: is 57, but the file has 64 bytes'],
    ['no JSON', raw('{"w":'), 'header: is not JSON'],
    ['endless nesting', raw('['.repeat(100000)), 'header: is not JSON'],
    ['a list', raw('[]'), 'header: must be a JSON object'],
    ['an entry that is none', raw({ w: 3 }), 'tensor "w": must be an object'],
    ['an unknown dtype', raw(entry({ dtype: 'toString' }), 8), 'unknown dtype "toString"'],
    ['a shape of strings', raw(entry({ shape: ['2'] }), 8), 'non-negative integers'],
    [
      'an overflowing shape',
      raw(entry({ shape: [2 ** 40, 2 ** 40] }), 8),
      'more elements than can be counted',
    ],
    ['an offset outside', raw(entry({ data_offsets: [8, 16] }), 8), 'leave the 8 bytes of data'],
    ['offsets reversed', raw(entry({ data_offsets: [8, 0] }), 8), 'leave the 8 bytes'],
    ['a huge offset', raw(entry({ data_offsets: [2 ** 60, 2 ** 60 + 8] }), 8), 'two non-negative integers'],
    ['too few bytes', raw(entry({ shape: [3] }), 8), 'F32 [3] needs 12 bytes, data_offsets hold 8'],
    [
      'an overlap',
      raw({ ...(entry({}) as object), v: { dtype: 'F32', shape: [1], data_offsets: [4, 8] } }, 8),
      'tensor "v": overlaps "w"',
    ],
  ];
  it.each(cases)('%s', async (_, bytes, message) => {
    const read = readSafetensors(new MemorySource(bytes, 'x.safetensors'));
    await expect(read).rejects.toThrow(message);
    await expect(read).rejects.toThrow('x.safetensors: ');
    await expect(read).rejects.toMatchObject({ code: 'bad_file' });
  });
});
