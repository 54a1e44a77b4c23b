// The files the benchmark writes: readable, reproducible, with the statistics they promise.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { dequantizeSource } from '../src/quant/reference.ts';
import { FileSource } from '../src/weights/file-source.ts';
import { readGguf } from '../src/weights/gguf/reader.ts';
import { modelFile } from './model-file.ts';
import { type BenchShape, tensorsOf } from './shapes.ts';

const tiny: BenchShape = {
  name: 'tiny',
  description: 'for tests',
  architecture: 'qwen3moe',
  layers: 2,
  hidden: 128,
  heads: 4,
  kvHeads: 2,
  headDim: 32,
  inner: 96,
  vocab: 1024,
  tied: false,
  experts: { count: 4, used: 2 },
  headNorms: true,
  ropeBase: 10_000,
};

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ingot-bench-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const open = async (path: string) => readGguf(await FileSource.open(path), () => expect.fail('no shards'));

describe('modelFile', () => {
  it('writes every tensor once with its shape, and the keys an architecture needs', async () => {
    const file = await open(await modelFile(tiny, folder));
    try {
      const found = [...file.tensors.values()].map((t) => [t.name, t.shape, t.format.name.toUpperCase()]);
      expect(found).toEqual(tensorsOf(tiny).map((t) => [t.name, [...t.dims], t.type]));
      expect(file.metadata.string('general.architecture')).toBe('qwen3moe');
      expect(file.metadata.integer('qwen3moe.expert_used_count')).toBe(2);
      expect(file.metadata.integer('qwen3moe.attention.key_length')).toBe(32);
      expect(file.metadata.integer('tokenizer.ggml.eos_token_id')).toBe(1023);
    } finally {
      await file.close();
    }
  });

  it('draws weights with mean 0 and standard deviation 0.02, other ones in each layer', async () => {
    const file = await open(await modelFile(tiny, folder));
    try {
      const values = async (name: string): Promise<Float32Array> => {
        const t = file.tensors.get(name)!;
        const [rows, columns] = [t.shape[0]!, t.shape[1]!];
        return dequantizeSource(t.format, [await t.source.read(t.offset, t.bytes)], rows, columns);
      };
      const weights = await values('token_embd.weight');
      const mean = weights.reduce((a, b) => a + b, 0) / weights.length;
      const deviation = Math.sqrt(weights.reduce((a, b) => a + b * b, 0) / weights.length - mean * mean);
      expect(Math.abs(mean)).toBeLessThan(0.001);
      expect(deviation).toBeGreaterThan(0.018);
      expect(deviation).toBeLessThan(0.022);
      expect(await values('blk.0.attn_q.weight')).not.toEqual(await values('blk.1.attn_q.weight'));
    } finally {
      await file.close();
    }
  });

  it('writes the same bytes everywhere and keeps a file that is there', async () => {
    const first = readFileSync(await modelFile(tiny, folder));
    const other = mkdtempSync(join(tmpdir(), 'ingot-bench-'));
    try {
      expect(readFileSync(await modelFile(tiny, other)).equals(first)).toBe(true);
      await modelFile(tiny, other);
      expect(readdirSync(other)).toHaveLength(1);
    } finally {
      rmSync(other, { recursive: true, force: true });
    }
  });
});
