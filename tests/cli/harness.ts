// The command line in this process, over an engine of made-up values.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach } from 'vitest';
import { readEnv } from '../../src/base/env.ts';
import { IngotError } from '../../src/base/errors.ts';
import type { Message } from '../../src/chat/messages.ts';
import type { Context, Engine } from '../../src/cli/context.ts';
import { runCli } from '../../src/cli/run-cli.ts';
import type { BenchReport } from '../../src/engine/bench.ts';
import type { ModelDetails } from '../../src/engine/inspect.ts';
import type { ModelOutlook } from '../../src/engine/outlook.ts';
import type { ChatOptions, GenerateStats, LoadOptions, Model, TextStream } from '../../src/engine/types.ts';
import type { Capsule } from '../../src/patch/capsule.ts';

const stats: GenerateStats = {
  promptTokens: 5,
  cachedTokens: 0,
  generatedTokens: 3,
  queueMs: 0,
  prefillMs: 10,
  decodeMs: 20,
  stopReason: 'eos',
  logprobs: [],
};

const textStream = (parts: readonly string[]): TextStream => ({
  stats,
  dropped: 0,
  async *[Symbol.asyncIterator]() {
    yield* parts;
  },
  whole() {
    throw new Error('not used');
  },
});

/** A model that answers with what it was asked, and counts how often it was given back. */
export class FakeModel implements Model {
  disposed = 0;
  readonly asked: { messages: readonly Message[]; options: ChatOptions | undefined }[] = [];
  readonly info = {
    name: 'fake',
    family: 'llama',
    parameters: 1,
    layers: 1,
    contextLength: 8,
    trainedContextLength: 8,
    sampling: {},
    weightBytes: 1,
    prefixBytes: 1,
    format: 'GGUF F32',
  };
  readonly hasTokenizer = false;
  get tokenizer(): never {
    throw new Error('not used');
  }
  ask(): never {
    throw new Error('not used');
  }
  session(): never {
    throw new Error('not used');
  }
  render(): never {
    throw new Error('not used');
  }
  chat(messages: readonly Message[], options?: ChatOptions): TextStream {
    this.asked.push({ messages: [...messages], options });
    return textStream(['You said ', String(messages.at(-1)?.content ?? ''), '\u001b[31m!']);
  }
  complete(text: string): TextStream {
    return textStream([text, ' and so on']);
  }
  generate(): never {
    throw new Error('not used');
  }
  logits(): never {
    throw new Error('not used');
  }
  logprobs(): never {
    throw new Error('not used');
  }
  embed(): never {
    throw new Error('not used');
  }
  status(): never {
    throw new Error('not used');
  }
  perplexity: Model['perplexity'] = async (text, options) => {
    options?.onProgress?.({ tokensDone: 4, tokensTotal: 4 });
    const against = { perplexity: 10, meanKl: 0.25, topAgreement: 0.75 };
    return { perplexity: text.length, tokens: 4, ms: 2, ...(options?.against ? { against } : {}) };
  };
  tune: Model['tune'] = async () => ({
    results: [{ key: 'linear_row q4', candidate: 'dot', ratio: 0.5, ns: { dot: 10 } }],
    path: '/cache/gpu.json',
  });
  modules(): never {
    throw new IngotError('unsupported', 'a scripted model has no modules');
  }
  recompile(): Promise<void> {
    return Promise.resolve();
  }
  profile() {
    return [];
  }
  dispose(): void {
    this.disposed++;
  }
  [Symbol.dispose](): void {
    this.dispose();
  }
  async [Symbol.asyncDispose](): Promise<void> {
    this.dispose();
  }
}

const details: ModelDetails = {
  name: 'fake',
  path: '/m/fake.gguf',
  kind: 'gguf',
  family: 'llama',
  unsupported: undefined,
  parameters: 134_515_008,
  layers: 30,
  hiddenSize: 576,
  vocabSize: 49152,
  contextLength: 8192,
  weightBytes: 98_000_000,
  kvToken: { f16: 23_040, q8: 12_240 },
  sequence: { tokens: 100_000, bytes: 2_304_000_000 },
  perToken: { weights: 106_000_000, bytes: 98_000_000 },
  formats: [{ name: 'Q4_1', tensors: 211, bytes: 98_000_000 }],
  tokenizer: undefined,
};

export const benchReport: BenchReport = {
  model: new FakeModel().info,
  device: 'cpu',
  cpu: {
    cpu: 'a CPU',
    threads: 2,
    levels: [{ name: 'avx2', status: 'in use' }],
    bandwidthGBs: 20,
    int8Tops: 1,
    bf16Tflops: 0,
    f32Tflops: 0.1,
    memory: { totalBytes: 8e9, freeBytes: 4e9 },
  },
  perToken: { weights: 100e6, bytes: 80e6 },
  promptTokens: 16,
  decodeTokens: 4,
  runs: 3,
  prefill: { median: 1000, min: 900, max: 1100, limit: 5000 },
  decode: { median: 100, min: 90, max: 110, limit: 250 },
};

