// Many generations of one model at a time: each gives what it gives alone, whatever runs beside it, and leaves nothing behind.

import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addonPath } from '../../src/device/cpu/addon.ts';
import { load } from '../../src/engine/load.ts';
import type { GenerateOptions, Model, TokenConstraint, TokenStream } from '../../src/engine/types.ts';
import { readGolden } from '../models/goldens.ts';

const devices = ['js', ...(addonPath() ? (['cpu'] as const) : [])] as ('js' | 'cpu')[];
const models = ['llama3-gqa', 'qwen3-window-yarn', 'qwen3-moe'] as const;
const folderOf = (name: string): string =>
  fileURLToPath(new URL(`../goldens/models/${name}`, import.meta.url));

async function collect(stream: TokenStream): Promise<number[]> {
  const tokens: number[] = [];
  for await (const token of stream) tokens.push(token);
  return tokens;
}

// Plain TypeScript is slow: it runs one of them where there are native kernels.
const some = devices.flatMap((device) =>
  models.slice(0, device === 'js' && devices.length > 1 ? 1 : 3).map((name) => [device, name] as const),
);

describe.each(some)('generations together on %s, %s', (device, name) => {
  const { vocab } = readGolden(name);
  let model: Model;
  beforeAll(async () => {
    model = await load(folderOf(name), { device, precision: 'exact', contextLength: 96, prefixBytes: 0 });
  });
  afterAll(() => model.dispose());

  /** Requests of many lengths, greedy and not, with penalties and biases. */
  const requests = Array.from({ length: 9 }, (_, i) => {
    const prompt = Array.from(
      { length: [1, 2, 3, 31, 32, 33, 64, 80, 5][i] ?? 1 },
      (_, t) => (11 * i + 5 * t) % vocab,
    );
    const options: GenerateOptions = {
      maxTokens: 6 + i,
      ignoreEos: true,
      temperature: 0,
      seed: i,
      ...(i % 3 === 1 ? { temperature: 1.2, topP: 0.95 } : {}),
      ...(i % 4 === 2 ? { temperature: 0.9, topK: 7, repetitionPenalty: 1.3, frequencyPenalty: 0.5 } : {}),
      ...(i === 5 ? { logitBias: { 3: 5, 4: -100 } } : {}),
    };
    return { prompt, options };
  });
  const run = ({ prompt, options }: (typeof requests)[number]): Promise<number[]> =>
    collect(model.generate(prompt, options));

  it('gives each the tokens it gets alone, in any company', async () => {
    const alone: number[][] = [];
    for (const request of requests) alone.push(await run(request));
    expect(await Promise.all(requests.map(run))).toEqual(alone);
    // Arriving one after the other, in reverse.
    const staggered: Promise<number[]>[] = [];
    for (const request of [...requests].reverse()) {
      staggered.push(run(request));
      await new Promise((resume) => setTimeout(resume, 3));
    }
    expect((await Promise.all(staggered)).reverse()).toEqual(alone);
  });

  it('gives the same when the cache is too small for all, and with known prefixes', async () => {
    const alone: number[][] = [];
    for (const request of requests) alone.push(await run(request));
    const { kvBytes } = model.status();
    const page = kvBytes / (64 * 3);
    using small = await load(folderOf(name), {
      device,
      precision: 'exact',
      contextLength: 96,
      kvBytes: page * 6,
    });
    const again = (): Promise<number[][]> =>
      Promise.all(requests.map(({ prompt, options }) => collect(small.generate(prompt, options))));
    expect(await again()).toEqual(alone);
    expect(await again()).toEqual(alone);
    expect(small.status()).toMatchObject({ running: 0, queued: 0, kvBytesUsed: 0 });
  });

  it('frees every page of a hundred aborted generations', async () => {
    const runs = Array.from({ length: 100 }, (_, i) => {
      const controller = new AbortController();
      const request = requests[i % requests.length] ?? { prompt: [1], options: {} };
      const done = collect(
        model.generate(request.prompt, { ...request.options, maxTokens: 90, signal: controller.signal }),
      );
      return { controller, done };
    });
    const outcomes = runs.map(({ done }) =>
      done.then(
        () => 'ended',
        (error: Error) => error.message,
      ),
    );
    for (const [i, { controller }] of runs.entries()) {
      controller.abort(new Error('enough'));
      if (i % 10 === 0) await new Promise((resume) => setTimeout(resume, 1));
    }
    const said = await Promise.all(outcomes);
    expect(said.filter((outcome) => outcome === 'enough').length).toBeGreaterThan(50);
    expect(model.status()).toMatchObject({ running: 0, queued: 0, kvBytesUsed: 0 });
    const [first] = requests;
    if (first) expect(await run(first)).toHaveLength(6);
  });
});

