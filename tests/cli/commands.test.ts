// The commands that print one thing.

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { BenchOptions } from '../../src/engine/bench.ts';
import { benchReport, cli, folder, loads } from './harness.ts';

describe('the other commands', () => {
  test('pull prints the path', async () => {
    expect((await cli(['pull', 'a/b'])).out).toBe('/cache/a/b\n');
    expect(JSON.parse((await cli(['pull', 'a/b', '--json'])).out)).toEqual({
      model: 'a/b',
      path: '/cache/a/b',
    });
  });

  test('list says when there is nothing, and --all shows the catalog', async () => {
    expect((await cli(['list'])).out).toContain('no models yet');
    expect((await cli(['list', '--all'])).out).toMatch(/smollm2:135m +98\.4 MB +not downloaded/);
    const { models } = JSON.parse((await cli(['list', '--all', '--json'])).out);
    expect(models).toContainEqual(expect.objectContaining({ name: 'smollm2:135m', downloaded: false }));
  });

  test('rm refuses what is not a download', async () => {
    const file = join(folder, 'mine.gguf');
    await writeFile(file, 'x');
    expect(await cli(['rm', file])).toMatchObject({
      code: 1,
      err: expect.stringContaining('is a file of yours'),
    });
    expect(await readFile(file, 'utf8')).toBe('x');
    expect(await cli(['rm', 'smollm2:135m'])).toMatchObject({
      code: 1,
      err: 'error: smollm2:135m is not on this machine; "ingot list" shows what is\n',
    });
  });

  test('show prints facts, or the whole as JSON', async () => {
    expect((await cli(['show', 'x'])).out).toMatch(
      /parameters +135 M\n[\s\S]*98 MB: Q4_1 \(211 tensors, 98 MB\)[\s\S]*token ids only/,
    );
    expect(JSON.parse((await cli(['show', 'x', '--json'])).out).parameters).toBe(134_515_008);
  });

  test('bench measures with the options given and prints speeds beside their limits', async () => {
    const asked: BenchOptions[] = [];
    const bench = async (_: string, options: BenchOptions) => {
      asked.push(options);
      options.onTokens?.(1, 2);
      return benchReport;
    };
    const args = ['bench', 'm', '--prompt', '16', '--tokens', '4', '--runs', '3', '--threads', '2'];
    const { code, out } = await cli(args, { engine: { bench } });
    expect(code).toBe(0);
    expect(asked[0]).toMatchObject({ promptTokens: 16, decodeTokens: 4, runs: 3, threads: 2 });
    expect(out).toMatch(/decode of 4 after 16 +100 +90-110 +250 +40 %/);
    const json = JSON.parse((await cli([...args, '--json'])).out);
    expect(json).toMatchObject({
      model: 'fake',
      prefill: { tokensPerSecond: 1000, spread: { min: 900, max: 1100 }, limit: 5000, shareOfLimit: 0.2 },
      bandwidthGBs: 20,
      level: 'avx2',
    });
  });

  test('eval reads the text and prints the perplexity', async () => {
    const file = join(folder, 't.txt');
    await writeFile(file, 'twelve chars');
    const result = await cli(['eval', 'm', '--text', file]);
    expect(result).toMatchObject({ code: 0, out: 'perplexity 12.0000 over 4 tokens, 2000 tokens/s\n' });
    expect(result.err).toContain('Evaluating: 100 %, 4 of 4');
    expect(JSON.parse((await cli(['eval', 'm', '--text', file, '--json'])).out)).toMatchObject({
      perplexity: 12,
    });
    expect((await cli(['eval', 'm', '--text', file, '--against', 'n'])).out).toContain(
      'against 10.0000 (+20.00 %): mean KL 0.25000 nats, the same token first in 75.0 %\n',
    );
    expect(await cli(['eval', 'm', '--text', `${file}x`])).toMatchObject({
      code: 1,
      err: expect.stringContaining('cannot be read'),
    });
  });

  test('quantize and convert say what they wrote', async () => {
    const quantised = await cli(['quantize', 'm', '--to', 'Affine4', '--group-size', '32', '--out', 'y']);
    expect(quantised.out).toBe('y (1.5 MB, 5.00 bits per weight: 7 affine4)\n');
    expect((await cli(['convert', 'm', '--to', 'gguf'])).out).toBe(
      'm-gguf (1.5 MB, 4.50 bits per weight: 7 gguf)\n',
    );
    const json = await cli(['convert', 'm', '--to', 'mlx', '--json']);
    expect(JSON.parse(json.out)).toMatchObject({ model: 'm', path: 'm-mlx', bitsPerWeight: 4.5 });
    expect((await cli(['convert', 'm', '--to', 'onnx'])).err).toContain('Allowed choices are gguf, mlx');
    expect((await cli(['quantize', 'm'])).err).toContain('--to FORMAT, or --bits-per-weight BITS');
    const spent = await cli(['quantize', 'm', '--bits-per-weight', '4.5']);
    expect(spent.out).toContain('mlp.up_proj  q4_k    0-2, 5\n             q6_k    4\n');
  });

  test('pack names what it wrote', async () => {
    expect((await cli(['pack', 'm', 'y.ingot'])).out).toBe('y.ingot (1.5 MB)\n');
  });

  test('doctor works without native kernels and says why there are none', async () => {
    const { code, out } = await cli(['doctor']);
    expect([code, out]).toEqual([0, expect.stringMatching(/native kernels +none: no addon/)]);
    expect(JSON.parse((await cli(['doctor', '--json'])).out)).toMatchObject({
      version: '1.2.3',
      cpuProblem: 'no addon',
    });
  });

  test('doctor shows levels and speeds', async () => {
    const report = {
      cpu: 'Some CPU',
      threads: 2,
      levels: [
        { name: 'avx2', status: 'in use' },
        { name: 'amx', status: 'not on this CPU' },
      ] as const,
      bandwidthGBs: 43.21,
      int8Tops: 0.912,
      bf16Tflops: 0,
      f32Tflops: 0.1,
      memory: { totalBytes: 24e9, freeBytes: 12e9 },
    };
    const { out } = await cli(['doctor'], { engine: { cpuReport: async () => report } });
    expect(out).toMatch(/memory bandwidth +43\.2 GB\/s\nint8 peak +0\.912 TOPS\nbf16 peak +no instruction/);
    expect(out).toMatch(/avx2 +in use\namx +not on this CPU/);
  });
});

describe('tune', () => {
  test('shows what was kept, and where', async () => {
    const { out } = await cli(['tune', 'm']);
    expect(out).toMatch(/linear_row q4 +dot +50 %\nkept in \/cache\/gpu\.json/);
    expect(loads.at(-1)).toMatchObject({ options: { device: 'webgpu' } });
  });
});
