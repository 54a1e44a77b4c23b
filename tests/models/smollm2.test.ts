// SmolLM2-135M-Instruct from its quantised GGUF against transformers in f32 (tools/goldens/smollm2.py). Needs the model
// file: `ingot pull smollm2:135m` puts it where this looks.

import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import type { NDArray } from '../../src/array/array.ts';
import { fromBuffer } from '../../src/array/creation.ts';
import { Weight } from '../../src/array/weight.ts';
import type { Device } from '../../src/device/device.ts';
import { findLocal } from '../../src/hub/resolve.ts';
import type { ModelGraph, Precision } from '../../src/models/contract.ts';
import { modelCheckpoint } from '../../src/models/files/translate.ts';
import { parseModel } from '../../src/models/registry.ts';
import { CheckpointLoader } from '../../src/weights/load.ts';
import { openCheckpoint } from '../../src/weights/open.ts';
import { argmax, difference } from './compare.ts';
import { cpuDevice, jsDevice, whyNoCpu } from './devices.ts';
import { ModelRunner } from './runner.ts';

const path = await findLocal('smollm2:135m');
const reason = path === undefined ? ' (skipped: smollm2:135m is not in the Hugging Face cache)' : '';
const root = new URL('../goldens/smollm2/', import.meta.url);

interface PromptGolden {
  readonly name: string;
  readonly tokens: readonly number[];
  readonly continuation: readonly number[];
  readonly logits: readonly {
    readonly position: number;
    readonly ids: number[];
    readonly values: number[];
  }[];
}
interface Golden {
  readonly vocab: number;
  readonly greedy: number;
  readonly fullLogits: readonly { readonly prompt: string; readonly position: number }[];
  readonly prompts: readonly PromptGolden[];
  readonly text: {
    readonly window: number;
    readonly perplexity: number;
    readonly tokens: readonly number[];
    readonly argmax: readonly number[];
  };
}
const golden = JSON.parse(readFileSync(new URL('golden.json', root), 'utf8')) as Golden;
const { vocab } = golden;
const full = new Float32Array(Uint8Array.from(readFileSync(new URL('logits.bin', root))).buffer);

/** What DESIGN promises of exact precision. */
const exactLogits = 2e-3;
const maxRows = 128;
const minutes = 60_000;

async function load(
  device: Device,
  precision: Precision,
): Promise<{ model: ModelGraph; dispose(): Promise<void> }> {
  const checkpoint = await modelCheckpoint(openCheckpoint(path as string));
  const loader = new CheckpointLoader<Weight, NDArray>(checkpoint, device, {
    matrix: ({ name, ...rest }) => new Weight({ device, label: name, ...rest }),
    vector: ({ buffer, length }) => fromBuffer(device, buffer, [length], 'f32'),
  });
  const model = parseModel(checkpoint.config, path as string).build(loader, { device, precision });
  await loader.run();
  return {
    model,
    async dispose() {
      model.dispose();
      loader.dispose();
      await checkpoint.close();
    },
  };
}

async function withRunner(
  device: Device,
  precision: Precision,
  body: (runner: ModelRunner) => Promise<void>,
): Promise<void> {
  const { model, dispose } = await load(device, precision);
  const kv = precision === 'exact' ? 'f32' : 'f16';
  const runner = new ModelRunner(device, model, { capacity: golden.text.window, maxRows, kv });
  try {
    await body(runner);
  } finally {
    runner.dispose();
    await dispose();
  }
}

function expectPromptLogits(prompt: PromptGolden, got: Float32Array): void {
  for (const { position, ids, values } of prompt.logits) {
    const row = got.subarray(position * vocab, (position + 1) * vocab);
    const picked = Float32Array.from(ids, (id) => row[id]!);
    const report = difference(picked, Float32Array.from(values), ids.length);
    expect(report.max, `${prompt.name} at ${position}: ${report.worst}`).toBeLessThanOrEqual(exactLogits);
    expect(argmax(row)).toBe(ids[0]);
  }
  golden.fullLogits.forEach(({ prompt: name, position }, i) => {
    if (name !== prompt.name) return;
    const row = got.subarray(position * vocab, (position + 1) * vocab);
    const report = difference(row, full.subarray(i * vocab, (i + 1) * vocab), vocab);
    expect(report.max, `${name} at ${position}: ${report.worst}`).toBeLessThanOrEqual(exactLogits);
  });
}