describe.each(devices)('what a generation may ask for on %s', (device) => {
  const name = 'llama3-gqa';
  const golden = readGolden(name);
  let model: Model;
  beforeAll(async () => {
    model = await load(folderOf(name), { device, precision: 'exact', contextLength: 128, maxSequences: 3 });
  });
  afterAll(() => model.dispose());
  const options = { maxTokens: 12, ignoreEos: true, temperature: 0 } as const;

  it('biases that force and ban tokens', async () => {
    const forced = await collect(model.generate(golden.tokens, { ...options, logitBias: { 9: 100 } }));
    expect(new Set(forced)).toEqual(new Set([9]));
    const [first = 0] = golden.continuation;
    const banned = await collect(model.generate(golden.tokens, { ...options, logitBias: { [first]: -100 } }));
    expect(banned).not.toContain(first);
    const outside = collect(model.generate([1], { logitBias: { [golden.vocab]: 1 } }));
    await expect(outside).rejects.toThrow(/logitBias names token \d+, which is outside the vocabulary/);
    await expect(collect(model.generate([1], { logitBias: { 1: 101 } }))).rejects.toThrow(/from -100 to 100/);
  });

  it('a constraint, beside generations without one', async () => {
    const accepted: number[] = [];
    let disposed = 0;
    const even: TokenConstraint = {
      fill: (mask) => {
        mask.fill(0x55555555);
        return accepted.length !== 3;
      },
      accept: (id) => accepted.push(id),
      dispose: () => {
        disposed++;
      },
    };
    const stream = model.generate(golden.tokens, { ...options, constraint: even, logprobs: 3 });
    const [tokens, free] = await Promise.all([
      collect(stream),
      collect(model.generate(golden.tokens, options)),
    ]);
    expect(free).toEqual(golden.continuation.slice(0, 12));
    expect(tokens).toEqual(accepted);
    expect(tokens.filter((id, i) => i !== 3 && id % 2 !== 0)).toEqual([]);
    expect(disposed).toBe(1);
    for (const [i, { top }] of stream.stats.logprobs.entries()) {
      if (i !== 3) expect(top.every(({ id }) => id % 2 === 0)).toBe(true);
    }
  });

  it('more generations than run at a time', async () => {
    const streams = Array.from({ length: 8 }, () => model.generate(golden.tokens, options));
    const tokens = await Promise.all(streams.map(collect));
    expect(tokens).toEqual(streams.map(() => golden.continuation.slice(0, 12)));
    expect(streams.at(-1)?.stats.queueMs).toBeGreaterThan(streams[0]?.stats.queueMs ?? 0);
  });

  it('embeddings of length 1 that do not depend on what runs beside', async () => {
    const other = collect(model.generate(golden.tokens, options));
    const [mean, last] = await Promise.all([
      model.embed(golden.tokens),
      model.embed(golden.tokens, { pooling: 'last' }),
    ]);
    await other;
    for (const vector of [mean, last]) expect(Math.hypot(...vector)).toBeCloseTo(1, 5);
    expect(mean).not.toEqual(last);
    expect(await model.embed(golden.tokens)).toEqual(mean);
    await expect(model.embed([])).rejects.toThrow(
      /^input must be a text, a list of texts, or a list of token ids/,
    );
    await expect(model.embed(Array<number>(129).fill(1))).rejects.toThrow(/the prompt has 129 tokens/);
    // @ts-expect-error a pooling that does not exist
    await expect(model.embed([1], { pooling: 'best' })).rejects.toThrow(/'mean' or 'last', got "best"/);
    expect(model.status().kvBytesUsed).toBe(0);
  });
});
