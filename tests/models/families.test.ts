// Every family against transformers, from files as they are published (tools/goldens/families.py).

import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { Device } from '../../src/device/device.ts';
import type { DecoderConfig } from '../../src/models/config/decoder.ts';
import { modelCheckpoint } from '../../src/models/files/translate.ts';
import { families, findFamily, parseModel } from '../../src/models/registry.ts';
import { dequantizeSource } from '../../src/quant/reference.ts';
import type { Checkpoint } from '../../src/weights/checkpoint.ts';
import { readVector } from '../../src/weights/chunks.ts';
import type { JsonObject } from '../../src/weights/json.ts';
import { openCheckpoint } from '../../src/weights/open.ts';
import { type CheckpointTensor, dimensions, readRows } from '../../src/weights/tensor.ts';
import { difference } from './compare.ts';
import { cpuDevice, gpuDevice, jsDevice } from './devices.ts';
import { withModel } from './from-files.ts';
import type { ModelRunner } from './runner.ts';

const root = new URL('../goldens/families/', import.meta.url);

interface Golden {
  readonly name: string;
  readonly vocab: number;
  readonly tokens: readonly number[];
  readonly continuation: readonly number[];
  readonly logits: Float32Array;
}

interface TensorHeader {
  readonly dtype: string;
  readonly data_offsets: readonly [number, number];
}

const folderOf = (name: string): string => new URL(`${name}/`, root).pathname;
const read = (name: string, file: string): Buffer => readFileSync(new URL(`${name}/${file}`, root));

const goldens = readdirSync(root)
  .sort()
  .map(
    (name): Golden => ({
      ...(JSON.parse(read(name, 'golden.json').toString()) as Golden),
      name,
      logits: new Float32Array(Uint8Array.from(read(name, 'logits.bin')).buffer),
    }),
  );
const withGguf = goldens.filter(({ name }) => readdirSync(folderOf(name)).includes('model.gguf'));

/** Logits are about 5; the points at which these families are usually got wrong change them by 1e-3 and more. */
const tolerance = 5e-4;

const run = (
  device: Device,
  golden: Golden,
  body: (runner: ModelRunner) => Promise<void>,
  file = '',
): Promise<void> =>
  withModel(
    device,
    folderOf(golden.name) + file,
    {
      capacity: golden.tokens.length + golden.continuation.length,
      maxRows: golden.tokens.length,
      sequences: 3,
    },
    body,
  );

function expectLogits(golden: Golden, got: Float32Array): void {
  const report = difference(got, golden.logits, golden.vocab);
  expect(report.max, `${report.worst}; mean ${report.mean}, p99 ${report.p99}`).toBeLessThanOrEqual(
    tolerance,
  );
}

/**
 * Sequences that part in the middle go their own ways, one of them with other tokens, and one that was trimmed goes on as if
 * the rest had never been there.
 */
async function expectForks(golden: Golden, runner: ModelRunner): Promise<void> {
  const { tokens, vocab, logits } = golden;
  const half = Math.ceil(tokens.length / 2);
  const [head, rest, others] = [
    tokens.slice(0, half),
    tokens.slice(half),
    tokens.slice(0, -half).toReversed(),
  ];
  const wanted = (from: number): Golden => ({ ...golden, logits: logits.subarray(from * vocab) });
  await runner.step(head, 0);
  const [strange, same] = [await runner.fork(), await runner.fork()];
  await runner.step(others, half, strange);
  expectLogits(wanted(half), await runner.step(rest, half));
  expectLogits(wanted(half), await runner.step(rest, half, same));
  await runner.step(others.slice(0, 3), tokens.length);
  for (const length of [tokens.length, tokens.length - 2, half]) {
    const at = runner.checkpoint(length);
    if (at < tokens.length) expectLogits(wanted(at), await runner.step(tokens.slice(at), at));
    await runner.step(others.slice(0, 3), tokens.length);
  }
  strange.dispose();
  same.dispose();
}

const exactDevices = [jsDevice, cpuDevice].filter((d): d is Device => d !== undefined);

describe.each(exactDevices)('logits of every family on $name', (device) => {
  it.each(goldens)('$name', (golden) =>
    run(device, golden, async (runner) => {
      expectLogits(golden, await runner.logits(golden.tokens, [golden.tokens.length]));
      if (device === jsDevice) return; // the rest is a matter of plans, not of numbers
      // The same in pieces: the rows written before are overwritten with themselves.
      expectLogits(golden, await runner.logits(golden.tokens, [11, 5, 1]));
      const got = await runner.greedy(golden.tokens, golden.continuation.length, golden.vocab);
      expect(got).toEqual(golden.continuation);
      await expectForks(golden, runner);
    }),
  );
});

