import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fromBuffer, fromData } from '../array/creation.ts';
import { linear } from '../array/ops/linear/linear.ts';
import { Weight } from '../array/weight.ts';
import { openJsDevice } from '../device/js/device.ts';
import { modelCheckpoint } from '../models/files/translate.ts';
import { unpackReference } from '../quant/reference.ts';
import { CheckpointLoader } from './load.ts';
import { openCheckpoint } from './open.ts';
import { tinyCheckpoint, tinyGgufBytes } from './tiny.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ingot-checkpoint-'));
});
afterEach(() => rm(folder, { recursive: true }));

describe('openCheckpoint', () => {
  it('goes by content, and finds the one model of a folder', async () => {
    await writeFile(join(folder, 'anything.gguf'), await tinyGgufBytes());
    await writeFile(join(folder, 'README.md'), 'text');
    for (const path of [folder, join(folder, 'anything.gguf')]) {
      const checkpoint = await openCheckpoint(path);
      expect(checkpoint.kind).toBe('gguf');
      expect(checkpoint.metadata?.string('general.architecture')).toBe('llama');
      await checkpoint.close();
    }
    await writeFile(join(folder, 'second.gguf'), await tinyGgufBytes());
    await expect(openCheckpoint(folder)).rejects.toThrow('holds several models, name one: ');
  });

  it('says what it found instead', async () => {
    await expect(openCheckpoint(join(folder, 'none'))).rejects.toMatchObject({ code: 'not_found' });
    await expect(openCheckpoint(folder)).rejects.toThrow('holds no safetensors, GGUF or packed model');
    await writeFile(join(folder, 'x.bin'), 'what is this');
    await expect(openCheckpoint(join(folder, 'x.bin'))).rejects.toThrow(
      'is not a GGUF, safetensors or packed model file',
    );
    const model = join(folder, 'model');
    await mkdir(model);
    await writeFile(join(model, 'model.safetensors'), '');
    await expect(openCheckpoint(model)).rejects.toThrow('has no config.json');
    await writeFile(join(model, 'config.json'), '[]');
    await expect(openCheckpoint(model)).rejects.toThrow('must be a JSON object');
    await writeFile(join(model, 'config.json'), '{}');
    await expect(openCheckpoint(model)).rejects.toThrow('the file has only 0 bytes');
  });

  it.skipIf(process.platform === 'win32')('does not wait on something that is not a file', async () => {
    await expect(openCheckpoint('/dev/null')).rejects.toThrow(
      '/dev/null: file: is neither a file nor a folder',
    );
  });
});

describe('arrays from a checkpoint', () => {
  it('compute', async () => {
    const device = openJsDevice();
    const loader = new CheckpointLoader(await modelCheckpoint(tinyCheckpoint()), device, {
      matrix: ({ shape, layout, buffer, name }) => new Weight({ device, buffer, layout, shape, label: name }),
      vector: ({ length, buffer }) => fromBuffer(device, buffer, [length], 'f32'),
    });
    const weight = loader.matrix('model.layers.0.self_attn.o_proj.weight', [256, 96]);
    const norm = loader.vector('model.norm.weight', 256);
    expect(weight.shape).toEqual([256, 96]);
    expect(norm.shape).toEqual([256]);
    await loader.run();
    expect((await norm.data())[0]).toBeCloseTo(Math.sin(2 * 97.3) * 0.9, 6);
    // A product with the unit vector of column 5 is that column.
    const unit = fromData(
      Float32Array.from({ length: 96 }, (_, i) => (i === 5 ? 1 : 0)),
      [1, 96],
      { device },
    );
    const column = linear(unit, weight, { precision: 'exact' });
    const values = await column.data();
    const packed = await device.read(weight.buffer, 0, weight.buffer.byteLength);
    const expected = unpackReference(weight.layout, packed, 256, 96).filter((_, i) => i % 96 === 5);
    expect(values).toEqual(expected);
    for (const array of [unit, column, norm]) array.dispose();
    loader.dispose();
    expect(device.statistics().liveBuffers).toBe(0);
  });
});
