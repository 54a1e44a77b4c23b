// The engine as a library user sees it, on a tiny checkpoint folder without a tokenizer, on every device.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addonPath } from '../../src/device/cpu/addon.ts';
import { load } from '../../src/engine/load.ts';
import { logProbability } from '../../src/engine/perplexity.ts';
import type { Model, TokenStream } from '../../src/engine/types.ts';
import { readGolden } from '../models/goldens.ts';

const golden = readGolden('llama3-gqa');
const folder = fileURLToPath(new URL('../goldens/models/llama3-gqa', import.meta.url));
const devices = ['js', ...(addonPath() ? (['cpu'] as const) : [])] as ('js' | 'cpu')[];

async function collect(stream: TokenStream, atMost = Number.POSITIVE_INFINITY): Promise<number[]> {
  const tokens: number[] = [];
  for await (const token of stream) {
    tokens.push(token);
    if (tokens.length >= atMost) break;
  }
  return tokens;
}

describe.each(devices)('a loaded model on %s', (device) => {
  let model: Model;
  beforeAll(async () => {
    model = await load(folder, { device, precision: 'exact', contextLength: 128 });
  });
  afterAll(() => model.dispose());

  const n = golden.continuation.length;
  const greedy = { maxTokens: n, ignoreEos: true, temperature: 0 } as const;

  it('tells what it is', () => {
    expect(model.info).toMatchObject({ family: 'llama', contextLength: 128, format: 'safetensors bf16' });
    expect(model.info.parameters).toBeGreaterThan(1000);
    expect(model.hasTokenizer).toBe(false);
    expect(() => model.tokenizer).toThrow(/came without a tokenizer/);
  });

  it('continues greedily as the reference does', async () => {
    const stream = model.generate(golden.tokens, greedy);
    expect(await collect(stream)).toEqual(golden.continuation);
    expect(stream.stats).toMatchObject({
      promptTokens: golden.tokens.length,
      generatedTokens: n,
      stopReason: 'length',
    });
  });

  it('gives the logits of every row', async () => {
    const { data, shape } = await model.logits(golden.tokens);
    expect(shape).toEqual([golden.tokens.length, golden.vocab]);
    const worst = data.reduce((max, x, i) => Math.max(max, Math.abs(x - (golden.logits[i] ?? 0))), 0);
    expect(worst).toBeLessThan(2e-4 * golden.largestLogit);
  });

  it('gives the log probabilities of the tokens of a text, as its logits say', async () => {
    const tokens = Array.from({ length: 100 }, (_, i) => (7 * i) % golden.vocab);
    const found = await model.logprobs(tokens, { top: 3 });
    const { data } = await model.logits(tokens);
    expect(found.map(({ id }) => id)).toEqual(tokens.slice(1));
    found.forEach(({ id, logprob, top }, i) => {
      const row = data.subarray(i * golden.vocab, (i + 1) * golden.vocab);
      expect(logprob).toBeCloseTo(logProbability(row, id), 4);
      const best = [...row.keys()].sort((a, b) => (row[b] ?? 0) - (row[a] ?? 0)).slice(0, 3);
      expect(top.map((each) => each.id)).toEqual(best);
      for (const each of top) expect(each.logprob).toBeCloseTo(logProbability(row, each.id), 4);
    });
    expect(await model.logprobs([5])).toEqual([]);
    await expect(model.logprobs([])).rejects.toThrow(/empty/);
    await expect(model.logprobs(tokens, { top: 21 })).rejects.toThrow(/from 0 to 20, got 21/);
    await expect(model.logprobs(Array<number>(129).fill(1))).rejects.toThrow(/the prompt has 129 tokens/);
    expect(model.status()).toMatchObject({ running: 0, kvBytesUsed: 0 });
  });

  it('reuses what the cache holds of a prompt, without changing a token', async () => {
    const long = Array.from({ length: 70 }, (_, i) => (7 * i) % golden.vocab);
    const first = model.generate(long, greedy);
    const tokens = await collect(first);
    const again = model.generate(long, greedy);
    expect(await collect(again)).toEqual(tokens);
    expect([first.stats.cachedTokens, again.stats.cachedTokens]).toEqual([0, 64]);
    expect(model.status().prefix).toMatchObject({ hits: 1, hitTokens: 64 });
  });

  it('runs generations together', async () => {
    const streams = [0, 1, 2].map(() => collect(model.generate(golden.tokens, greedy)));
    for (const tokens of await Promise.all(streams)) expect(tokens).toEqual(golden.continuation);
  });

  it('samples the same tokens from the same seed, others from another', async () => {
    const sample = (seed: number) =>
      collect(model.generate(golden.tokens, { maxTokens: 24, ignoreEos: true, temperature: 1.5, seed }));
    const first = await sample(7);
    expect(await sample(7)).toEqual(first);
    expect(await sample(8)).not.toEqual(first);
  });

  it('reports log probabilities that are normalised and contain the chosen token', async () => {
    const stream = model.generate(golden.tokens, { ...greedy, logprobs: 5 });
    const tokens = await collect(stream);
    expect(stream.stats.logprobs.map((t) => t.id)).toEqual(tokens);
    for (const { id, logprob, top } of stream.stats.logprobs) {
      expect(top).toHaveLength(5);
      expect(top[0]?.id).toBe(id);
      expect(top[0]?.logprob).toBeCloseTo(logprob, 5);
      expect(top.reduce((sum, t) => sum + Math.exp(t.logprob), 0)).toBeLessThanOrEqual(1 + 1e-5);
    }
  });

  it('makes repetition expensive when asked to', async () => {
    const tokens = await collect(
      model.generate([5, 6, 7], { maxTokens: 30, ignoreEos: true, temperature: 0, presencePenalty: 100 }),
    );
    expect(new Set([5, 6, 7, ...tokens]).size).toBe(33);
  });

  it('stops at once when the consumer leaves, and is free for the next', async () => {
    expect(await collect(model.generate(golden.tokens, greedy), 2)).toEqual(golden.continuation.slice(0, 2));
    expect(await collect(model.generate(golden.tokens, greedy))).toEqual(golden.continuation);
  });

  it('rejects with the reason of an aborted signal, before and while generating', async () => {
    const reason = new Error('enough');
    await expect(collect(model.generate([1], { signal: AbortSignal.abort(reason) }))).rejects.toBe(reason);
    const controller = new AbortController();
    const stream = model.generate(golden.tokens, { ...greedy, signal: controller.signal });
    const run = (async () => {
      for await (const _ of stream) controller.abort(reason);
    })();
    await expect(run).rejects.toBe(reason);
    expect(stream.stats.stopReason).toBe('aborted');
    expect(await collect(model.generate(golden.tokens, greedy))).toEqual(golden.continuation);
  });

  it('rejects an aborted generation that waits its turn, and lets the others go on', async () => {
    const reason = new Error('no longer wanted');
    const controller = new AbortController();
    const first = model.generate(golden.tokens, greedy);
    const iterator = first[Symbol.asyncIterator]();
    await iterator.next();
    const waiting = collect(model.generate(golden.tokens, { ...greedy, signal: controller.signal }));
    const behind = collect(model.generate(golden.tokens, greedy));
    controller.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    await iterator.return?.();
    expect(await behind).toEqual(golden.continuation);
  });

  it('ends when the context is full', async () => {
    const prompt = Array.from({ length: 126 }, (_, i) => i % golden.vocab);
    const stream = model.generate(prompt, { ignoreEos: true, temperature: 0 });
    expect(await collect(stream)).toHaveLength(3);
    expect(stream.stats.stopReason).toBe('length');
  });

  it.each([
    [[], {}, /the prompt is empty/],
    [[1, 9999], {}, /token 9999 at position 1 is outside the vocabulary of \d+ tokens/],
    [[1, -1], {}, /token -1 at position 1/],
    [[1.5], {}, /token 1.5 at position 0/],
    [
      Array<number>(129).fill(1),
      {},
      /the prompt has 129 tokens and the context of .* holds 128; shorten it, or load the model with a contextLength of up to \d+/,
    ],
    [[1], { maxTokens: 0 }, /maxTokens must be an integer of at least 1, got 0/],
    [[1], { temperature: -1 }, /temperature must be a number from 0 .* got -1/],
    [[1], { topP: 0 }, /topP must be a number above 0/],
    [[1], { logprobs: 21 }, /logprobs must be an integer from 0 to 20/],
    [[1], { seed: 2 ** 32 }, /seed must be an integer/],
  ])('refuses %j with %j', async (prompt, options, message) => {
    await expect(collect(model.generate(prompt, options))).rejects.toThrow(message);
    await expect(collect(model.generate(golden.tokens, greedy))).resolves.toEqual(golden.continuation);
  });

  it('says that text needs a tokenizer', () => {
    expect(() => model.complete('hello')).toThrow(/came without a tokenizer/);
    expect(() => model.chat([{ role: 'user', content: 'hello' }])).toThrow(/use generate\(\) with token ids/);
  });

  it('refuses work after dispose, and lets work in flight end', async () => {
    const other = await load(folder, { device, precision: 'exact' });
    const run = collect(other.generate(golden.tokens, greedy));
    other.dispose();
    await expect(run).resolves.toEqual(golden.continuation);
    await expect(collect(other.generate([1]))).rejects.toThrow(/disposed/);
  });
});

describe('load', () => {
  it('refuses what cannot fit', async () => {
    await expect(load(folder, { device: 'js', memoryLimit: 1000 })).rejects.toThrow(
      /needs .* MB .*memoryLimit/,
    );
    await expect(load(folder, { device: 'js', contextLength: 1e6 })).rejects.toThrow(
      /from 1 to \d+ .* got 1000000/,
    );
  });

  it('names what is wrong with a path or an option', async () => {
    await expect(load('./no/such/model.gguf')).rejects.toThrow(/there is no file or folder/);
    // @ts-expect-error a device that does not exist
    await expect(load(folder, { device: 'abacus' })).rejects.toThrow(/unknown device 'abacus'/);
    // @ts-expect-error a precision that does not exist
    await expect(load(folder, { precision: 'vague' })).rejects.toThrow(/'fast' or 'exact', got "vague"/);
    const empty = mkdtempSync(join(tmpdir(), 'ingot-'));
    await expect(load(empty)).rejects.toThrow(/holds no safetensors, GGUF or packed model/);
    rmSync(empty, { recursive: true });
  });

  it('stops when aborted', async () => {
    const reason = new Error('changed my mind');
    await expect(load(folder, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });
});
