// Generations whose next step is in flight: however one ends, its tokens, its numbers and the next generation are the same
// as if every step had been waited for.

import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addonPath } from '../../src/device/cpu/addon.ts';
import { load } from '../../src/engine/load.ts';
import type { Model, TokenStream } from '../../src/engine/types.ts';
import { readGolden } from '../models/goldens.ts';

const golden = readGolden('llama3-gqa');
const { tokens: prompt, continuation } = golden;
const devices = ['js', ...(addonPath() ? (['cpu'] as const) : [])] as ('js' | 'cpu')[];
/** Place in the continuation of the token that ends a text: its first appearance, neither first nor last. */
const eosAt = continuation.findIndex((id, i) => i > 2 && continuation.indexOf(id) === i);
const eos = continuation[eosAt] as number;

async function collect(stream: TokenStream, atMost = Number.POSITIVE_INFINITY): Promise<number[]> {
  const tokens: number[] = [];
  for await (const token of stream) {
    tokens.push(token);
    if (tokens.length >= atMost) break;
  }
  return tokens;
}

/** Log probabilities of `ids` after the prompt, from the logits of all rows. */
async function logprobsOf(model: Model, ids: readonly number[]): Promise<number[]> {
  const { data, shape } = await model.logits([...prompt, ...ids]);
  const vocab = shape[1];
  return ids.map((id, i) => {
    const row = data.subarray((prompt.length + i - 1) * vocab, (prompt.length + i) * vocab);
    const max = row.reduce((a, b) => Math.max(a, b));
    const total = row.reduce((sum, x) => sum + Math.exp(x - max), 0);
    return (row[id] ?? 0) - max - Math.log(total);
  });
}

describe.each(devices)('steps in flight on %s', (device) => {
  const folder = mkdtempSync(join(tmpdir(), 'ingot-steps-'));
  let model: Model;
  beforeAll(async () => {
    cpSync(fileURLToPath(new URL('../goldens/models/llama3-gqa', import.meta.url)), folder, {
      recursive: true,
    });
    const path = join(folder, 'config.json');
    const config = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
    writeFileSync(path, JSON.stringify({ ...config, eos_token_id: eos }));
    model = await load(folder, { device, precision: 'exact', contextLength: 128 });
  });
  afterAll(() => {
    model.dispose();
    rmSync(folder, { recursive: true });
  });

  const greedy = { maxTokens: continuation.length, ignoreEos: true, temperature: 0 } as const;
  const expectFresh = async (): Promise<void> =>
    expect(await collect(model.generate(prompt, greedy))).toEqual(continuation);

  it('ends at an end-of-text token in the middle, and is free for the next', async () => {
    const stream = model.generate(prompt, { maxTokens: continuation.length, temperature: 0 });
    expect(await collect(stream)).toEqual(continuation.slice(0, eosAt));
    expect(stream.stats).toMatchObject({ stopReason: 'eos', generatedTokens: eosAt });
    await expectFresh();
  });

  it('keeps whole pages of what was said before the end, and nothing else', async () => {
    using fast = await load(folder, { device, contextLength: 128 });
    const start = [...prompt, ...prompt, ...prompt].slice(0, 62);
    const said: number[] = [
      ...start,
      ...(await collect(fast.generate(start, { maxTokens: 20, ignoreEos: true, temperature: 0 }))),
    ];
    const other = [...said.slice(0, 63), (said[63] ?? 0) + 1, 3];
    const after = fast.generate(other, { maxTokens: 4, ignoreEos: true, temperature: 0 });
    const tokens = await collect(after);
    expect(after.stats.cachedTokens).toBe(32);
    const again = fast.generate([...said, 3], { maxTokens: 4, ignoreEos: true, temperature: 0 });
    await collect(again);
    expect(again.stats.cachedTokens).toBe(64);
    using fresh = await load(folder, { device, contextLength: 128 });
    expect(await collect(fresh.generate(other, { maxTokens: 4, ignoreEos: true, temperature: 0 }))).toEqual(
      tokens,
    );
  });

  it('ends at an end-of-text token right after the prompt', async () => {
    const said = [...prompt, ...continuation.slice(0, eosAt)];
    const stream = model.generate(said, { temperature: 0 });
    expect(await collect(stream)).toEqual([]);
    expect(stream.stats).toMatchObject({ stopReason: 'eos', generatedTokens: 0, promptTokens: said.length });
    await expectFresh();
  });

  it.each([1, 2, 3])('gives exactly %d tokens when asked to', async (maxTokens) => {
    const stream = model.generate(prompt, { maxTokens, ignoreEos: true, temperature: 0 });
    expect(await collect(stream)).toEqual(continuation.slice(0, maxTokens));
    expect(stream.stats).toMatchObject({ stopReason: 'length', generatedTokens: maxTokens });
    const longer = model.generate([...prompt, ...continuation.slice(0, maxTokens)], {
      maxTokens: 2,
      ignoreEos: true,
      temperature: 0,
    });
    expect(await collect(longer)).toEqual(continuation.slice(maxTokens, maxTokens + 2));
  });

  it.each([1, 2, 5])('rejects when aborted at token %d with a step in flight', async (at) => {
    const reason = new Error('enough');
    const controller = new AbortController();
    const stream = model.generate(prompt, { ...greedy, signal: controller.signal });
    const seen: number[] = [];
    const run = (async () => {
      for await (const token of stream) if (seen.push(token) === at) controller.abort(reason);
    })();
    await expect(run).rejects.toBe(reason);
    expect(seen).toEqual(continuation.slice(0, at));
    expect(stream.stats).toMatchObject({ stopReason: 'aborted', generatedTokens: at });
    await expectFresh();
  });

  it('gives each of several generations its own tokens when one of them is left', async () => {
    const other = [7, 8, 9];
    const alone = await collect(model.generate(other, greedy));
    const first = collect(model.generate(prompt, greedy), 3);
    const second = collect(model.generate(other, greedy));
    const third = collect(model.generate(prompt, { maxTokens: continuation.length, temperature: 0 }));
    expect(await first).toEqual(continuation.slice(0, 3));
    expect(await second).toEqual(alone);
    expect(await third).toEqual(continuation.slice(0, eosAt));
  });

  it('counts the tokens of the context once each for penalties', async () => {
    const penalties = { ...greedy, repetitionPenalty: 1.3, frequencyPenalty: 0.7 };
    const whole = await collect(model.generate(prompt, penalties));
    const steps: number[] = [];
    while (steps.length < whole.length) {
      steps.push(...(await collect(model.generate([...prompt, ...steps], { ...penalties, maxTokens: 1 }))));
    }
    expect(whole).toEqual(steps);
  });

  it('reports the log probabilities of each token, not of the step in flight', async () => {
    const stream = model.generate(prompt, { ...greedy, logprobs: 3 });
    const tokens: number[] = [];
    for await (const token of stream) {
      tokens.push(token);
      await new Promise((resume) => setTimeout(resume, 2));
      expect(stream.stats.logprobs).toHaveLength(tokens.length);
      expect(stream.stats.generatedTokens).toBe(tokens.length);
    }
    const expected = await logprobsOf(model, tokens);
    expect(stream.stats.logprobs.map((t) => t.id)).toEqual(tokens);
    stream.stats.logprobs.forEach(({ id, logprob, top }, i) => {
      expect(logprob).toBeCloseTo(expected[i] ?? 0, 3);
      expect(top[0]).toEqual({ id, logprob });
      expect(top).toHaveLength(3);
    });
  });
});
