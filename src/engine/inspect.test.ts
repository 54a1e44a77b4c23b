// Header-only inspection and packing of a tiny model of the goldens.

import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { inspectModel } from './inspect.ts';
import { packModel } from './pack.ts';

const source = fileURLToPath(new URL('../../tests/goldens/models/llama3-gqa', import.meta.url));
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ingot-pack-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('inspectModel', () => {
  test('tells family, sizes and formats of a folder', async () => {
    const details = await inspectModel(source);
    expect(details).toMatchObject({
      kind: 'safetensors',
      family: 'llama',
      unsupported: undefined,
      tokenizer: undefined,
    });
    expect(details.layers).toBeGreaterThan(0);
    expect(details.parameters).toBeGreaterThan(0);
    expect(details.formats.reduce((sum, { tensors }) => sum + tensors, 0)).toBeGreaterThan(
      details.layers ?? 0,
    );
    expect(details.formats.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(details.weightBytes);
  });

  test('a model that is not on this machine is not downloaded', async () => {
    await expect(inspectModel('nobody/nothing-of-this-name')).rejects.toMatchObject({
      code: 'not_found',
      message:
        'nobody/nothing-of-this-name is not on this machine; "ingot pull nobody/nothing-of-this-name" gets it',
    });
  });
});

describe('packModel', () => {
  test('writes a file that is the same model, and never over another file', async () => {
    const output = join(folder, 'm.ingot');
    const phases = new Set<string>();
    const { path, bytes } = await packModel(source, { output, onProgress: ({ phase }) => phases.add(phase) });
    expect([path, bytes]).toEqual([output, (await stat(output)).size]);
    expect([...phases]).toEqual(['load']);
    const [before, after] = [await inspectModel(source), await inspectModel(output)];
    expect(after).toMatchObject({ kind: 'packed', family: before.family, parameters: before.parameters });
    await expect(packModel(source, { output })).rejects.toThrow(/exists; remove it or name another file/);
    await expect(packModel(output, { output: join(folder, 'n.ingot') })).rejects.toThrow(
      /packed file already/,
    );
  });

  test('an abort leaves nothing', async () => {
    const output = join(folder, 'aborted.ingot');
    const signal = AbortSignal.abort(new Error('stop'));
    await expect(packModel(source, { output, signal })).rejects.toThrow('stop');
    await expect(stat(output)).rejects.toThrow(/ENOENT/);
  });

  test('something that is no model is told', async () => {
    const junk = join(folder, 'junk.gguf');
    await writeFile(junk, 'not a model');
    await expect(packModel(junk, { output: join(folder, 'x.ingot') })).rejects.toMatchObject({
      code: 'bad_file',
    });
  });
});
