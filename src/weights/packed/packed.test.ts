import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readFile } from '../../device/files.ts';
import { openJsDevice } from '../../device/js/device.ts';
import { modelCheckpoint } from '../../models/files/translate.ts';
import { dequantizeSource, unpackReference } from '../../quant/reference.ts';
import { MemorySink } from '../atomic-file.ts';
import { Checkpoint } from '../checkpoint.ts';
import { readVector } from '../chunks.ts';
import { CheckpointLoader, type LoadedMatrix, type LoadedVector } from '../load.ts';
import { packOn } from '../load-jobs.ts';
import { openCheckpoint } from '../open.ts';
import { MemorySource } from '../source.ts';
import { dimensions, readRows } from '../tensor.ts';
import { tinyCheckpoint, tinyGgufBytes } from '../tiny.ts';
import { dataStart, pageAlignment, prefixBytes, readPacked } from './format.ts';
import { packedCheckpoint } from './open.ts';
import { packThrough, writePacked, writePackedFile } from './writer.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ingot-packed-'));
});
afterEach(() => rm(folder, { recursive: true }));

async function packedBytes(): Promise<Uint8Array> {
  const sink = new MemorySink();
  await writePacked(sink, await modelCheckpoint(tinyCheckpoint()));
  return sink.bytes();
}

/** The file with another header, its checksum and lengths made right. */
function withHeader(bytes: Uint8Array, change: (header: Record<string, never>) => unknown): Uint8Array {
  const view = new DataView(bytes.buffer);
  const length = Number(view.getBigUint64(16, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(prefixBytes, prefixBytes + length)));
  const json = Buffer.from(JSON.stringify(change(header)));
  const data = bytes.subarray(dataStart(length));
  const changed = new Uint8Array(dataStart(json.length) + data.length);
  changed.set(bytes.subarray(0, prefixBytes));
  changed.set(json, prefixBytes);
  changed.set(createHash('sha256').update(json).digest(), 32);
  changed.set(data, dataStart(json.length));
  new DataView(changed.buffer).setBigUint64(16, BigInt(json.length), true);
  new DataView(changed.buffer).setBigUint64(24, BigInt(changed.length), true);
  return changed;
}

describe('packed files', () => {
  it('hold the same model', async () => {
    const original = await modelCheckpoint(tinyCheckpoint());
    const path = join(folder, 'tiny.ingot');
    await writePackedFile(path, original);
    expect(await readdir(folder)).toEqual(['tiny.ingot']);
    const packed = await openCheckpoint(folder); // a folder with one model is that model
    expect(packed.kind).toBe('packed');
    expect(packed.config).toEqual(original.config);
    expect(packed.tensors.toSorted()).toEqual(original.tensors.toSorted());
    expect(packed.metadata?.get('tokenizer.ggml.tokens')).toEqual(
      original.metadata?.get('tokenizer.ggml.tokens'),
    );
    expect(packed.metadata?.has('llama.block_count')).toBe(false);

    const device = openJsDevice({ readFile });
    const factory = { matrix: (m: LoadedMatrix) => m, vector: (v: LoadedVector) => v };
    const loader = new CheckpointLoader(packed, device, factory);
    for (const name of original.tensors) {
      const tensor = original.describe(name);
      if (tensor.kind !== 'source') return expect.fail(name);
      if (tensor.shape.length === 1) {
        expect(await readVector(packed.describe(name))).toEqual(await readVector(tensor));
        loader.vector(name, tensor.shape[0] as number);
        continue;
      }
      const { rows, columns, matrices } = dimensions(tensor.shape);
      const shape = tensor.shape as [number, number];
      const { buffer, layout } = loader.matrix(name, shape);
      const bytes = await device.read(buffer, 0, buffer.byteLength / matrices);
      const stored = await readRows(tensor.slices[0] ?? [], 0, rows);
      const values = dequantizeSource(tensor.format, stored, rows, columns);
      const found = unpackReference(layout, bytes, rows, columns);
      const last = tensor.rowMap?.[rows - 2] ?? rows - 2;
      expect(found.subarray(-2 * columns, -columns)).toEqual(
        values.subarray(last * columns, (last + 1) * columns),
      );
    }
    await loader.run();
    loader.dispose();
    await packed.close();
  });

  it('are copied where they cannot be mapped', async () => {
    const source = new MemorySource(await packedBytes());
    const packed = new Checkpoint(await packedCheckpoint('memory', source));
    const device = openJsDevice();
    const factory = { matrix: (m: LoadedMatrix) => m, vector: (v: LoadedVector) => v };
    const loader = new CheckpointLoader(packed, device, factory);
    const { buffer } = loader.matrix('model.embed_tokens.weight', [50, 256]);
    await loader.run();
    const tensor = packed.describe('model.embed_tokens.weight');
    if (tensor.kind !== 'packed') return expect.fail('not packed');
    expect(await device.read(buffer, 0, tensor.bytes)).toEqual(
      await source.read(tensor.offset, tensor.bytes),
    );
    loader.dispose();
  });

  it('are the same through a device that packs', async () => {
    const device = openJsDevice();
    const sink = new MemorySink();
    await writePacked(sink, await modelCheckpoint(tinyCheckpoint()), {
      pack: packThrough(device, packOn(device)),
    });
    expect(Buffer.from(sink.bytes()).equals(await packedBytes())).toBe(true);
    expect(device.statistics().liveBuffers).toBe(0);
  });

  it('start every matrix on a page', async () => {
    const { tensors } = await readPacked(new MemorySource(await packedBytes()));
    for (const { shape, offset } of tensors.values())
      expect(offset % (shape.length > 1 ? pageAlignment : 64)).toBe(0);
  });

  it('embed tokenizer files', async () => {
    const model = join(folder, 'model');
    const header = Buffer.from(
      JSON.stringify({ 'model.norm.weight': { dtype: 'F16', shape: [4], data_offsets: [0, 8] } }),
    );
    const prefix = Buffer.alloc(8);
    prefix.writeBigUInt64LE(BigInt(header.length));
    await mkdir(model);
    await writeFile(join(model, 'model.safetensors'), Buffer.concat([prefix, header, Buffer.alloc(8, 0x3c)]));
    await writeFile(join(model, 'config.json'), '{"model_type":"llama"}');
    await writeFile(join(model, 'tokenizer.json'), '{"some":"tokenizer"}');
    await writeFile(join(model, 'secrets.txt'), 'no');
    const path = join(folder, 'out.ingot');
    const unpacked = await openCheckpoint(model);
    await writePackedFile(path, unpacked);
    await unpacked.close();
    const packed = await openCheckpoint(path);
    expect(packed.files.toSorted()).toEqual(['config.json', 'tokenizer.json']);
    expect(new TextDecoder().decode(await packed.readFile('tokenizer.json'))).toBe('{"some":"tokenizer"}');
    expect(await packed.readFile('secrets.txt')).toBeUndefined();
    expect((await readVector(packed.describe('model.norm.weight')))[0]).toBeCloseTo(1.0586, 3);
    await expect(writePackedFile(join(folder, 'x'), packed)).rejects.toThrow('is a packed file already');
    await packed.close();
  });

  it('are not left half written when packing is aborted', async () => {
    const controller = new AbortController();
    const options = { signal: controller.signal, onProgress: () => controller.abort() };
    const writing = writePackedFile(
      join(folder, 'x.ingot'),
      await modelCheckpoint(tinyCheckpoint()),
      options,
    );
    await expect(writing).rejects.toMatchObject({ name: 'AbortError' });
    expect(await readdir(folder)).toEqual([]);
  });
});

