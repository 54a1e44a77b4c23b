// Runs node-llama-cpp, on the CPU or on Vulkan, in a process of its own, driven by lines on stdin. It is installed into bench/peers on
// demand and is no dependency of the package, so its types are written down here as far as they are used.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { timeTokens } from '../../src/generate/timing.ts';
import type { PeerReply, PeerRequest, PeerSettings } from './protocol.ts';

interface Sequence {
  clearHistory(): Promise<void>;
  evaluate(
    tokens: readonly number[],
    options: { temperature: number; yieldEogToken: boolean },
  ): AsyncIterable<number>;
}
interface Context {
  getSequence(): Sequence;
  dispose(): Promise<void>;
}
interface Model {
  createContext(options: {
    contextSize: number;
    batchSize: number;
    sequences: number;
    threads: number;
    flashAttention: boolean | 'auto';
  }): Promise<Context>;
  dispose(): Promise<void>;
}
interface LlamaModule {
  getLlama(options: {
    gpu: false | 'vulkan';
    build: 'never';
    skipDownload: true;
    maxThreads: number;
    logLevel: string;
  }): Promise<{
    cpuMathCores: number;
    loadModel(options: { modelPath: string; gpuLayers: 0 | 'max' }): Promise<Model>;
  }>;
}

const folder = process.argv[2] ?? '.';
const packageFolder = join(folder, 'node_modules/node-llama-cpp');

let model: Model | undefined;
let context: Context | undefined;
let sequence: Sequence | undefined;
let contextSize = 1024;

async function open(path: string, contextLength: number, gpu: boolean): Promise<PeerReply> {
  const { version } = JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8')) as {
    version: string;
  };
  const { getLlama } = (await import(
    pathToFileURL(join(packageFolder, 'dist/index.js')).href
  )) as LlamaModule;
  // maxThreads 0: a context gets exactly the threads it asks for.
  const llama = await getLlama({
    gpu: gpu ? 'vulkan' : false,
    build: 'never',
    skipDownload: true,
    maxThreads: 0,
    logLevel: 'error',
  });
  model = await llama.loadModel({ modelPath: path, gpuLayers: gpu ? 'max' : 0 });
  contextSize = contextLength;
  return { ok: 'open', version, defaultThreads: Math.max(4, llama.cpuMathCores) };
}

async function configure(settings: PeerSettings): Promise<PeerReply> {
  if (!model) throw new Error('configure before open');
  await context?.dispose();
  context = await model.createContext({ contextSize, batchSize: 512, sequences: 1, ...settings });
  sequence = context.getSequence();
  return { ok: 'configure' };
}

async function handle(request: PeerRequest): Promise<PeerReply> {
  switch (request.op) {
    case 'open':
      return await open(request.path, request.contextLength, request.gpu);
    case 'configure':
      return await configure(request.settings);
    case 'run': {
      if (!sequence) throw new Error('run before configure');
      await sequence.clearHistory();
      const tokens = sequence.evaluate(request.prompt, { temperature: 0, yieldEogToken: true });
      return { ok: 'run', times: await timeTokens(tokens, request.decode) };
    }
    case 'close':
      await context?.dispose();
      await model?.dispose();
      return { ok: 'close' };
    default:
      return request satisfies never;
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line) as PeerRequest;
  let reply: PeerReply;
  try {
    reply = await handle(request);
  } catch (error) {
    reply = { error: error instanceof Error ? error.message : String(error) };
  }
  process.stdout.write(`${JSON.stringify(reply)}\n`);
  if (request.op === 'close') break;
}
process.exit(0);
