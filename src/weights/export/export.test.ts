// What is written is read back bit for bit: every value of every tensor is that of quantising the source's, in the order of the model.

import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { toFolder } from '../../models/files/to-folder.ts';
import { modelCheckpoint } from '../../models/files/translate.ts';
import type { SourceFormat } from '../../quant/format.ts';
import { q6_k } from '../../quant/formats/q6_k.ts';
import { dequantizeSource, quantizeReference } from '../../quant/reference.ts';
import { findSourceFormat } from '../../quant/registry.ts';
import type { Checkpoint } from '../checkpoint.ts';
import { copiedMetadata } from '../gguf/export.ts';
import { GgufMetadata } from '../gguf/metadata.ts';
import { openCheckpoint } from '../open.ts';
import { dimensions } from '../tensor.ts';
import { tinyCheckpoint as tinyFile } from '../tiny.ts';
import { type FolderKind, writeFolder } from './folder.ts';
import { writeGgufExport } from './gguf.ts';
import { bitsPerWeight, checkWritable, type ExportFormats, ggufFallback, planExport } from './plan.ts';
import { ExportProgress } from './progress.ts';
import { piecesOf } from './rows.ts';

const named = (name: string): SourceFormat => findSourceFormat(name) ?? expect.fail(name);
const gguf = (matrix: SourceFormat | undefined, ends?: SourceFormat): ExportFormats => ({
  matrix,
  ends,
  holds: (format) => format.gguf !== undefined,
  fallback: ggufFallback,
});
const folder = (matrix: SourceFormat | undefined): ExportFormats => ({
  matrix,
  holds: (format) => format.name.startsWith('mlx'),
  fallback: () => undefined,
});

