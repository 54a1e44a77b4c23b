// What is written of a model of every family is read back as that model: GGUF files, folders of safetensors and of MLX. The GGUF
// files are also compared with those that gguf-py's writer made of the same weights (tools/goldens/families_gguf.py).

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { configDifference } from '../../src/models/files/config-difference.ts';
import { toFolder } from '../../src/models/files/to-folder.ts';
import { toGguf } from '../../src/models/files/to-gguf.ts';
import { modelCheckpoint } from '../../src/models/files/translate.ts';
import { families, findFamily, parseModel } from '../../src/models/registry.ts';
import { MemorySink } from '../../src/weights/atomic-file.ts';
import { Checkpoint } from '../../src/weights/checkpoint.ts';
import { type FolderKind, folderFiles } from '../../src/weights/export/folder.ts';
import { ggufFile } from '../../src/weights/export/gguf.ts';
import type { ExportFormats } from '../../src/weights/export/plan.ts';
import { ExportProgress } from '../../src/weights/export/progress.ts';
import { piecesOf } from '../../src/weights/export/rows.ts';
import { ggufCheckpoint } from '../../src/weights/gguf/open.ts';
import { readGguf } from '../../src/weights/gguf/reader.ts';
import { writeGguf } from '../../src/weights/gguf/writer.ts';
import { openCheckpoint } from '../../src/weights/open.ts';
import { safetensorsCheckpoint } from '../../src/weights/safetensors/open.ts';
import { writeSafetensors } from '../../src/weights/safetensors/writer.ts';
import { MemorySource } from '../../src/weights/source.ts';

const models = ['models', 'families'].flatMap((kind) => {
  const root = new URL(`../goldens/${kind}/`, import.meta.url).pathname;
  return readdirSync(root).map((name) => ({ name, path: join(root, name) }));
});

/** Weights as they are. */
const asIs: ExportFormats = { matrix: undefined, holds: () => true, fallback: () => undefined };
const inGguf: ExportFormats = { ...asIs, holds: ({ gguf }) => gguf !== undefined };
const open = (path: string): Promise<Checkpoint> => modelCheckpoint(openCheckpoint(path));

/** Models that GGUF has no words for, and what it says of them. */
const notInGguf: Readonly<Record<string, string>> = {
  deepseek4: 'models of type "deepseek_v4" cannot be written as GGUF',
  'deepseek4-release': 'models of type "deepseek_v4" cannot be written as GGUF',
  'deepseek4-small': 'models of type "deepseek_v4" cannot be written as GGUF',
  'deepseek3.2': 'GGUF has no name for tensor model.layers.0.self_attn.indexer',
  gemma2: 'cannot say layers.0.attention.scale 0.22',
  'lfm2-bias': 'cannot say layers.1.convolution.bias true',
  'phi-qknorm': 'cannot say layers.0.attention.qkNorm "head"',
  qwen2: 'cannot say memory.1.kind "window" (it would be read as "full")',
  'qwen2-moe-mixed': 'cannot say',
  'qwen3-moe-mixed': 'cannot say',
  'qwen3-window-yarn': 'cannot say',
};

