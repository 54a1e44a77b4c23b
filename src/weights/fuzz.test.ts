// Damaged and hostile files: whatever the bytes, readers fail with a typed error or succeed, and never ask for more memory
// than a small bound. Mutations are drawn from a fixed seed, so a failure comes again.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { IngotError } from '../base/errors.ts';
import { modelCheckpoint } from '../models/files/translate.ts';
import { quantizeReference } from '../quant/reference.ts';
import { findSourceFormat } from '../quant/registry.ts';
import { MemorySink } from './atomic-file.ts';
import { Checkpoint } from './checkpoint.ts';
import { mutate, mutateJson, Random, WatchedSource } from './fuzz-damage.ts';
import { maxHeaderBytes } from './gguf/cursor.ts';
import { ggufCheckpoint } from './gguf/open.ts';
import { readGguf } from './gguf/reader.ts';
import { writeGguf } from './gguf/writer.ts';
import { isJsonObject, type JsonObject } from './json.ts';
import { dataStart, encodeHeader, type PackedHeader, prefixBytes } from './packed/format.ts';
import { packedCheckpoint } from './packed/open.ts';
import { writePacked } from './packed/writer.ts';
import { safetensorsCheckpoint } from './safetensors/open.ts';
import type { SafetensorsDType } from './safetensors/reader.ts';
import { type WritableSafetensor, writeSafetensors } from './safetensors/writer.ts';
import { readRows } from './tensor.ts';
import { tinyGguf } from './tiny.ts';

const runs = 10_000;

/** Uses everything a checkpoint offers, as the file has it and as a model does. */
async function exercise(checkpoint: Checkpoint): Promise<void> {
  await exerciseTensors(checkpoint);
  await exerciseTensors(await modelCheckpoint(checkpoint));
}

async function exerciseTensors(checkpoint: Checkpoint): Promise<void> {
  for (const key of checkpoint.metadata?.keys() ?? []) checkpoint.metadata?.get(key);
  for (const name of checkpoint.files) await checkpoint.readFile(name);
  for (const name of checkpoint.tensors) {
    const tensor = checkpoint.describe(name);
    if (tensor.kind === 'packed') await tensor.source.read(tensor.offset, tensor.bytes);
    else for (const slice of tensor.slices) await readRows(slice, 0, 1);
  }
}

interface Tally {
  failed: number;
  succeeded: number;
  codes: Set<string>;
}

/** Runs one case; anything but a typed error with a message of bounded length is a finding. */
async function attempt(tally: Tally, what: () => Promise<void>): Promise<void> {
  try {
    await what();
    tally.succeeded++;
  } catch (error) {
    if (!(error instanceof IngotError) || error.code === 'internal') throw error;
    expect(error.message.length).toBeLessThan(2000);
    tally.failed++;
    tally.codes.add(error.code);
  }
}
const newTally = (): Tally => ({ failed: 0, succeeded: 0, codes: new Set() });

async function smallGguf(): Promise<{ bytes: Uint8Array; head: number }> {
  const { metadata, tensors } = tinyGguf();
  const sink = new MemorySink();
  const kept = tensors.filter(({ shape }) => shape[0] !== 160);
  await writeGguf(sink, {
    metadata: { ...metadata, flags: ['a', 'b'], 'split.count': { type: 'uint16', value: 1 } },
    tensors: kept,
  });
  const bytes = sink.bytes();
  const file = await readGguf(new WatchedSource(bytes, 'm'), () => expect.fail('no shard'));
  return { bytes, head: Math.min(...[...file.tensors.values()].map((t) => t.offset)) };
}