const side = (label: string) => ({
  label,
  model: 'fake',
  family: 'llama',
  format: 'GGUF F32',
  device: 'a CPU',
  deviceClass: 'cpu avx2',
  precision: 'fast',
  patterns: [],
  patternCounts: {},
  dispatches: 9,
});
const speed = (median: number) => ({ median, min: median, max: median });
const speeds = { reference: speed(10), other: speed(12), ratio: speed(1.2) };
export const capsule: Capsule = {
  capsule: 1,
  ingot: '1.2.3',
  node: 'v20',
  date: '2026-01-01T00:00:00.000Z',
  machine: { platform: 'linux x64', cpu: 'a CPU', cores: 2, memoryBytes: 8e9 },
  reference: side('patterns=none'),
  other: side('fused'),
  prompts: [{ promptTokens: 3, tokens: 4, equal: 2, margin: 0.25 }],
  runs: 2,
  logits: undefined,
  decode: speeds,
  prefill: speeds,
  memory: { referenceBytes: 1, otherBytes: 1, shared: true, processBytes: 2 },
  promises: [{ what: 'every token is the same', held: false, found: '1 of 1 prompts go apart' }],
  passed: false,
};

export const outlook: ModelOutlook = {
  model: 'moe',
  place: 'https://hub/moe.gguf',
  weightBytes: 5e9,
  denseBytes: 0.5e9,
  cycleBytes: 0.6e9,
  division: {
    streamed: true,
    limit: 2e9,
    dense: 0.5e9,
    experts: 1e9,
    allExperts: 4.5e9,
    cycle: 0.6e9,
    kv: 0.25e9,
    prefix: 0.1e9,
    kvToken: 20_480,
    working: 0.2e9,
  },
  problem: undefined,
  contextLength: 4096,
  memoryBandwidth: 30e9,
  diskBandwidth: 2e9,
  statistics: undefined,
  measuredMisses: false,
  speed: { missRate: 0.8, disk: 4.1667, memory: 25, ceiling: 4.1667, expected: 3.5 },
};

/** New for each test: a folder, the model that is loaded, what was loaded so far, and what Ctrl-C does. */
export let folder: string;
export let model: FakeModel;
export let loads: { name: string; options: LoadOptions | undefined }[];
export let controller: AbortController;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ingot-cli-'));
  model = new FakeModel();
  loads = [];
  controller = new AbortController();
  process.exitCode = undefined;
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** What was chosen where bits were spent. */
const choices = [0, 1, 2, 4, 5].map((layer) => ({
  name: `model.layers.${layer}.mlp.up_proj.weight`,
  format: layer === 4 ? 'q6_k' : 'q4_k',
  kl: 0,
}));

interface Run {
  readonly stdin?: string | undefined;
  readonly tty?: boolean;
  readonly columns?: number;
  readonly engine?: Partial<Engine>;
}

/** Runs the command line with `args` in this process; exit code and what was written. */
export async function cli(
  args: readonly string[],
  { stdin = '', tty = false, columns = 80, engine = {} }: Run = {},
) {
  const written = { out: '', err: '' };
  const output = (key: 'out' | 'err') => ({
    write: (text: string) => {
      written[key] += text;
    },
    isTTY: tty,
    columns,
  });
  const input: NodeJS.ReadableStream & { isTTY?: boolean } = new PassThrough().end(stdin);
  const context: Context = {
    stdout: output('out'),
    stderr: output('err'),
    stdin: input,
    env: readEnv({
      HOME: folder,
      HF_HOME: join(folder, 'hf'),
      INGOT_CACHE: join(folder, 'cache'),
      INGOT_DATA: join(folder, 'data'),
    }),
    signal: controller.signal,
    version: '1.2.3',
    engine: {
      load: async (name, options) => {
        loads.push({ name, options });
        options?.onNotice?.('a notice');
        return model;
      },
      resolve: async (name) => `/cache/${name}`,
      inspect: async () => details,
      bench: async () => benchReport,
      routingStatistics: async (name, { text }) => ({
        path: `/m/${name}.routing.json`,
        tokens: text?.length ?? 1000,
        layers: [
          {
            name: 'model.layers.0',
            experts: 32,
            unused: 3,
            busiest10: 0.25,
            busiest20: 0.5,
            busiest50: 0.875,
          },
        ],
      }),
      outlook: async (name) => ({ ...outlook, model: name }),
      validate: async () => capsule,
      pack: async (_, { output: path }) => ({ path: path ?? 'x.ingot', bytes: 1_500_000 }),
      convert: async (_, { to, output: path, groupSize = 64, bitsPerWeight }) => ({
        path: path ?? `m-${to}`,
        bytes: 1_500_000,
        bitsPerWeight: 4 + 32 / groupSize,
        formats: { [to]: 7 },
        ...(bitsPerWeight === undefined ? {} : { choices }),
      }),
      serve: async () => {
        throw new IngotError('device_failed', 'no server here');
      },
      cpuReport: async () => {
        throw new IngotError('device_failed', 'no addon');
      },
      listGpus: async () => ({ gpus: [], problem: 'none' }),
      ...engine,
    },
  };
  return { code: await runCli(args, context), ...written };
}