/** Perplexity as golden.json defines it, and the share of positions with the reference's best token. */
async function evaluateText(runner: ModelRunner): Promise<{ perplexity: number; agreement: number }> {
  const { tokens, window, argmax: best } = golden.text;
  let [nll, predicted, agreed] = [0, 0, 0];
  for (let start = 0; start < tokens.length; start += window) {
    const ids = tokens.slice(start, start + window);
    for (let at = 0; at < ids.length; at += maxRows) {
      const logits = await runner.step(ids.slice(at, at + maxRows), at);
      for (let i = 0; i * vocab < logits.length; i++) {
        const row = logits.subarray(i * vocab, (i + 1) * vocab);
        const top = argmax(row);
        if (top === best[start + at + i]) agreed++;
        const next = ids[at + i + 1];
        if (next === undefined) continue;
        nll += logSum(row, row[top]!) - row[next]!;
        predicted++;
      }
    }
  }
  return { perplexity: Math.exp(nll / predicted), agreement: agreed / tokens.length };
}

/** Logarithm of the sum of e^x. Plain loops: there are 200 million of them. */
function logSum(row: Float32Array, max: number): number {
  let sum = 0;
  for (let i = 0; i < row.length; i++) sum += Math.exp(row[i]! - max);
  return max + Math.log(sum);
}

describe.skipIf(path === undefined)(`SmolLM2${reason}`, () => {
  it(
    'exact logits of the shortest prompt on plain TypeScript',
    () =>
      withRunner(jsDevice, 'exact', async (runner) => {
        const prompt = golden.prompts.toSorted((a, b) => a.tokens.length - b.tokens.length)[0]!;
        expectPromptLogits(prompt, await runner.logits(prompt.tokens, [maxRows]));
      }),
    10 * minutes,
  );

  describe.skipIf(cpuDevice === undefined)(`on the CPU device${whyNoCpu}`, () => {
    it(
      'exact: logits and greedy tokens of every prompt',
      () =>
        withRunner(cpuDevice as Device, 'exact', async (runner) => {
          for (const prompt of golden.prompts) {
            const tokens = [...prompt.tokens, ...prompt.continuation];
            const got = await runner.logits(tokens, [maxRows]);
            expectPromptLogits(prompt, got);
            const rows = prompt.continuation.map((_, i) => prompt.tokens.length + i - 1);
            const best = rows.map((row) => argmax(got.subarray(row * vocab, (row + 1) * vocab)));
            expect(best, prompt.name).toEqual(prompt.continuation);
          }
          // The same token by token, for one of them.
          const [prompt] = golden.prompts.toSorted((a, b) => a.tokens.length - b.tokens.length);
          const got = await runner.greedy(prompt!.tokens, golden.greedy, vocab);
          expect(got).toEqual(prompt!.continuation);
        }),
      10 * minutes,
    );

    it(
      'exact: the perplexity of the text',
      () =>
        withRunner(cpuDevice as Device, 'exact', async (runner) => {
          const { perplexity, agreement } = await evaluateText(runner);
          expect(Math.abs(perplexity / golden.text.perplexity - 1)).toBeLessThanOrEqual(1e-4);
          expect(agreement).toBeGreaterThanOrEqual(0.999);
        }),
      10 * minutes,
    );

    it(
      'fast: perplexity within 0.5 %, the same best token at 97 % of positions',
      () =>
        withRunner(cpuDevice as Device, 'fast', async (runner) => {
          const { perplexity, agreement } = await evaluateText(runner);
          expect(Math.abs(perplexity / golden.text.perplexity - 1)).toBeLessThanOrEqual(0.005);
          expect(agreement).toBeGreaterThanOrEqual(0.97);
        }),
      10 * minutes,
    );
  });
});

afterAll(() => {
  jsDevice.dispose();
  cpuDevice?.dispose();
});