describe('fuzzed files', () => {
  it(`GGUF, ${runs} of them`, async () => {
    const { bytes, head } = await smallGguf();
    const random = new Random(0x9e3779b9);
    const tally = newTally();
    for (let run = 0; run < runs; run++) {
      // Every eighth file claims to be a terabyte, so that no length in it is refused for passing the end.
      const endless = run % 8 === 0;
      const damaged = mutate(random, bytes, head);
      const source = new WatchedSource(damaged, 'fuzz.gguf', endless ? 2 ** 40 : damaged.byteLength);
      await attempt(tally, async () => {
        const file = await readGguf(source, async () => new WatchedSource(damaged, 'other.gguf'));
        const checkpoint = new Checkpoint(await ggufCheckpoint('fuzz.gguf', file));
        if (!endless) await exercise(checkpoint);
      });
      expect(source.largest).toBeLessThanOrEqual(endless ? maxHeaderBytes : bytes.byteLength);
    }
    expect(tally.failed).toBeGreaterThan(runs / 2);
    expect(tally.succeeded).toBeGreaterThan(100); // some damage is harmless: the generator is not too coarse
    expect([...tally.codes]).toEqual(expect.arrayContaining(['bad_file', 'unsupported']));
  }, 120_000);

  it(`safetensors, ${runs} folders of them`, async () => {
    const files = await smallFolder();
    const original = { index: files.index, config: files.config, header: headerOf(files.shard) };
    const random = new Random(0x2545f491);
    const tally = newTally();
    for (let run = 0; run < runs; run++) {
      const content = new Map<string, Uint8Array>([
        ['a.safetensors', files.shard],
        ['b.safetensors', files.other],
      ]);
      let { index, config } = original as { index: unknown; config: JsonObject };
      switch (run % 4) {
        case 0:
          content.set('a.safetensors', mutate(random, files.shard, files.shard.length));
          break;
        case 1:
          content.set('a.safetensors', withHeader(files.shard, mutateJson(random, original.header)));
          break;
        case 2:
          index = mutateJson(random, index);
          break;
        default: {
          const changed = mutateJson(random, config);
          config = isJsonObject(changed) ? changed : {};
        }
      }
      content.set('model.safetensors.index.json', jsonBytes(index));
      const opened: WatchedSource[] = [];
      await attempt(tally, async () => {
        const parts = await safetensorsCheckpoint('dir', config, {
          openFile: async (name) => {
            expect(name).toMatch(/^[\w-][\w.-]*$/); // never a path
            const data = content.get(name);
            if (data === undefined) return undefined;
            const source = new WatchedSource(data, name);
            opened.push(source);
            return source;
          },
          small: { files: [], readFile: async () => undefined },
        });
        await exercise(new Checkpoint(parts));
      });
      for (const source of opened) expect(source.largest).toBeLessThanOrEqual(source.size);
      expect(opened.length).toBeLessThanOrEqual(3);
    }
    expect(tally.failed).toBeGreaterThan(runs / 2);
    expect(tally.succeeded).toBeGreaterThan(100);
    expect(tally.codes).toContain('bad_file');
  }, 120_000);

  it('quantised checkpoints of every kind', async () => {
    const random = new Random(0x85ebca6b);
    const tally = newTally();
    for (const golden of quantisedGoldens()) {
      const sink = new MemorySink();
      await writeSafetensors(sink, golden.tensors);
      const bytes = sink.bytes();
      const header = headerOf(bytes);
      for (let run = 0; run < 150; run++) {
        const damage = run % 3;
        const changed = damage === 0 ? mutateJson(random, golden.config) : golden.config;
        const file =
          damage === 1
            ? withHeader(bytes, mutateJson(random, header))
            : damage === 2
              ? mutate(random, bytes, bytes.length)
              : bytes;
        const source = new WatchedSource(file, 'model.safetensors');
        await attempt(tally, async () => {
          const parts = await safetensorsCheckpoint('dir', isJsonObject(changed) ? changed : {}, {
            openFile: async (name) => (name === source.name ? source : undefined),
            small: { files: [], readFile: async () => undefined },
          });
          await exercise(new Checkpoint(parts));
        });
        expect(source.largest).toBeLessThanOrEqual(source.size);
      }
    }
    expect(tally.failed).toBeGreaterThan(500);
    expect(tally.succeeded).toBeGreaterThan(100);
    expect([...tally.codes]).toEqual(expect.arrayContaining(['bad_file', 'unsupported']));
  }, 120_000);

  it(`packed files, ${runs} of them`, async () => {
    const { bytes: gguf } = await smallGguf();
    const file = await readGguf(new WatchedSource(gguf, 'm'), () => expect.fail('no shard'));
    const sink = new MemorySink();
    await writePacked(sink, new Checkpoint(await ggufCheckpoint('m', file)));
    const bytes = sink.bytes();
    const headerBytes = Number(new DataView(bytes.buffer).getBigUint64(16, true));
    const header: unknown = JSON.parse(
      new TextDecoder().decode(bytes.subarray(prefixBytes, prefixBytes + headerBytes)),
    );
    const data = bytes.subarray(dataStart(headerBytes));
    const random = new Random(0x1b873593);
    const tally = newTally();
    for (let run = 0; run < runs; run++) {
      let damaged: Uint8Array;
      if (run % 4 === 0) {
        damaged = mutate(random, bytes, prefixBytes + headerBytes);
      } else {
        // A liar who gets the checksum right.
        const lie = mutateJson(random, header) as PackedHeader;
        const start = await encodeHeader(lie, data.byteLength, 1 + (run % 2));
        damaged = new Uint8Array(start.byteLength + data.byteLength);
        damaged.set(start);
        damaged.set(data, start.byteLength);
      }
      const source = new WatchedSource(damaged, 'fuzz.ingot');
      await attempt(tally, async () => {
        await exercise(new Checkpoint(await packedCheckpoint('fuzz.ingot', source)));
      });
      expect(source.largest).toBeLessThanOrEqual(source.size);
    }
    expect(tally.failed).toBeGreaterThan(runs / 2);
    expect(tally.succeeded).toBeGreaterThan(100);
    expect(tally.codes).toContain('bad_file');
  }, 120_000);
});

