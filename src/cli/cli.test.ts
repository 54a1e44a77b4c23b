import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readEnv } from '../base/env.ts';
import { IngotError } from '../base/errors.ts';
import type { Message } from '../chat/messages.ts';
import type { BenchOptions, BenchReport } from '../engine/bench.ts';
import type { ModelDetails } from '../engine/inspect.ts';
import type { ModelOutlook } from '../engine/outlook.ts';
import type { ChatOptions, GenerateStats, LoadOptions, Model, TextStream } from '../engine/types.ts';
import type { ValidateOptions } from '../engine/validate.ts';
import type { Capsule } from '../patch/capsule.ts';
import { type Context, type Engine, Interrupt } from './context.ts';
import { runCli } from './run-cli.ts';

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
class FakeModel implements Model {
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

const benchReport: BenchReport = {
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
const capsule: Capsule = {
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

const outlook: ModelOutlook = {
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

let folder: string;
let model: FakeModel;
let loads: { name: string; options: LoadOptions | undefined }[];
let controller: AbortController;

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

async function cli(
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

describe('run', () => {
  test('streams an answer to the words of the prompt and gives the model back', async () => {
    const result = await cli([
      'run',
      'm',
      'Why',
      'me?',
      '--temperature',
      '0.5',
      '--stop',
      'a\\n',
      '--stop',
      'b',
    ]);
    expect(result).toMatchObject({ code: 0, out: 'You said Why me?\u001b[31m!\n', err: 'a notice\n' });
    expect(model.disposed).toBe(1);
    expect(model.asked[0]?.options).toMatchObject({ temperature: 0.5, stop: ['a\n', 'b'] });
  });

  test('control characters of a model do not reach a terminal', async () => {
    const result = await cli(['run', 'm', 'x'], { tty: true });
    expect(result.out).toBe('You said x[31m!\n');
  });

  test('takes the prompt from stdin, and refuses an empty one', async () => {
    expect((await cli(['run', 'm'], { stdin: 'from a pipe' })).out).toContain('from a pipe');
    expect(await cli(['run', 'm'], { stdin: ' \n' })).toMatchObject({
      code: 1,
      err: expect.stringContaining('the prompt is empty'),
    });
  });

  test('--json prints one document with numbers', async () => {
    const { out } = await cli(['run', 'm', 'x', '--json', '--raw']);
    expect(JSON.parse(out)).toEqual({
      model: 'fake',
      text: 'x and so on',
      stats: {
        promptTokens: 5,
        cachedTokens: 0,
        generatedTokens: 3,
        prefillMs: 10,
        decodeMs: 20,
        tokensPerSecond: 150,
        stopReason: 'eos',
      },
    });
  });

  test('model options reach the engine, sizes in bytes', async () => {
    await cli([
      'run',
      'm',
      'x',
      '--device',
      'js',
      '--precision',
      'exact',
      '--memory-limit',
      '1.5GiB',
      '--threads',
      '2',
    ]);
    expect(loads[0]).toMatchObject({
      name: 'm',
      options: { device: 'js', precision: 'exact', memoryLimit: 1.5 * 2 ** 30, threads: 2 },
    });
  });

  test('--format holds the answer to a form, --think and --template reach the model', async () => {
    await cli(['run', 'm', 'x', '--format', 'json', '--no-think']);
    const file = join(folder, 'schema.json');
    await writeFile(file, '{"type": "integer"}');
    await cli(['run', 'm', 'x', '--format', file]);
    expect(model.asked.map(({ options }) => options)).toMatchObject([
      { responseFormat: { kind: 'json_object' }, thinking: false },
      { responseFormat: { kind: 'json_schema', schema: { type: 'integer' } } },
    ]);
    const template = join(folder, 't.jinja');
    await writeFile(template, '{{ messages[0].content }}');
    await cli(['run', 'm', 'x', '--template', template]);
    expect(loads.at(-1)).toMatchObject({ options: { chatTemplate: '{{ messages[0].content }}' } });
  });

  test('--stats goes to stderr', async () => {
    const { err } = await cli(['run', 'm', 'x', '--stats']);
    expect(err).toContain('3 tokens in 0.02 s (150 tokens/s), prompt 5 tokens in 0.01 s (500 tokens/s)');
  });
});

describe('chat from a pipe', () => {
  test('keeps the conversation, follows commands, and ends with the input', async () => {
    const stdin = 'one\n\ntwo\n/system Be kind\n"""\nthree\nlines\n"""\n/nonsense\n/reset\nfour\n';
    const { code, out } = await cli(['chat', 'm'], { stdin });
    expect(code).toBe(0);
    const asked = model.asked.map(({ messages, options }) => [
      messages.map((m) => m.content),
      options?.system,
    ]);
    expect(asked).toEqual([
      [['one'], undefined],
      [['one', 'You said one\u001b[31m!', 'two'], undefined],
      [['three\nlines'], 'Be kind'],
      [['four'], 'Be kind'],
    ]);
    expect(out).toContain('/nonsense is not a command');
    expect(model.disposed).toBe(1);
  });

  test('settings hold for the next answers, and a wrong one changes nothing', async () => {
    const lines = [
      '/set parameter temperature 0.25',
      '/set parameter temperature hot',
      '/set parameter stop "a b"',
      '/set system Be brief',
      '/set format json',
      '/set nothink',
      'one',
      '/set noformat',
      '/set quiet now',
      'two',
      '/set',
      '/bye',
      'three',
    ];
    const { code, out, err } = await cli(['chat', 'm', '--seed', '7'], { stdin: `${lines.join('\n')}\n` });
    expect(code).toBe(0);
    expect(model.asked.map(({ options }) => options)).toMatchObject([
      {
        temperature: 0.25,
        seed: 7,
        stop: ['a b'],
        system: 'Be brief',
        thinking: false,
        responseFormat: { kind: 'json_object' },
      },
      { temperature: 0.25, responseFormat: undefined },
    ]);
    expect(err).toContain('temperature must be a number, got "hot"');
    expect(err).toContain('/set quiet takes no value');
    expect(out).toContain('nowordwrap');
  });

  test('/save keeps a conversation, /load goes on with it, num_ctx loads anew', async () => {
    const saving = 'one\n/set system Be kind\n/save kept\n/show modelfile\n';
    const { out } = await cli(['chat', 'm', '--temperature', '0'], { stdin: saving });
    expect(out).toContain('FROM m\nSYSTEM """Be kind"""\nPARAMETER temperature 0\nMESSAGE user """one"""');
    loads = [];
    await cli(['chat', 'other'], {
      stdin: '/load kept\n/set parameter num_ctx 64\ntwo\n/clear\nthree\n',
    });
    expect(loads.map(({ name, options }) => [name, options?.contextLength])).toEqual([
      ['other', undefined],
      ['kept', undefined],
      ['kept', 64],
    ]);
    expect(model.asked.slice(1).map(({ messages }) => messages.map(({ content }) => content))).toEqual([
      ['one', 'You said one\u001b[31m!', 'two'],
      ['three'],
    ]);
    expect(model.disposed).toBe(4);
  });

  test('an error of one answer is shown and the talk goes on', async () => {
    const answer = model.chat.bind(model);
    model.chat = (messages, options) => {
      if (messages.at(-1)?.content === 'bad') throw new IngotError('context_overflow', 'too long');
      return answer(messages, options);
    };
    const { code, err } = await cli(['chat', 'm'], { stdin: 'bad\ngood\n' });
    expect([code, err]).toEqual([0, 'a notice\n\nerror: too long\n']);
    expect(model.asked[0]?.messages.map((m) => m.content)).toEqual(['good']);
  });
});

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

describe('models larger than memory', () => {
  test('doctor says how one would run, and why one would not', async () => {
    const { out } = await cli(['doctor', 'moe', '--memory', '2GB']);
    expect(out).toMatch(/runs here +yes, experts read from disk/);
    expect(out).toMatch(/dense weights 500 MB, experts 1(\.0+)? GB of 4\.50? GB \(one token uses 600 MB\)/);
    expect(out).toMatch(/misses +80 % of a token's experts are read/);
    expect(out).toMatch(/at most +4.17 tokens\/s/);
    expect(out).toMatch(/expected +3.5 tokens\/s/);
    const none = { division: undefined, problem: 'needs 3 GB', speed: undefined };
    const refused = await cli(['doctor', 'moe'], {
      engine: { outlook: async () => ({ ...outlook, ...none }) },
    });
    expect(refused.out).toMatch(/runs here +no\nwhy not +needs 3 GB/);
    expect((await cli(['doctor', '--memory', '2GB'])).err).toContain('needs a model');
    expect((await cli(['doctor', 'moe', '--device', 'js'])).err).toContain('cpu, webgpu, webgpu:N');
  });

  test('stats tells the skew of each layer, and counts a text', async () => {
    const { out } = await cli(['stats', 'moe']);
    expect(out).toContain('/m/moe.routing.json: 1,000 tokens');
    expect(out).toMatch(/model\.layers\.0 +32 +3 +25\.0 % +50\.0 % +87\.5 %/);
    await writeFile(join(folder, 'text'), 'five!');
    expect((await cli(['stats', 'moe', '--text', join(folder, 'text')])).out).toContain(': 5 tokens');
    expect((await cli(['stats', 'moe', '--text', join(folder, 'none')])).err).toContain('cannot be read');
  });

  test('budgets and hot shares reach the loader', async () => {
    await cli(['run', 'm', 'x', '--memory', '4GB', '--expert-bytes', '1GB', '--hot', '20%']);
    expect(loads[0]?.options).toMatchObject({ memoryLimit: 4e9, experts: { bytes: 1e9, hot: 0.2 } });
    expect((await cli(['run', 'm', 'x', '--hot', '120%'])).err).toContain('a share such as 20%');
    await cli(['run', 'm', 'x', '--prefer-resident', '30%', '--drop-misses', '5%']);
    expect(loads.at(-1)?.options?.experts).toMatchObject({ preferResident: 0.3, dropMisses: 0.05 });
  });
});

describe('doctor --gpu', () => {
  test('shows each GPU with its number and speeds, and what is missing', async () => {
    const list = {
      gpus: [
        {
          description: 'google swiftshader',
          features: ['subgroups'],
          limits: { maxBufferSize: 1024 },
          copyGBs: 5.4,
          dispatchUs: 12.345,
          roundTripMs: 0.5,
          matrixTflops: undefined,
          software: true,
        },
      ],
      problem: 'no GPU',
    };
    const { out } = await cli(['doctor', '--gpu'], { engine: { listGpus: async () => list } });
    expect(out).toMatch(/webgpu:0 +google swiftshader \(software/);
    expect(out).toMatch(/dispatch +12\.35 us\n/);
    expect(out).toMatch(/maxBufferSize +1024/);
    expect(out).toMatch(/missing +no GPU/);
  });
});

describe('validate', () => {
  let asked: ValidateOptions | undefined;
  const engine = (passed: boolean) => ({
    validate: async (_: string, options: ValidateOptions) => {
      asked = options;
      options.onPrompts?.(1, 2);
      return { ...capsule, passed };
    },
  });
  afterEach(() => {
    process.exitCode = undefined;
  });

  test('shows what was found, and fails where a promise was broken', async () => {
    await writeFile(join(folder, 'prompts.txt'), 'one\n\ntwo\n');
    const args = ['validate', 'm', '--tokens', '4', '--prompts', join(folder, 'prompts.txt')];
    const { code, out, err } = await cli([...args, '--patterns=-rope_kv', '--against', 'device=js'], {
      engine: engine(false),
    });
    expect(code).toBe(1);
    expect(out).toMatch(/decode, tokens\/s +10 +12 +1\.2\n/);
    expect(out).toContain(
      'tokens: 0 of 1 prompts the same to the end\nBROKEN  every token is the same: 1 of 1',
    );
    expect(err).toContain('Comparing: 50 %, 1 of 2');
    expect(asked).toMatchObject({
      tokens: 4,
      prompts: ['one', 'two'],
      against: 'device=js',
      patterns: { rope_kv: false },
      version: '1.2.3',
    });
    process.exitCode = undefined;
    expect((await cli(['validate', 'm'], { engine: engine(true) })).code).toBe(0);
  });

  test('what was saved is rendered later', async () => {
    const file = join(folder, 'c.json');
    const { out } = await cli(['validate', 'm', '--json', '--save', file], { engine: engine(true) });
    expect(JSON.parse(out)).toMatchObject({ capsule: 1, passed: true });
    const rendered = await cli(['validate', '--report', file]);
    expect(rendered).toMatchObject({ code: 0, out: `${join(folder, 'c.md')}\n${join(folder, 'c.svg')}\n` });
    expect(await readFile(join(folder, 'c.md'), 'utf8')).toContain('![speeds and tokens](c.svg)');
    expect(await readFile(join(folder, 'c.svg'), 'utf8')).toMatch(/^<svg /);
  });

  test('errors say what to do', async () => {
    expect((await cli(['validate'])).err).toContain('say which model to validate, or give --report <file>');
    const patterns = await cli(['validate', 'm', '--patterns', 'rope']);
    expect(patterns).toMatchObject({ code: 1, err: expect.stringContaining('there is no pattern "rope"') });
    expect((await cli(['validate', '--report', join(folder, 'none.json')])).err).toContain(
      'none.json cannot be read',
    );
  });
});

describe('tune', () => {
  test('shows what was kept, and where', async () => {
    const { out } = await cli(['tune', 'm']);
    expect(out).toMatch(/linear_row q4 +dot +50 %\nkept in \/cache\/gpu\.json/);
    expect(loads.at(-1)).toMatchObject({ options: { device: 'webgpu' } });
  });
});

describe('wrong use and failures', () => {
  test.each([
    [['run'], /missing required argument 'model'/],
    [['run', 'm', 'x', '--temprature', '1'], /unknown option '--temprature'[\s\S]*--help shows the options/],
    [['run', 'm', 'x', '--top-k', 'many'], /It must be a whole number/],
    [['run', 'm', 'x', '--memory-limit', 'lots'], /such as 4GB/],
    [['run', 'm', 'x', '--device', 'gpu9'], /Allowed choices are auto, cpu, webgpu, webgpu:N, js/],
    [['eval', 'm'], /required option '--text <file>'/],
    [['serve', '--port', '99999'], /'99999' is invalid. It must be a port, from 0 to 65535/],
    [['stop', '--port', '70000'], /It must be a port/],
    [['run', 'm', 'x', '--raw', '--system', 'y'], /--system: a raw prompt has no messages around it/],
    [['run', 'm', 'x', '--logprobs', '2'], /--logprobs: are printed with --json only/],
    [['run', 'm', 'x', '--threads', '2', '--device', 'webgpu'], /--threads means nothing to --device webgpu/],
    [['run', 'm', 'x', '--format', '{"type": 3'], /the schema is not JSON/],
    [
      ['run', 'm', 'x', '--format', 'none.json'],
      /none.json cannot be read: .*a format is "json", a JSON Schema/,
    ],
    [['chat', 'm', '--template', 'none.jinja'], /none.jinja cannot be read/],
    [['serve', '--no-preload'], /--no-preload: no model is named here/],
    [['stop', 'm', '--all'], /--all: a model is let go by every server/],
    [['launch', 'vim', 'm'], /Allowed choices are claude, codex, opencode/],
    [['show', 'm', '--system', '--json'], /say one of --modelfile/],
    [['embed', 'm'], /there is no text/],
    [['create', 'x', '-f', 'none'], /none cannot be read/],
    [['fly'], /unknown command 'fly'/],
  ])('%j', async (args, message) => {
    expect(await cli(args)).toMatchObject({ code: 1, out: '', err: expect.stringMatching(message) });
  });

  test('help and version end well', async () => {
    expect(await cli(['--version'])).toEqual({ code: 0, out: '1.2.3\n', err: '' });
    expect((await cli([])).out).toContain('Commands:');
    expect((await cli(['run', '--help'])).out).toContain('--max-tokens');
  });

  test('an error is one line; a bug comes with its stack', async () => {
    const fail = (error: Error) => ({ engine: { resolve: () => Promise.reject(error) } });
    expect(await cli(['pull', 'x'], fail(new IngotError('disk_full', 'no room')))).toEqual({
      code: 1,
      out: '',
      err: 'error: no room\n',
    });
    const denied = Object.assign(new Error("EACCES: permission denied, mkdir '/x'"), { syscall: 'mkdir' });
    expect((await cli(['pull', 'x'], fail(denied))).err).toBe(
      "error: EACCES: permission denied, mkdir '/x'\n",
    );
    expect((await cli(['pull', 'x'], fail(new TypeError('oops')))).err).toMatch(
      /error: oops\nThis is a bug.*\n.*at /s,
    );
  });

  test('a process that is asked to end says so as shells do', async () => {
    model.chat = () => {
      controller.abort(new Interrupt('SIGTERM'));
      throw controller.signal.reason;
    };
    expect(await cli(['run', 'm', 'x'])).toMatchObject({ code: 143 });
  });

  test('help is as wide as the terminal', async () => {
    const { out } = await cli(['serve', '--help'], { tty: true, columns: 60 });
    expect(Math.max(...out.split('\n').map((line) => line.length))).toBeLessThanOrEqual(60);
  });

  test('Ctrl-C is no error, and the model is given back', async () => {
    model.chat = () => {
      controller.abort();
      throw controller.signal.reason;
    };
    expect(await cli(['run', 'm', 'x'])).toEqual({ code: 130, out: '', err: 'a notice\n\ninterrupted\n' });
    expect(model.disposed).toBe(1);
  });
});