async function valuesOf(checkpoint: Checkpoint, name: string): Promise<Float32Array> {
  const pieces: Uint8Array[] = [];
  for await (const { values } of piecesOf({ parts: [{ tensor: checkpoint.describe(name) }] }))
    pieces.push(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  return new Float32Array(Uint8Array.from(Buffer.concat(pieces)).buffer);
}

/** Every value of a tensor is the same number. */
async function expectSameValues(want: Checkpoint, got: Checkpoint, name: string): Promise<void> {
  const [a, b] = await Promise.all([valuesOf(want, name), valuesOf(got, name)]);
  expect([name, b.length, b.findIndex((value, i) => value !== a[i])]).toEqual([name, a.length, -1]);
}

/** One by one and stacked, experts are the same; files differ in which they have. */
const shared = (checkpoint: Checkpoint): string[] =>
  checkpoint.tensors.filter((name) => !/\.experts\.\d+\./.test(name)).toSorted();

async function expectSame(source: Checkpoint, copy: Checkpoint, cut = /^$/): Promise<void> {
  const [want, got] = [source, copy].map(({ config, path }) => parseModel(config, path).config);
  expect(configDifference(want!, got!)).toBeUndefined();
  const names = shared(source).filter((name) => !cut.test(name));
  expect(shared(copy).filter((name) => !cut.test(name))).toEqual(names);
  for (const name of names) await expectSameValues(source, copy, name);
}

/** The file that is written, as opened: with its own names, and as a model. */
async function viaGguf(
  source: Checkpoint,
  formats = inGguf,
): Promise<{ file: Checkpoint; copy: Checkpoint }> {
  const { tensors, metadata } = toGguf(source, 'm', formats);
  const sink = new MemorySink();
  await writeGguf(sink, ggufFile(tensors, metadata, new ExportProgress(tensors, {})));
  const read = await readGguf(new MemorySource(sink.bytes(), 'm.gguf'), () => expect.fail('no shard'));
  const file = new Checkpoint(ggufCheckpoint('m.gguf', read));
  return { file, copy: await modelCheckpoint(file) };
}

/** The folder that is written, as opened. */
async function viaFolder(source: Checkpoint, kind: FolderKind, formats = asIs) {
  const { tensors } = toFolder(source, kind, formats);
  const content = { kind, config: source.config, tensors, files: new Map() };
  const made = folderFiles(content, new ExportProgress(tensors, {}));
  const sink = new MemorySink();
  await writeSafetensors(sink, made.tensors);
  const openFile = async (name: string) =>
    name === 'model.safetensors' ? new MemorySource(sink.bytes(), name) : undefined;
  const small = { files: [], readFile: async () => undefined };
  const copy = await modelCheckpoint(
    new Checkpoint(await safetensorsCheckpoint('m', made.config, { openFile, small })),
  );
  return { copy, tensors: made.tensors };
}

describe('GGUF files', () => {
  it.each(models)('of $name', async ({ name, path }) => {
    const source = await open(path);
    const why = notInGguf[name];
    if (why !== undefined) {
      expect(() => toGguf(source, 'm', asIs)).toThrow(why);
      return source.close();
    }
    const { file, copy } = await viaGguf(source);
    await expectSame(source, copy, /self_attn\.(kv|k|v)_b_proj/);
    if (readdirSync(path).includes('model.gguf')) await expectSameFile(join(path, 'model.gguf'), file);
    await source.close();
  });

  it('are written for every family but those that are named here', () => {
    const not = families.filter(({ files }) => !files.gguf?.some(({ written }) => written !== undefined));
    expect(not.map(({ names }) => names[0])).toEqual(['DeepseekV4ForCausalLM']);
  });
});

/** Names, shapes and values of two files, as stored. */
async function expectSameFile(golden: string, got: Checkpoint): Promise<void> {
  const want = await openCheckpoint(golden);
  const shapes = (checkpoint: Checkpoint) =>
    Object.fromEntries(checkpoint.tensors.map((name) => [name, checkpoint.describe(name).shape]));
  expect(shapes(got)).toEqual(shapes(want));
  for (const name of want.tensors)
    expect(await valuesOf(got, name), name).toEqual(await valuesOf(want, name));
  await want.close();
}

// Weights of a release are FP8, which neither holds as it is.
const folders = models.filter(({ name }) => name !== 'deepseek4-release');
describe.each(['plain', 'mlx'] as const)('%s folders', (kind) => {
  it.each(folders)('of $name', async ({ name, path }) => {
    const source = await open(path);
    if (kind === 'plain' && name.startsWith('gpt-oss')) {
      expect(() => toFolder(source, kind, asIs)).toThrow('stores the rows of its experts by turns');
      return source.close();
    }
    const { copy, tensors } = await viaFolder(source, kind);
    await expectSame(source, copy);
    // Plain folders are those that the family publishes: names and shapes are the golden's.
    const header = Object.fromEntries(tensors.map((t) => [t.name, { dtype: t.dtype, shape: t.shape }]));
    // DeepSeek V4's have the names of its releases, the golden those of transformers.
    if (kind === 'plain' && !name.startsWith('deepseek4')) expect(header).toEqual(headerOf(path));
    await source.close();
  });
});

interface Header {
  readonly [name: string]: { readonly shape: readonly number[]; readonly dtype: string };
}
function headerOf(path: string): Header {
  const bytes = readFileSync(join(path, 'model.safetensors'));
  const { __metadata__: _, ...tensors } = JSON.parse(
    bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE(0))).toString(),
  );
  return Object.fromEntries(
    Object.entries(tensors as Header).map(([name, { shape, dtype }]) => [name, { shape, dtype }]),
  );
}
it('a model between a folder and a GGUF file comes back as it was', async () => {
  // Norms less one, rows interleaved, fused and alternating: one family for each.
  for (const name of ['gemma2-27b', 'granite-moe', 'phi3', 'lfm2-moe']) {
    const { path } = models.find((model) => model.name === name)!;
    const gguf = await open(join(path, 'model.gguf'));
    const [{ copy }, source] = await Promise.all([viaFolder(gguf, 'plain'), open(path)]);
    expect(findFamily(copy.config, 'm')).toBe(findFamily(source.config, path));
    await expectSame(source, copy);
    await Promise.all([gguf.close(), source.close()]);
  }
});