/** Small checkpoints of every way to quantise, from the goldens. */
function quantisedGoldens(): readonly {
  readonly config: JsonObject;
  readonly tensors: WritableSafetensor[];
}[] {
  const file = new URL('../../tests/goldens/quant/checkpoints.json', import.meta.url);
  const goldens = JSON.parse(readFileSync(file, 'utf8')) as readonly {
    readonly config: JsonObject;
    readonly tensors: Readonly<Record<string, { dtype: SafetensorsDType; shape: number[]; data: string }>>;
  }[];
  return goldens.map(({ config, tensors }) => ({
    config,
    tensors: Object.entries(tensors).map(([name, { dtype, shape, data }]) => {
      const bytes = new Uint8Array(Buffer.from(data, 'base64'));
      return { name, dtype, shape, bytes: bytes.byteLength, data: bytes };
    }),
  }));
}

const jsonBytes = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value) ?? '');

function headerOf(bytes: Uint8Array): unknown {
  const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  return JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
}

/** A safetensors file with another header in front of the same data. */
function withHeader(bytes: Uint8Array, header: unknown): Uint8Array {
  const json = jsonBytes(header);
  const data = bytes.subarray(8 + Number(new DataView(bytes.buffer).getBigUint64(0, true)));
  const changed = new Uint8Array(8 + json.length + data.length);
  new DataView(changed.buffer).setBigUint64(0, BigInt(json.length), true);
  changed.set(json, 8);
  changed.set(data, 8 + json.length);
  return changed;
}

/** Two shards: plain tensors, single experts, and an MLX-quantised matrix. */
async function smallFolder(): Promise<{
  shard: Uint8Array;
  other: Uint8Array;
  index: unknown;
  config: JsonObject;
}> {
  const format = findSourceFormat('mlx4/32/f16') ?? expect.fail('no format');
  const [codes, scales, biases] = quantizeReference(format, new Float32Array(128).fill(0.5), 2, 64) as [
    Uint8Array,
    Uint8Array,
    Uint8Array,
  ];
  const experts = [0, 1].map((e) => {
    const name = `model.layers.0.mlp.experts.${e}.up_proj.weight`;
    return { name, dtype: 'F32' as const, shape: [2, 4], bytes: 32, data: new Uint8Array(32) };
  });
  const first = [
    { name: 'q.weight', dtype: 'U32' as const, shape: [2, 8], bytes: 64, data: codes },
    { name: 'q.scales', dtype: 'F16' as const, shape: [2, 2], bytes: 8, data: scales },
    { name: 'q.biases', dtype: 'F16' as const, shape: [2, 2], bytes: 8, data: biases },
    ...experts,
  ];
  const second = [
    { name: 'norm.weight', dtype: 'BF16' as const, shape: [8], bytes: 16, data: new Uint8Array(16) },
  ];
  const [shard, other] = [new MemorySink(), new MemorySink()];
  await writeSafetensors(shard, first);
  await writeSafetensors(other, second);
  const map = [
    ...first.map((t) => [t.name, 'a.safetensors']),
    ...second.map((t) => [t.name, 'b.safetensors']),
  ];
  return {
    shard: shard.bytes(),
    other: other.bytes(),
    index: { metadata: { total_size: 192 }, weight_map: Object.fromEntries(map) },
    config: { model_type: 'llama', quantization: { bits: 4, group_size: 32, norm: false } },
  };
}