async function valuesOf(checkpoint: Checkpoint, name: string): Promise<Float32Array> {
  const tensor = checkpoint.describe(name);
  const pieces: Uint8Array[] = [];
  for await (const { values } of piecesOf({ parts: [{ tensor }] }))
    pieces.push(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  return new Float32Array(Uint8Array.from(Buffer.concat(pieces)).buffer);
}

/** Every value is the same number: what toEqual says, in a fraction of the time. */
function expectSame(name: string, got: Float32Array, want: Float32Array): void {
  expect([name, got.length, got.findIndex((value, i) => value !== want[i])]).toEqual([name, want.length, -1]);
}

const tinyCheckpoint = (): Promise<Checkpoint> => modelCheckpoint(tinyFile());

let place = '';
beforeAll(async () => {
  place = await mkdtemp(join(tmpdir(), 'ingot-export-'));
});
afterAll(() => rm(place, { recursive: true, force: true }));

async function written(
  path: string,
  matrix: SourceFormat | undefined,
  kind?: FolderKind,
): Promise<Checkpoint> {
  const source = kind === undefined ? await tinyFile() : await tinyCheckpoint();
  const tensors =
    kind === undefined
      ? planExport(source, gguf(matrix)).map(({ tensor, format }) => ({
          name: tensor.name,
          shape: tensor.shape,
          parts: [{ tensor }],
          format,
        }))
      : toFolder(source, kind, folder(matrix)).tensors;
  const done: number[] = [];
  const progress = new ExportProgress(tensors, {
    onProgress: ({ bytesDone, bytesTotal }) => done.push(bytesDone / bytesTotal),
  });
  const file = join(place, path);
  const metadata = copiedMetadata(source.metadata ?? new GgufMetadata('none', new Map()));
  const files = new Map([['tokenizer.json', new Uint8Array(2)]]);
  if (kind === undefined) await writeGgufExport(file, tensors, metadata, progress);
  else await writeFolder(file, { kind, config: source.config, tensors, files }, progress);
  expect(done.at(-1)).toBe(1);
  return modelCheckpoint(openCheckpoint(file));
}

/** The source's values as the format of the written tensor gives them back. */
async function expected(source: Checkpoint, copy: Checkpoint, name: string): Promise<Float32Array> {
  const values = await valuesOf(source, name);
  const tensor = copy.describe(name);
  if (tensor.kind !== 'source' || tensor.shape.length === 1) return values;
  const { matrices, rows, columns } = dimensions(tensor.shape);
  // Row by row, which is what makes the order of rows irrelevant.
  const own = source.describe(name);
  if (own.kind === 'source' && own.format === tensor.format) return values;
  const parts = quantizeReference(tensor.format, values, matrices * rows, columns);
  return dequantizeSource(tensor.format, parts, matrices * rows, columns);
}

describe('GGUF files', () => {
  it.each(['q4_0', 'q5_1', 'q8_0', 'q4_k', 'q3_k', 'iq4_xs', undefined])('in %s', async (name) => {
    const source = await tinyCheckpoint();
    const copy = await written(`${name}.gguf`, name === undefined ? undefined : named(name));
    expect(copy.tensors).toEqual(source.tensors);
    expect(copy.config).toEqual(source.config);
    for (const tensor of source.tensors) {
      expectSame(tensor, await valuesOf(copy, tensor), await expected(source, copy, tensor));
    }
    const down = copy.describe('model.layers.0.mlp.down_proj.weight'); // 160 columns are no super-block
    const fallback = { q4_k: 'q5_0', q3_k: 'iq4_nl', iq4_xs: 'iq4_nl' }[name ?? ''] ?? name ?? 'f16';
    expect(down.kind === 'source' && down.format.name).toBe(fallback);
    for (const key of source.metadata?.keys() ?? []) {
      expect([key, copy.metadata?.typeOf(key), copy.metadata?.get(key)]).toEqual([
        key,
        source.metadata?.typeOf(key),
        source.metadata?.get(key),
      ]);
    }
    await copy.close();
  });

  it('spend their bits as planned', async () => {
    const source = await tinyCheckpoint();
    const plan = planExport(source, gguf(named('q4_k'), q6_k));
    const format = (name: string) => plan.find(({ tensor }) => tensor.name === name)?.format.name;
    expect(format('model.embed_tokens.weight')).toBe('q6_k'); // tied: it gives the logits
    expect(format('model.layers.0.mlp.up_proj.weight')).toBe('q4_k');
    expect(format('model.norm.weight')).toBe('f32');
    expect(bitsPerWeight(plan.filter(({ tensor }) => tensor.name.includes('up_proj')))).toBe(4.5);
    expect(() => checkWritable(named('iq2_xxs'))).toThrow('iq2_xxs can be read but not written');
  });
});

describe('folders', () => {
  it.each([
    ['mlx4/64/bf16', 'mlx'],
    ['mlx3/32/bf16', 'mlx'],
    ['mlx-mxfp4', 'mlx'],
    ['mlx-mxfp8', 'mlx'],
    ['mlx-nvfp4', 'mlx'],
    ['nf4/64/f32', 'nf4'],
  ] as const)('in %s', async (name, kind) => {
    const source = await tinyCheckpoint();
    const copy = await written(name.replaceAll('/', '-'), named(name), kind);
    expect(copy.config).toMatchObject(
      kind === 'nf4'
        ? { quantization_config: { quant_method: 'bitsandbytes', bnb_4bit_quant_type: 'nf4' } }
        : { model_type: 'llama', quantization: { group_size: named(name).layout.group } },
    );
    const up = copy.describe('model.layers.0.mlp.up_proj.weight');
    expect(up.kind === 'source' && up.format).toBe(named(name));
    for (const tensor of source.tensors) {
      if (source.describe(tensor).shape.length > 1)
        expectSame(tensor, await valuesOf(copy, tensor), await expected(source, copy, tensor));
    }
    await copy.close();
  });

  it('of FP8 are within half a step of its blocks', async () => {
    const source = await tinyCheckpoint();
    const copy = await written('fp8', named('fp8/32/f32'), 'fp8');
    for (const name of [
      'model.layers.0.mlp.gate_proj.weight',
      'model.layers.0.mlp.experts.gate_proj.weight',
    ]) {
      const [was, is] = [await valuesOf(source, name), await valuesOf(copy, name)];
      expect(is.length).toBe(was.length);
      const peak = was.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
      // Half a step of three bits, and of the smallest numbers.
      was.forEach((value, i) => {
        expect(Math.abs(value - (is[i] as number))).toBeLessThanOrEqual(
          Math.abs(value) / 16 + (peak / 448) * 2 ** -10,
        );
      });
    }
    await copy.close();
  });

  it('of floats keep what floats can', async () => {
    const source = await tinyCheckpoint();
    const copy = await written('plain', undefined, 'plain');
    const name = 'model.layers.0.mlp.up_proj.weight'; // bf16 in the source
    expectSame(name, await valuesOf(copy, name), await valuesOf(source, name));
    expect(copy.tensors).toEqual(expect.arrayContaining(['model.layers.0.mlp.experts.2.gate_proj.weight']));
    await copy.close();
  });

  it('leave nothing behind when they cannot be written or are not wanted any more', async () => {
    const source = await tinyCheckpoint();
    const { tensors } = toFolder(source, 'mlx', folder(named('mlx4/64/bf16')));
    const content = { kind: 'mlx', config: source.config, tensors, files: new Map() } as const;
    const signal = AbortSignal.abort(new Error('stop'));
    const before = await readdir(place);
    const stopped = writeFolder(join(place, 'none'), content, new ExportProgress(tensors, { signal }));
    await expect(stopped).rejects.toThrow('stop');
    await writeFile(join(place, 'file'), '');
    const inside = writeFolder(join(place, 'file', 'x'), content, new ExportProgress(tensors, {}));
    await expect(inside).rejects.toThrow();
    expect((await readdir(place)).sort()).toEqual([...before, 'file'].sort());
  });
});