// A software GPU compiles every pipeline for seconds: one model for each kind of block.
const onGpu = goldens.filter(({ name }) => /^(gemma2-27b|phi)$/.test(name));
describe.skipIf(gpuDevice === undefined)('logits on WebGPU', () => {
  it.each(onGpu)('$name', (golden) =>
    run(gpuDevice as Device, golden, async (runner) => {
      expectLogits(golden, await runner.logits(golden.tokens, [golden.tokens.length]));
    }),
  );
});

describe('files', () => {
  it.each(goldens)('$name: both dialects of config.json mean the same', ({ name }) => {
    const parse = (file: string) => parseModel(JSON.parse(read(name, file).toString()), file).config;
    expect(parse('config-hub.json')).toEqual(parse('config.json'));
  });

  it.each(withGguf)('$name: GGUF has the same model', async ({ name }) => {
    const [plain, gguf] = await Promise.all(
      [folderOf(name), `${folderOf(name)}model.gguf`].map((path) => modelCheckpoint(openCheckpoint(path))),
    );
    const [want, got] = [plain!, gguf!].map(
      ({ config, path }) => parseModel(config, path).config as DecoderConfig,
    );
    expect(rounded(got)).toEqual(rounded(want));
    const shared = (tensors: readonly string[]) =>
      tensors.filter((tensor) => notExpert(tensor) && !cutInTwo.test(tensor)).toSorted();
    expect(shared(gguf!.tensors)).toEqual(shared(plain!.tensors));
    for (const tensor of gguf!.tensors.filter((each) => !cutInTwo.test(each))) {
      const [a, b] = await Promise.all([valuesOf(plain!, tensor), valuesOf(gguf!, tensor)]);
      expect(b, tensor).toEqual(a);
    }
    await Promise.all([plain!.close(), gguf!.close()]);
  });

  const withCuts = withGguf.filter(({ name }) => name.startsWith('deepseek'));
  it.each(withCuts)('$name: GGUF gives the same logits', (golden) =>
    run(
      jsDevice,
      golden,
      async (runner) => {
        expectLogits(golden, await runner.logits(golden.tokens, [golden.tokens.length]));
      },
      'model.gguf',
    ),
  );

  it('deepseek4: a table of tokens that names an expert there is none of is refused', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ingot-table-'));
    try {
      cpSync(folderOf('deepseek4-small'), folder, { recursive: true });
      const path = join(folder, 'model.safetensors');
      const bytes = readFileSync(path);
      const start = 8 + Number(bytes.readBigUInt64LE(0));
      const header = JSON.parse(bytes.subarray(8, start).toString()) as Record<string, TensorHeader>;
      const [, { dtype, data_offsets }] = Object.entries(header).find(([name]) => name.includes('tid2eid'))!;
      expect(dtype).toBe('I64');
      bytes.writeBigInt64LE(99n, start + data_offsets[0]);
      writeFileSync(path, bytes);
      const opened = withModel(cpuDevice ?? jsDevice, folder, { capacity: 8, maxRows: 8 }, async () => {});
      await expect(opened).rejects.toThrow(/tid2eid\.weight: holds 99, must be whole numbers from 0 to \d+/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('are tried for every family', () => {
    const parsed = goldens.map(({ name }) => JSON.parse(read(name, 'config.json').toString()) as JsonObject);
    const tried = new Set(parsed.map((config) => findFamily(config, 'config.json')));
    // Three families have their goldens in golden.test.ts.
    const rest = families.filter((family) => !tried.has(family)).map(({ names }) => names[0]);
    expect(rest).toEqual(['LlamaForCausalLM', 'Qwen3ForCausalLM', 'Qwen3MoeForCausalLM']);
  });
});

/** GGUF has its numbers in f32. */
const rounded = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value), (_, v: unknown) => (typeof v === 'number' ? Math.fround(v) : v));

/** What GGUF has as two matrices, one of them turned over: their logits are compared. */
const cutInTwo = /\.self_attn\.(k|v|kv)_b_proj\.weight$/;

/** One by one and stacked, experts are the same; files differ in which they have. */
const notExpert = (name: string): boolean => !/\.experts\.\d+\./.test(name);

async function valuesOf(checkpoint: Checkpoint, name: string): Promise<Float32Array> {
  const tensor: CheckpointTensor = checkpoint.describe(name);
  if (tensor.shape.length === 1 || tensor.kind !== 'source') return readVector(tensor);
  const { rows, columns } = dimensions(tensor.shape);
  const out: number[] = [];
  for (const slice of tensor.slices) {
    const values = dequantizeSource(tensor.format, await readRows(slice, 0, rows), rows, columns);
    for (let row = 0; row < rows; row++) {
      const from = (tensor.rowMap?.[row] ?? row) * columns;
      for (let i = 0; i < columns; i++) out.push(values[from + i]!);
    }
  }
  return Float32Array.from(out);
}

afterAll(() => {
  jsDevice.dispose();
  cpuDevice?.dispose();
});
