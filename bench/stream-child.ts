// The process that `stream` measures, inside its memory: loads the model as a user does, and answers.

import { readFileSync } from 'node:fs';
import { load } from '../src/engine/load.ts';
import { timeTokens } from '../src/generate/timing.ts';

export interface StreamRequest {
  readonly path: string;
  readonly memoryLimit: number;
  readonly threads: number;
  readonly contextLength: number;
  readonly prompts: readonly (readonly number[])[];
  readonly decode: number;
}

/** Of one answer; the counters are those of its decode. */
export interface StreamRun {
  readonly firstTokenMs: number;
  readonly tokenMs: readonly number[];
  readonly requests: number;
  readonly hits: number;
  readonly bytesRead: number;
  readonly busyNs: number;
}

export interface StreamReply {
  readonly runs: readonly StreamRun[];
  /** Bytes of memory for experts, and of everything by the plan. */
  readonly expertBytes: number;
  readonly streamed: boolean;
  readonly peakRss: number;
}

/** Peak resident memory of this process. */
const peakRss = (): number =>
  1024 * Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1] ?? 0);

export async function streamChild(request: StreamRequest): Promise<StreamReply> {
  const { path, memoryLimit, threads, contextLength, prompts, decode } = request;
  await using model = await load(path, {
    device: 'cpu',
    memoryLimit,
    threads,
    contextLength,
    maxSequences: 1,
    prefixBytes: 0,
  });
  const counters = () => {
    const experts = model.status().experts;
    return experts ?? { requests: 0, hits: 0, bytesRead: 0, busyNs: 0 };
  };
  const runs: StreamRun[] = [];
  for (const prompt of prompts) {
    let start = counters();
    let first = true;
    // Sampled: the best token of random weights repeats itself, and with it its experts.
    const sampled = { temperature: 1, topK: 0, topP: 1, seed: runs.length };
    const tokens = model.generate(prompt, { ...sampled, maxTokens: decode + 1, ignoreEos: true });
    const watched = async function* () {
      for await (const token of tokens) {
        if (first) start = counters();
        first = false;
        yield token;
      }
    };
    const times = await timeTokens(watched(), decode);
    const end = counters();
    const since = (name: keyof typeof start): number => Number(end[name]) - Number(start[name]);
    runs.push({
      ...times,
      requests: since('requests'),
      hits: since('hits'),
      bytesRead: since('bytesRead'),
      busyNs: since('busyNs'),
    });
  }
  return {
    runs,
    expertBytes: model.info.memory?.experts ?? 0,
    streamed: model.info.memory?.streamed ?? false,
    peakRss: peakRss(),
  };
}
