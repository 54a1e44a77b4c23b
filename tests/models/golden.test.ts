import { afterAll, describe, expect, it } from 'vitest';
import type { Device } from '../../src/device/device.ts';
import type { DecoderConfig } from '../../src/models/config/decoder.ts';
import type { ModelGraph, Precision } from '../../src/models/contract.ts';
import { parseModel } from '../../src/models/registry.ts';
import { memoryLoader } from '../../src/testing/tiny-models.ts';
import { argmax, difference, exactBound, fastRms, lead, rms } from './compare.ts';
import { cpuDevice, gpuDevice, jsDevice, whyNoCpu } from './devices.ts';
import { goldenNames, type ModelGolden, readGolden } from './goldens.ts';
import { ModelRunner } from './runner.ts';

const goldens = goldenNames.map(readGolden);

interface Loaded {
  readonly model: ModelGraph;
  readonly config: DecoderConfig;
  dispose(): void;
}

function load(
  device: Device,
  golden: ModelGolden,
  precision: Precision,
  config: unknown = golden.config,
): Loaded {
  const loader = memoryLoader(
    device,
    (name) => golden.tensors.get(name),
    (name) => golden.tensors.has(name),
  );
  const parsed = parseModel(config, `${golden.name}/config.json`);
  const model = parsed.build(loader, { device, precision });
  return {
    model,
    config: parsed.config as DecoderConfig,
    dispose() {
      model.dispose();
      loader.dispose();
    },
  };
}

/** Runs `body` with a model and a cache for the golden's tokens and continuation, then frees all of it. */
async function run<T>(
  device: Device,
  golden: ModelGolden,
  precision: Precision,
  maxRows: number,
  body: (runner: ModelRunner, config: DecoderConfig) => Promise<T>,
  config?: unknown,
): Promise<T> {
  const loaded = load(device, golden, precision, config);
  const capacity = golden.tokens.length + golden.continuation.length;
  const runner = new ModelRunner(device, loaded.model, {
    capacity,
    maxRows,
    kv: precision === 'exact' ? 'f32' : 'f16',
  });
  try {
    return await body(runner, loaded.config);
  } finally {
    runner.dispose();
    loaded.dispose();
  }
}

const exactDevices = [jsDevice, cpuDevice, gpuDevice].filter((d): d is Device => d !== undefined);

describe.each(exactDevices)('exact logits on $name against transformers', (device) => {
  const expectLogits = (golden: ModelGolden, config: DecoderConfig, got: Float32Array): void => {
    const report = difference(got, golden.logits, golden.vocab);
    const bound = exactBound(config, golden.tokens.length, golden.largestLogit);
    expect(report.max, `${report.worst}; mean ${report.mean}, p99 ${report.p99}`).toBeLessThanOrEqual(bound);
  };

  // A software GPU compiles every pipeline for seconds: there, models that differ in kernels, and all kinds of steps on two.
  const only = (names: readonly string[]): readonly ModelGolden[] =>
    device.name === 'webgpu' ? goldens.filter(({ name }) => names.includes(name)) : goldens;
  const some = only(['llama3-gqa', 'qwen3-moe']);
  const chunked = only(['llama3-gqa', 'qwen3-moe', 'llama-odd-heads', 'qwen3-window-yarn']);

  it.each(some)('$name: the prompt at once', (golden) =>
    run(device, golden, 'exact', golden.tokens.length, async (runner, config) => {
      expectLogits(golden, config, await runner.logits(golden.tokens, [golden.tokens.length]));
    }),
  );

  it.each(chunked)('$name: chunks of 17 rows, then token by token', (golden) =>
    run(device, golden, 'exact', 17, async (runner, config) => {
      expectLogits(golden, config, await runner.logits(golden.tokens, [17, 17, 1]));
    }),
  );

  it.each(some)('$name: the same greedy tokens', (golden) =>
    run(device, golden, 'exact', golden.tokens.length, async (runner) => {
      const got = await runner.greedy(golden.tokens, golden.continuation.length, golden.vocab);
      expect(got).toEqual(golden.continuation);
    }),
  );

  it('leaves no buffer behind', async () => {
    const before = device.statistics().liveBuffers;
    await run(device, goldens[0]!, 'exact', 8, (runner) => runner.step([3, 4, 5], 0));
    expect(device.statistics().liveBuffers).toBe(before);
  });
});

describe.skipIf(cpuDevice === undefined)(`fast logits on the CPU device${whyNoCpu}`, () => {
  it.each(goldens)('$name', (golden) =>
    run(cpuDevice as Device, golden, 'fast', 17, async (runner, config) => {
      const { vocab, tokens, logits } = golden;
      const got = await runner.logits(tokens, [17, 17, 1]);
      const typical = fastRms(config, rms(logits));
      const report = difference(got, logits, vocab);
      // Twice the typical error: the model may amplify it a little, the formula ignores that.
      expect(report.rms, `${report.worst}; max ${report.max}`).toBeLessThanOrEqual(2 * typical);
      // Where the best token leads by more than eight typical errors it must stay the best.
      tokens.forEach((_, i) => {
        const want = logits.subarray(i * vocab, (i + 1) * vocab);
        if (lead(want) < 8 * typical) return;
        expect(argmax(got.subarray(i * vocab, (i + 1) * vocab)), `row ${i}`).toBe(argmax(want));
      });
    }),
  );
});

describe('the comparison notices', () => {
  const named = (name: string): ModelGolden => goldens.find((golden) => golden.name === name)!;
  const without = (config: unknown, ...keys: string[]): Record<string, unknown> =>
    Object.fromEntries(Object.entries(config as object).filter(([key]) => !keys.includes(key)));
  const wrong: readonly [what: string, golden: ModelGolden, config: Record<string, unknown>][] = [
    ['missing llama3 scaling', named('llama3-gqa'), without(named('llama3-gqa').config, 'rope_parameters')],
    ['missing linear scaling', named('llama-linear'), without(named('llama-linear').config, 'rope_scaling')],
    ['missing yarn scaling', named('llama-yarn'), without(named('llama-yarn').config, 'rope_parameters')],
    ['another base', named('qwen3'), without(named('qwen3').config, 'rope_parameters')],
    [
      'a window one longer',
      named('mistral-window'),
      { ...(named('mistral-window').config as object), sliding_window: 17 },
    ],
    [
      'a missing window',
      named('qwen3-window-yarn'),
      without(named('qwen3-window-yarn').config, 'use_sliding_window'),
    ],
    [
      'unnormalised experts',
      named('qwen3-moe'),
      { ...(named('qwen3-moe').config as object), norm_topk_prob: false },
    ],
    [
      'one expert less',
      named('qwen3-moe-mixed'),
      { ...(named('qwen3-moe-mixed').config as object), num_experts_per_tok: 2 },
    ],
    ['missing biases', named('llama-bias'), without(named('llama-bias').config, 'mlp_bias')],
    [
      'another eps',
      named('llama-odd-heads'),
      { ...(named('llama-odd-heads').config as object), rms_norm_eps: 1e-3 },
    ],
  ];
  it.each(wrong)('%s', (_, golden, config) =>
    run(
      jsDevice,
      golden,
      'exact',
      golden.tokens.length,
      async (runner, parsed) => {
        const got = await runner.logits(golden.tokens, [golden.tokens.length]);
        const bound = exactBound(parsed, golden.tokens.length, golden.largestLogit);
        expect(difference(got, golden.logits, golden.vocab).max).toBeGreaterThan(3 * bound);
      },
      config,
    ),
  );
});

afterAll(() => {
  jsDevice.dispose();
  cpuDevice?.dispose();
});
