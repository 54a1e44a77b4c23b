import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Device } from '../device/device.ts';
import { openJsDevice } from '../device/js/device.ts';
import { modelCheckpoint } from '../models/files/translate.ts';
import { packedBytes } from '../quant/layout.ts';
import { dequantizeSource, packReference, unpackReference } from '../quant/reference.ts';
import type { Checkpoint } from './checkpoint.ts';
import { chunksOf, readChunk, readVector } from './chunks.ts';
import {
  CheckpointLoader,
  checkpointBytes,
  type LoadedMatrix,
  type LoadedVector,
  type LoaderOptions,
} from './load.ts';
import { packOn } from './load-jobs.ts';
import { dimensions, readRows, type SourceTensor } from './tensor.ts';
import { tinyCheckpoint, wave } from './tiny.ts';

let checkpoint: Checkpoint;
let device: Device;
beforeEach(async () => {
  checkpoint = await modelCheckpoint(tinyCheckpoint());
  device = openJsDevice();
});
afterEach(() => {
  expect(device.statistics().liveBuffers).toBe(0);
});

type Loader = CheckpointLoader<LoadedMatrix, LoadedVector>;
const loaderOf = (options?: LoaderOptions): Loader =>
  new CheckpointLoader(checkpoint, device, { matrix: (m) => m, vector: (v) => v }, options);

function source(name: string): SourceTensor {
  const tensor = checkpoint.describe(name);
  return tensor.kind === 'source' ? tensor : expect.fail(name);
}

/** What the rows of a matrix must be, straight from the file, in order. */
async function expected(tensor: SourceTensor): Promise<Float32Array> {
  const { rows, columns } = dimensions(tensor.shape);
  const stored = await Promise.all(tensor.slices.map((slice) => readRows(slice, 0, rows)));
  const matrices = stored.map((parts) => {
    const values = dequantizeSource(tensor.format, parts, rows, columns);
    return Array.from({ length: rows }, (_, i) => {
      const from = (tensor.rowMap?.[i] ?? i) * columns;
      return values.subarray(from, from + columns);
    });
  });
  return Float32Array.from(matrices.flat().flatMap((row) => [...row]));
}

async function loaded({ buffer, layout, shape }: LoadedMatrix): Promise<Float32Array> {
  const { matrices, rows, columns } = dimensions(shape);
  const one = packedBytes(layout, rows, columns);
  const all: number[] = [];
  for (let e = 0; e < matrices; e++) {
    all.push(...unpackReference(layout, await device.read(buffer, e * one, one), rows, columns));
  }
  return Float32Array.from(all);
}

const layer = 'model.layers.0';

describe('loading', () => {
  it('puts every tensor onto the device', async () => {
    const progress: number[] = [];
    let total = 0;
    const loader = loaderOf({
      onProgress({ bytesDone, bytesTotal }) {
        progress.push(bytesDone);
        total = bytesTotal;
      },
    });
    const matrices: LoadedMatrix[] = [];
    const vectors: LoadedVector[] = [];
    for (const name of checkpoint.tensors) {
      const { shape } = checkpoint.describe(name);
      if (shape.length === 1) vectors.push(loader.vector(name, shape[0] as number));
      else if (shape.length === 2) matrices.push(loader.matrix(name, shape as [number, number]));
      else matrices.push(loader.experts(name, shape as [number, number, number]));
    }
    expect(matrices.length).toBe(9);
    await loader.run();
    for (const matrix of matrices) expect(await loaded(matrix)).toEqual(await expected(source(matrix.name)));
    for (const { name, buffer, length } of vectors) {
      const bytes = await device.read(buffer, 0, length * 4);
      expect(new Float32Array(bytes.slice().buffer)).toEqual(await readVector(checkpoint.describe(name)));
    }
    expect(progress).toEqual(progress.toSorted((a, b) => a - b));
    expect(progress.at(-1)).toBe(total);
    expect(loader.bytes).toBe(checkpointBytes(checkpoint));
    expect(device.statistics().liveBytes).toBe(loader.bytes);
    loader.dispose();
  });

  it('gives the values of matrices and stacks, whatever their format and the order of their rows', async () => {
    const loader = loaderOf();
    const names = checkpoint.tensors.filter((name) => checkpoint.describe(name).shape.length > 1);
    const all = names.map((name) => loader.floats(name, checkpoint.describe(name).shape));
    expect(all.length).toBe(9);
    await loader.run();
    for (const { name, buffer, length } of all) {
      const bytes = await device.read(buffer, 0, length * 4);
      expect(new Float32Array(bytes.slice().buffer), name).toEqual(await expected(source(name)));
    }
    expect(() => loader.floats(names[0] ?? '', [1, 2])).toThrow(/the config needs \[1, 2\]/);
    loader.dispose();
  });

  it('puts permuted rows back, also those of a bias', async () => {
    const query = await expected(source(`${layer}.self_attn.q_proj.weight`));
    const stored = await expected({
      ...source(`${layer}.self_attn.q_proj.weight`),
      rowMap: new Int32Array(0),
    });
    // Heads of 24: row 1 of head 1 is stored at 2, row 12 at 1.
    expect(query.subarray(25 * 256, 26 * 256)).toEqual(stored.subarray(26 * 256, 27 * 256));
    expect(query.subarray(36 * 256, 37 * 256)).toEqual(stored.subarray(25 * 256, 26 * 256));
    const bias = await readVector(checkpoint.describe(`${layer}.self_attn.q_proj.bias`));
    expect(bias[36]).toBe(wave(96, 5)[25]);
  });

  it('gives the same bytes in any number of pieces', async () => {
    for (const name of checkpoint.tensors) {
      const tensor = source(name);
      if (tensor.shape.length === 1) continue;
      const { columns } = dimensions(tensor.shape);
      for (const maxBytes of [1, 9000]) {
        const pieces = [...chunksOf(tensor, maxBytes)];
        const whole = [...chunksOf(tensor)];
        // The 48 rows of k_proj are closed under its row map only as a whole.
        if (maxBytes === 1 && !name.includes('k_proj')) expect(pieces.length).toBeGreaterThan(whole.length);
        const pack = async (chunks: typeof pieces): Promise<Buffer> => {
          const parts = chunks.map(async (chunk) =>
            packReference(tensor.format, await readChunk(chunk), chunk.rows, columns, chunk.rowMap),
          );
          const packed = await Promise.all(parts);
          packed.reduce((at, bytes, i) => {
            expect(chunks[i]?.destination).toBe(at);
            return at + bytes.byteLength;
          }, 0);
          return Buffer.concat(packed);
        };
        expect((await pack(pieces)).equals(await pack(whole))).toBe(true);
      }
    }
  });

  it('reads files from front to back, whatever the order of asking', async () => {
    const loader = loaderOf({ parallel: 1 });
    const asked = checkpoint.tensors
      .map(source)
      .filter(({ shape }) => shape.length === 2)
      .reverse();
    for (const { name, shape } of asked) loader.matrix(name, shape as [number, number]);
    const file = asked[0]?.slices[0]?.[0]?.source ?? expect.fail('no tensors');
    const reads = vi.spyOn(file, 'readInto');
    await loader.run();
    const offsets = reads.mock.calls.map(([offset]) => offset);
    expect(offsets.length).toBeGreaterThan(5);
    expect(offsets).toEqual(offsets.toSorted((a, b) => a - b));
    loader.dispose();
  });

  it('loads a tensor once', async () => {
    const loader = loaderOf();
    const first = loader.matrix('model.embed_tokens.weight', [50, 256]);
    expect(loader.matrix('model.embed_tokens.weight', [50, 256])).toBe(first);
    expect(device.statistics().liveBuffers).toBe(1);
    loader.dispose();
  });

  it('finds stacked experts by the names of the single ones', () => {
    const loader = loaderOf();
    const names = [0, 1, 2].map((e) => `${layer}.mlp.experts.${e}.gate_proj.weight`);
    expect(loader.experts(names, [3, 40, 256]).shape).toEqual([3, 40, 256]);
    expect(() => loader.experts(names.slice(1), [2, 40, 256])).toThrow(
      'needs [2, 40, 256], the file has [3, 40, 256] q4_0',
    );
    const others = names.map((name) => name.replace('gate', 'up'));
    expect(() => loader.experts(others, [3, 40, 256])).toThrow(`tensor ${others[0]} is missing`);
    loader.dispose();
  });
});

