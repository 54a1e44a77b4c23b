// Experts that are read from the model's file when they are chosen: what comes out is what comes out with all of them in
// memory, bit for bit, whatever the budget, the threads, the prompt and the disk do; and a disk that fails harms one answer.

import {
  copyFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { modelFile } from '../../bench/model-file.ts';
import { env as settings } from '../../src/base/env.ts';
import { addonPath } from '../../src/device/cpu/addon.ts';
import { openCpuDevice } from '../../src/device/cpu/device.ts';
import type { CpuExpertStream, ReadFaults } from '../../src/device/cpu/experts.ts';
import { distanceKeeper, knownDistances } from '../../src/engine/expert-distances.ts';
import { load } from '../../src/engine/load.ts';
import { modelOutlook } from '../../src/engine/outlook.ts';
import { packModel } from '../../src/engine/pack.ts';
import { packerFor } from '../../src/engine/packer.ts';
import { loadOnto } from '../../src/engine/place.ts';
import type { MemoryDivision } from '../../src/engine/residency.ts';
import { routingStatistics } from '../../src/engine/routing-statistics.ts';
import type { ExpertOptions, LoadOptions, Model } from '../../src/engine/types.ts';
import { missRateOf } from '../../src/experts/distances.ts';
import { modelCheckpoint } from '../../src/models/files/translate.ts';
import { openCheckpoint } from '../../src/weights/open.ts';
import { expertBlock, generate, tinyExperts } from './tiny-experts.ts';

const shape = tinyExperts('tiny-moe', 3);
const block = expertBlock;
const oneLayer = 4 * block;

const prompt = Array.from({ length: 150 }, (_, i) => (i * 37 + 11) % shape.vocab);
const short = prompt.slice(0, 5);

interface Answer {
  readonly logits: Float32Array;
  readonly few: Float32Array;
  readonly tokens: number[];
  readonly together: number[][];
}

async function answers(model: Model): Promise<Answer> {
  return {
    logits: (await model.logits(prompt)).data,
    few: (await model.logits(short)).data,
    tokens: await generate(model, prompt, 12),
    together: await Promise.all([7, 40, 90].map((n) => generate(model, prompt.slice(n), 6))),
  };
}

describe.skipIf(addonPath() === undefined)('streamed experts', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ingot-experts-'));
  let gguf = '';
  let packed = '';
  let resident: Record<'fast' | 'exact', Answer>;
  const options = { device: 'cpu', contextLength: 256, prefixBytes: 0, maxSequences: 4 } as const;
  const open = (experts: ExpertOptions, path = gguf, more: LoadOptions = {}): Promise<Model> =>
    load(path, { ...options, ...more, experts });

  beforeAll(async () => {
    gguf = await modelFile(shape, folder);
    packed = join(folder, 'tiny.ingot');
    await packModel(gguf, { output: packed });
    const of = async (precision: 'fast' | 'exact'): Promise<Answer> => {
      using model = await open({ residency: 'resident' }, gguf, { precision });
      return await answers(model);
    };
    resident = { fast: await of('fast'), exact: await of('exact') };
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it.each([
    ['one layer of one token', oneLayer, 'fast', 1],
    ['one token', 3 * oneLayer, 'fast', 2],
    ['half of all', 24 * block, 'exact', 3],
    ['all', 48 * block, 'fast', 2],
  ] as const)('gives the same with memory for %s', async (_, bytes, precision, threads) => {
    for (const path of [gguf, packed]) {
      using model = await open({ bytes }, path, { precision, threads });
      expect(await answers(model)).toEqual(resident[precision]);
      const { experts } = model.status();
      expect(experts?.slots).toBe(Math.floor(bytes / block));
      expect(experts?.slotsUsed).toBeLessThanOrEqual(experts?.slots ?? 0);
      expect(experts?.bytesRead).toBeGreaterThan(0);
    }
  });

  it('gives the same from files whose experts are blocks, beside the model and with it', async () => {
    const notices: string[] = [];
    const onNotice = (text: string): void => void notices.push(text);
    const before = await open({ bytes: 24 * block });
    await generate(before, prompt, 12);
    const apart = before.status().experts?.reads ?? 0;
    before.dispose();
    const { path: beside } = await packModel(gguf, { experts: true });
    const whole = join(folder, 'blocks.ingot');
    await packModel(gguf, { experts: true, output: whole });
    try {
      const reads: number[] = [];
      for (const path of [gguf, whole]) {
        using model = await open({ bytes: 24 * block }, path, { onNotice });
        expect(await generate(model, prompt, 12)).toEqual(resident.fast.tokens);
        const { experts } = model.status();
        expect((experts?.bytesRead ?? 1) % 4096).toBe(0);
        reads.push(experts?.reads ?? 0);
      }
      expect(reads[0]).toBe(reads[1]);
      expect(reads[0]).toBeLessThan(apart * 0.7); // two requests in place of three
      using all = await open({ residency: 'resident' }, whole);
      expect(await generate(all, prompt, 12)).toEqual(resident.fast.tokens);
      const refused = (): string[] => notices.filter((text) => text.includes('not used'));
      expect(refused()).toEqual([]);
      utimesSync(gguf, 5, 5);
      using stale = await open({ bytes: 24 * block }, gguf, { onNotice });
      expect(await generate(stale, short, 2)).toHaveLength(2);
      truncateSync(beside, 100_000);
      using damaged = await open({ bytes: 24 * block }, gguf, { onNotice });
      expect(await generate(damaged, short, 2)).toHaveLength(2);
      expect(refused()).toEqual([
        expect.stringMatching(/experts: was made from .*gguf of .*; it was changed at 1970.*not used/),
        expect.stringMatching(/experts: size: must be \d+ bytes but is 100000.*not used/),
      ]);
    } finally {
      rmSync(beside);
    }
  });

  /** A streamed model, and a way to harm its reads. */
  async function harmed(path: string, experts: ExpertOptions, level?: string) {
    const device = openCpuDevice({ threads: 2, level });
    const streams: CpuExpertStream[] = [];
    const streamExperts = device.streamExperts.bind(device);
    device.streamExperts = (spec) => {
      const stream = streamExperts(spec);
      streams.push(stream);
      return stream;
    };
    const model = await loadOnto(
      device,
      () => modelCheckpoint(openCheckpoint(path)),
      'tiny',
      { ...options, experts },
      { availableMemory: 2 ** 34, packInto: packerFor(device) },
    );
    const harm = (faults: ReadFaults): void => {
      for (const stream of streams) stream.inject(faults);
    };
    return { model, harm, [Symbol.dispose]: () => model.dispose() };
  }

  it('gives the same on every instruction set of this CPU', async () => {
    for (const { name, supported } of openCpuDevice().info.levels) {
      if (!supported) continue;
      const [all, few] = [undefined, 5 * block].map(async (bytes) => {
        using streamed = await harmed(packed, bytes === undefined ? {} : { bytes }, name);
        return await generate(streamed.model, prompt, 4);
      });
      expect(await few, name).toEqual(await all);
    }
  });

  it('gives the same when reads are short and late', async () => {
    for (const [seed, path] of [gguf, packed].entries()) {
      using streamed = await harmed(path, { bytes: (5 + seed) * block, readers: 3 });
      streamed.harm({ short: 0.5, delayUs: 150, seed });
      const { few, tokens } = await answers(streamed.model);
      expect({ few, tokens }).toEqual({ few: resident.fast.few, tokens: resident.fast.tokens });
    }
  });

  it('fails the answer that a failing disk concerns, and no other', async () => {
    using streamed = await harmed(packed, { bytes: 6 * block });
    const ask = (): Promise<number[]> => generate(streamed.model, prompt, 12);
    for (let round = 0; round < 3; round++) {
      streamed.harm({ fail: 1 });
      await expect(ask()).rejects.toMatchObject({
        code: 'bad_file',
        message: expect.stringMatching(
          /layer \d, expert \d+: .*tiny\.ingot: \d+ bytes at \d+: Input\/output error/,
        ),
      });
      streamed.harm({});
      expect(await ask()).toEqual(resident.fast.tokens);
    }
    // Now and then: an answer is right, or an error.
    const outcomes = new Set<boolean>();
    for (let seed = 0; seed < 8; seed++) {
      streamed.harm({ fail: 0.002, short: 0.1, seed });
      const tokens = await ask().catch((error: { code: string }) => {
        expect(error.code).toBe('bad_file');
      });
      outcomes.add(tokens !== undefined);
      if (tokens !== undefined) expect(tokens).toEqual(resident.fast.tokens);
    }
    expect(outcomes.size).toBe(2);
  });

  it('says that a file changed under the running model', async () => {
    const copy = join(folder, 'copy.gguf');
    const cases = [
      ['changed its size', () => truncateSync(copy, 200_000)],
      ['was written to', () => utimesSync(copy, 1, 1)],
    ] as const;
    for (const [message, change] of cases) {
      copyFileSync(gguf, copy);
      using model = await open({ bytes: 4 * block }, copy);
      expect(await generate(model, short, 2)).toHaveLength(2);
      change();
      const answer = generate(model, prompt, 2);
      await expect(answer).rejects.toMatchObject({
        code: 'bad_file',
        message: expect.stringContaining(message),
      });
    }
  });

  it('never uses what a killed or failed packing left', async () => {
    const notices: string[] = [];
    const onNotice = (text: string): void => void notices.push(text);
    const { path: beside } = await packModel(gguf, { experts: true });
    const whole = readFileSync(beside);
    rmSync(beside);
    // A process that was killed leaves a file under another name; nobody looks at it.
    const left = `${beside}.1234-abcdef01.partial`;
    writeFileSync(left, whole.subarray(0, whole.length / 2));
    try {
      using without = await open({ bytes: 24 * block }, gguf, { onNotice });
      expect(await generate(without, prompt, 12)).toEqual(resident.fast.tokens);
      expect(notices.filter((text) => text.includes('not used'))).toEqual([]);
      // One that is stopped leaves nothing.
      const stopped = packModel(gguf, { experts: true, signal: AbortSignal.abort() });
      await expect(stopped).rejects.toThrow();
      expect(readdirSync(folder).filter((name) => name.includes('.experts'))).toEqual([basename(left)]);
      // Half a file in place of the whole one is told by its length, before anything is read from it.
      writeFileSync(beside, whole.subarray(0, whole.length / 2));
      using half = await open({ bytes: 24 * block }, gguf, { onNotice });
      expect(await generate(half, prompt, 12)).toEqual(resident.fast.tokens);
      expect(notices.filter((text) => text.includes('not used'))).toEqual([
        expect.stringContaining(`must be ${whole.length} bytes but is ${Math.floor(whole.length / 2)}`),
      ]);
    } finally {
      rmSync(left);
      rmSync(beside, { force: true });
    }
  });

  it('counts what is asked for, and refuses budgets that hold no layer', async () => {
    using all = await open({ bytes: 48 * block });
    await generate(all, prompt, 4);
    const { experts: first } = all.status();
    await generate(all, prompt, 4);
    const { experts: second } = all.status();
    expect(first).toMatchObject({ residency: 'streamed', allBytes: 48 * block, slots: 48 });
    // Everything has been read once, and is then there.
    expect(second?.bytesRead).toBe(first?.bytesRead);
    const asked = (second?.requests ?? 0) - (first?.requests ?? 0);
    expect(asked).toBeGreaterThan(0);
    expect((second?.hits ?? 0) - (first?.hits ?? 0)).toBe(asked);
    await expect(open({ bytes: oneLayer - 1 })).rejects.toMatchObject({
      code: 'out_of_memory',
      message: expect.stringContaining(`${oneLayer} bytes`),
    });
    await expect(load(gguf, { device: 'js', experts: { bytes: oneLayer } })).rejects.toMatchObject({
      code: 'unsupported',
    });
  });

  it('counts how soon experts come back, which says what memory of any size misses', async () => {
    const seen: number[][] = [];
    const missed = async (slots: number): Promise<number> => {
      const model = await loadOnto(
        openCpuDevice({ threads: 2 }),
        () => modelCheckpoint(openCheckpoint(gguf)),
        'tiny',
        { ...options, contextLength: 512, experts: { bytes: slots * block } },
        {
          availableMemory: 2 ** 32,
          expertFiles: {
            blocks: async () => undefined,
            routing: async () => undefined,
            readers: async () => 2,
            keepDistances: async () => (distances) => void seen.push([...distances]),
          },
        },
      );
      try {
        await generate(model, short, 1);
        const before = model.status().experts;
        const sampled = { maxTokens: 400, ignoreEos: true, temperature: 1, topK: 0, topP: 1, seed: 1 };
        for await (const _ of model.generate(short, sampled));
        const after = model.status().experts;
        return (
          1 - ((after?.hits ?? 0) - (before?.hits ?? 0)) / ((after?.requests ?? 0) - (before?.requests ?? 1))
        );
      } finally {
        await model[Symbol.asyncDispose]();
      }
    };
    const third = await missed(16);
    const env = { cacheDir: join(folder, 'cache') };
    const checkpoint = await modelCheckpoint(openCheckpoint(gguf));
    try {
      const keep = await distanceKeeper(checkpoint, env);
      keep([10, 20]); // of a short run
      expect(await knownDistances(checkpoint, env)).toBeUndefined();
      for (const distances of seen) keep(distances);
      const known = (await knownDistances(checkpoint, env)) ?? [];
      expect(known).toEqual(seen[0]);
      // A quarter of some 5,000 choices, and 48 experts in 64 bins.
      expect(Math.abs(missRateOf(known, 16 / 48) - third)).toBeLessThan(0.06);
      const outlook = await modelOutlook(gguf, { memoryLimit: 2 ** 30, env: { ...settings, ...env } });
      expect(outlook.measuredMisses).toBe(true);
    } finally {
      await checkpoint.close();
    }
  });

  it('keeps the experts that statistics call hot', async () => {
    await expect(open({ bytes: 24 * block, hot: 0.25 })).rejects.toMatchObject({
      code: 'not_found',
      message: expect.stringContaining('ingot stats'),
    });
    const text = 'The quick brown fox jumps over the lazy dog. '.repeat(20);
    const first = await routingStatistics(gguf, { text, contextLength: 256, threads: 2 });
    const { tokens, layers, path } = await routingStatistics(gguf, { text, contextLength: 256, threads: 2 });
    try {
      expect(tokens).toBe(2 * first.tokens);
      expect(layers).toEqual(first.layers);
      expect(layers).toHaveLength(3);
      expect(layers[0]?.busiest50).toBeGreaterThanOrEqual(0.5);
      for (const [hot, kept] of [
        [0.25, 12],
        [1, 20], // of 24, and four for one layer's choice
      ] as const) {
        using model = await open({ bytes: 24 * block, hot });
        expect(await generate(model, prompt, 12)).toEqual(resident.fast.tokens);
        expect(model.status().experts).toMatchObject({ residency: 'hot-set', hot: kept });
      }
      using frequent = await open({ bytes: 24 * block, eviction: 'frequency' });
      expect(await generate(frequent, prompt, 12)).toEqual(resident.fast.tokens);
      // Of another model.
      const other = JSON.parse(readFileSync(path, 'utf8')) as object;
      writeFileSync(path, JSON.stringify({ ...other, fingerprint: '' }));
      await expect(open({ bytes: 24 * block, hot: 0.25 })).rejects.toThrow(/statistics are of another model/);
      writeFileSync(path, '{"tokens": 3');
      await expect(open({ bytes: 24 * block, hot: 0.25 })).rejects.toMatchObject({ code: 'bad_file' });
    } finally {
      rmSync(path);
    }
  });

  it('divides a limit, and refuses one that is too small with the numbers', async () => {
    const notices: string[] = [];
    const onNotice = (text: string): void => void notices.push(text);
    using all = await open({}, gguf, { memoryLimit: 2 ** 30, onNotice });
    expect(all.info.memory).toMatchObject({ streamed: false, limit: 2 ** 30 });
    expect(all.status().experts).toBeUndefined();
    // What everything else takes, and half of the experts.
    const { dense, working, kv } = all.info.memory as MemoryDivision;
    const readers = 2 * (2 ** 20 + 3456); // a piece of a file and a matrix each
    const limit = dense + working + readers + kv + 24 * block;
    const halved = { memoryLimit: limit, kvBytes: kv, onNotice };
    using half = await open({ residency: 'streamed', readers: 2 }, gguf, halved);
    const division = half.info.memory as MemoryDivision;
    expect(division.streamed).toBe(true);
    expect(division.experts).toBe(24 * block);
    expect(division.dense + division.working + division.kv + division.experts).toBe(limit);
    expect(await generate(half, prompt, 12)).toEqual(resident.fast.tokens);
    expect(notices.filter((text) => /dense weights .* experts .* conversations/.test(text))).toHaveLength(2);
    // Conversations make room for the experts of one token.
    const tight = { contextLength: undefined, maxSequences: undefined, memoryLimit: limit + 1e6 };
    using close = await open({ residency: 'streamed', readers: 2 }, gguf, tight);
    expect(close.info.memory?.experts).toBeGreaterThanOrEqual(1.25 * 3 * oneLayer);
    expect(close.info.contextLength).toBeLessThan(8192);
    expect(close.info.contextLength).toBeGreaterThanOrEqual(2048);
    await expect(open({}, gguf, { memoryLimit: dense + working })).rejects.toMatchObject({
      code: 'out_of_memory',
      details: { limitBytes: dense + working },
    });
  });

  it('is foreseen from headers, also of a file elsewhere', async () => {
    const bytes = readFileSync(gguf);
    const server = createServer((request, response) => {
      const [, from = 0, to = 0] = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '')?.map(Number) ?? [];
      const part = bytes.subarray(from, to + 1);
      const range = `bytes ${from}-${from + part.length - 1}/${bytes.length}`;
      response.writeHead(206, { 'content-range': range, 'content-length': part.length }).end(part);
    });
    const port = await new Promise<number>((resolve) => {
      server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
    });
    try {
      const there = await modelOutlook(`http://127.0.0.1:${port}/tiny.gguf`, { memoryLimit: 2 ** 30 });
      expect(there).toMatchObject({
        problem: undefined,
        denseBytes: expect.any(Number),
        cycleBytes: 3 * oneLayer,
      });
      expect(there.speed?.ceiling).toBeGreaterThan(0);
      expect(there.diskBandwidth).toBeGreaterThan(0);
      const small = await modelOutlook(gguf, { memoryLimit: 1e6 });
      expect(small.division).toBeUndefined();
      expect(small.problem).toContain('may be used');
    } finally {
      server.close();
    }
  });
});