describe('damaged packed files', () => {
  it('are refused', async () => {
    const good = await packedBytes();
    const read = (bytes: Uint8Array): Promise<unknown> => readPacked(new MemorySource(bytes, 'x.ingot'));
    await expect(read(good)).resolves.toBeDefined();
    await expect(read(good.subarray(0, good.length - 1))).rejects.toThrow(
      `must be ${good.length} bytes but is`,
    );
    await expect(read(good.subarray(0, 10))).rejects.toThrow('x.ingot: size');
    await expect(read(await tinyGgufBytes())).rejects.toThrow('does not start with INGOTPAK');
    const flipped = good.slice();
    flipped[prefixBytes + 5] = 1;
    await expect(read(flipped)).rejects.toThrow('header: does not have its checksum');
    const newer = good.slice();
    newer[8] = 9;
    await expect(read(newer)).rejects.toThrow(
      'packed file version 9, this build reads 1 and 2; pack the model again',
    );
  });

  it('are refused also when the checksum is right', async () => {
    const good = await packedBytes();
    const tensor = async (change: object): Promise<unknown> => {
      const bytes = withHeader(good, (header) => {
        const [first, ...rest] = header.tensors as unknown as object[];
        return { ...header, tensors: [{ ...first, ...change }, ...rest] };
      });
      return readPacked(new MemorySource(bytes, 'x.ingot'));
    };
    await expect(tensor({})).resolves.toBeDefined();
    await expect(tensor({ offset: 2 ** 52 })).rejects.toThrow('tensors[0].offset');
    await expect(tensor({ offset: 64 })).rejects.toThrow('offset 64 is not a multiple of 16384');
    await expect(tensor({ bytes: 64 })).rejects.toThrow('bytes, found 64');
    await expect(tensor({ shape: [2 ** 30, 2 ** 22] })).rejects.toThrow('model.embed_tokens.weight');
    await expect(tensor({ shape: [50, 40] })).rejects.toThrow('K = 40 must be a positive multiple of 32');
    await expect(tensor({ layout: { kind: 'q9' } })).rejects.toThrow('kind must be one of');
    await expect(tensor({ stride: 1024 })).rejects.toThrow('blocks of 1024 bytes hold no [');
    await expect(tensor({ layout: null })).rejects.toThrow('tensors[0].layout: must be an object');
    await expect(tensor({ name: 'model.norm.weight' })).rejects.toThrow('is there twice');
    await expect(tensor({ bytes: -1 })).rejects.toThrow('tensors[0].bytes: must be a non-negative integer');
  });
});
