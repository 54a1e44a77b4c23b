// Times decode and prefill of a model, beside what this machine could do at best.

import { env } from '../base/env.ts';
import { type Summary, summarize } from '../base/statistics.ts';
import { CpuDevice } from '../device/cpu/device.ts';
import { type CpuReport, cpuReport } from '../device/cpu/doctor.ts';
import { openDevice } from '../device/open.ts';
import { timeTokens } from '../generate/timing.ts';
import { inspectModel } from './inspect.ts';
import { load } from './load.ts';
import type { TokenCost } from './token-cost.ts';
import type { LoadOptions, Model, ModelInfo } from './types.ts';

export interface BenchOptions extends LoadOptions {
  /** Default 512. */
  readonly promptTokens?: number | undefined;
  /** Tokens after the first. Default 64. */
  readonly decodeTokens?: number | undefined;
  /** Rounds that count; one more goes before them. Default 5. */
  readonly runs?: number | undefined;
  /** Tokens that have gone through the model, prompts included, after each run. */
  readonly onTokens?: ((done: number, total: number) => void) | undefined;
}

/** Tokens per second: the median of the runs, the slowest and the fastest. */
export interface Speed extends Summary {
  /** What the limiting resource allows; undefined where this machine's is not known. */
  readonly limit: number | undefined;
}

export interface BenchReport {
  readonly model: ModelInfo;
  /** Name of the device: `cpu`, `webgpu` or `js`. */
  readonly device: string;
  /** Measured before the runs, on the CPU device only. */
  readonly cpu: CpuReport | undefined;
  readonly perToken: TokenCost | undefined;
  readonly promptTokens: number;
  readonly decodeTokens: number;
  readonly runs: number;
  readonly prefill: Speed;
  readonly decode: Speed;
}

/**
 * Loads a model and measures it: the time to the first token of random prompts, and from there to the last. Downloads it first when
 * it is not there. `measure` finds the limits of the CPU device. Throws what `load` throws.
 */
export async function benchModel(
  name: string,
  options: BenchOptions = {},
  measure: (device: CpuDevice) => Promise<CpuReport> = cpuReport,
): Promise<BenchReport> {
  const { promptTokens = 512, decodeTokens = 64, runs = 5, onTokens: _, ...loading } = options;
  const { device, cpu } = await examineDevice(options, measure);
  const model = await load(name, {
    ...loading,
    device,
    contextLength: options.contextLength ?? promptTokens + decodeTokens + 1,
  });
  try {
    const { perToken, vocabSize = 1 } = await inspectModel(name);
    const sizes = { promptTokens, decodeTokens, runs, vocabSize };
    const { prefill, decode } = await timeRuns(model, sizes, options);
    const limits = cpu && perToken && floors(cpu, perToken);
    return {
      model: model.info,
      device: device.replace(/:\d+$/, ''),
      cpu,
      perToken,
      promptTokens,
      decodeTokens,
      runs,
      prefill: { ...summarize(prefill), limit: limits?.prefill },
      decode: { ...summarize(decode), limit: limits?.decode },
    };
  } finally {
    model.dispose();
  }
}

interface Sizes {
  readonly promptTokens: number;
  readonly decodeTokens: number;
  readonly runs: number;
  readonly vocabSize: number;
}

/** Tokens per second of each run, after one that does not count. */
async function timeRuns(model: Model, sizes: Sizes, { signal, onTokens }: BenchOptions) {
  const { promptTokens, decodeTokens, runs, vocabSize } = sizes;
  const prefill: number[] = [];
  const decode: number[] = [];
  const perRun = promptTokens + decodeTokens + 1;
  for (let round = 0; round <= runs; round++) {
    const stream = model.generate(randomTokens(vocabSize, promptTokens, round), {
      maxTokens: decodeTokens + 1,
      temperature: 0,
      ignoreEos: true,
      signal,
    });
    const { firstTokenMs, tokenMs } = await timeTokens(stream, decodeTokens);
    onTokens?.((round + 1) * perRun, (runs + 1) * perRun);
    if (round === 0) continue;
    prefill.push((promptTokens - stream.stats.cachedTokens) / (firstTokenMs / 1000));
    decode.push(decodeTokens / (tokenMs.reduce((sum, ms) => sum + ms, 0) / 1000));
  }
  return { prefill, decode };
}

/** Tokens per second at which memory bandwidth, or the arithmetic peak, is used up. */
export const floors = (
  cpu: Pick<CpuReport, 'bandwidthGBs' | 'int8Tops'>,
  cost: TokenCost,
): { readonly decode: number; readonly prefill: number } => ({
  decode: (cpu.bandwidthGBs * 1e9) / cost.bytes,
  prefill: (cpu.int8Tops * 1e12) / (2 * cost.weights),
});

/** Which device the model will get, and what it can do: measured while nothing else runs on it. */
async function examineDevice(options: BenchOptions, measure: (device: CpuDevice) => Promise<CpuReport>) {
  const wanted = options.device ?? 'auto';
  const opened = await openDevice(wanted, { threads: options.threads ?? env.threads, level: env.level });
  try {
    const cpu = opened instanceof CpuDevice ? await measure(opened) : undefined;
    return { device: wanted === 'auto' ? (opened.name as 'cpu' | 'webgpu' | 'js') : wanted, cpu };
  } finally {
    opened.dispose();
  }
}

/** Token ids that are the same each time, and different in every round. */
function randomTokens(vocabSize: number, length: number, round: number): number[] {
  let state = (round + 1) * 0x9e3779b9;
  return Array.from({ length }, () => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x6d2b79f5) >>> 0;
    return state % vocabSize;
  });
}