describe('loading fails', () => {
  it('for wrong shapes and missing tensors, by name', () => {
    const loader = loaderOf();
    expect(() => loader.matrix(`${layer}.self_attn.q_proj.weight`, [96, 128])).toThrow(
      `tiny.gguf: tensor ${layer}.self_attn.q_proj.weight: the config needs [96, 128], the file has [96, 256] q4_k`,
    );
    expect(() => loader.vector('model.norm.weight', 128)).toThrow('the config needs [128]');
    expect(() => loader.matrix('lm_head.weight', [50, 256])).toThrow(
      'tiny.gguf: tensor lm_head.weight is missing',
    );
    expect(device.statistics().liveBuffers).toBe(0);
  });

  it('for values that are no indices where they must be', async () => {
    const loader = loaderOf();
    loader.floats(`${layer}.self_attn.k_proj.weight`, [48, 256], 8);
    await expect(loader.run()).rejects.toThrow(
      /k_proj\.weight: holds -?0\.\d+, must be whole numbers from 0 to 7/,
    );
  });

  it('before anything is allocated when memory does not suffice', () => {
    const bytes = checkpointBytes(checkpoint);
    loaderOf({ memoryLimit: bytes }).dispose();
    try {
      loaderOf({ memoryLimit: bytes - 1 });
      expect.fail('no error');
    } catch (error) {
      expect(error).toMatchObject({ code: 'out_of_memory', details: { bytes, limit: bytes - 1 } });
      expect(String(error)).toContain(`(${bytes} bytes) and the memory limit is`);
    }
  });

  it('when it is aborted, and releases everything', async () => {
    const controller = new AbortController();
    const loader = loaderOf({ signal: controller.signal, onProgress: () => controller.abort() });
    for (const name of [`${layer}.mlp.gate_proj.weight`, `${layer}.mlp.up_proj.weight`]) {
      loader.matrix(name, [160, 256]);
    }
    loader.vector('model.norm.weight', 256);
    await expect(loader.run()).rejects.toMatchObject({ name: 'AbortError' });
    expect(device.statistics().liveBuffers).toBe(0);
  });

  it('when packing fails, after the other workers are done', async () => {
    const pack = packOn(device);
    let active = 0;
    let calls = 0;
    const loader = loaderOf({
      packInto: async (...args) => {
        active++;
        await new Promise((resolve) => setTimeout(resolve, calls * 5));
        const fails = calls++ === 1;
        if (!fails) await pack(...args);
        active--;
        if (fails) throw new Error('no');
      },
    });
    for (const name of ['gate', 'up']) loader.matrix(`${layer}.mlp.${name}_proj.weight`, [160, 256]);
    loader.matrix(`${layer}.mlp.down_proj.weight`, [256, 160]);
    await expect(loader.run()).rejects.toThrow('no');
    expect(active).toBe(0);
  });
});
