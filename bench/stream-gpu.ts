// A Mixture-of-Experts model of which a GPU holds a part: tokens per second with 25, 50 and 100 % of the experts there, against all of them
// resident, and whether tokens and logits are the same.

import { stat } from 'node:fs/promises';
import { significant, summarize } from '../src/base/statistics.ts';
import { formatBytes } from '../src/base/text.ts';
import type { DeviceName } from '../src/device/open.ts';
import { load } from '../src/engine/load.ts';
import { packModel } from '../src/engine/pack.ts';
import type { LoadOptions, Model } from '../src/engine/types.ts';
import { besidePath } from '../src/experts/beside.ts';
import { allExpertBytes } from '../src/experts/store.ts';
import { timeTokens } from '../src/generate/timing.ts';
import { modelCheckpoint } from '../src/models/files/translate.ts';
import { expertTensors } from '../src/weights/experts.ts';
import { openCheckpoint } from '../src/weights/open.ts';
import { randomPrompt } from './cases.ts';
import { modelFile } from './model-file.ts';
import type { BenchShape } from './shapes.ts';

export interface StreamGpuOptions {
  readonly shape: BenchShape;
  readonly runs: number;
  readonly device: DeviceName;
  readonly log: (line: string) => void;
}

const promptTokens = 64;
const decodeTokens = 32;

/** Settings in the order they run: the first says what is right. */
const settings = (allBytes: number): readonly (readonly [name: string, options: LoadOptions])[] => [
  ['resident', { experts: { residency: 'resident' }, patterns: { chains: false } }],
  ['resident, chains', { experts: { residency: 'resident' } }],
  ...[1, 0.5, 0.25].map((share) => {
    const bytes = Math.ceil(share * allBytes);
    const experts = { residency: 'streamed', bytes } as const;
    return [`${100 * share} % streamed`, { experts, patterns: { chains: false } }] as const;
  }),
];

export async function benchStreamGpu({ shape, runs, device, log }: StreamGpuOptions): Promise<object> {
  const path = await modelFile(shape);
  if ((await stat(besidePath(path)).catch(() => undefined)) === undefined) {
    log(`packing the experts of ${path} ...`);
    await packModel(path, { experts: true });
  }
  const checkpoint = await modelCheckpoint(openCheckpoint(path));
  const allBytes = allExpertBytes(expertTensors(checkpoint));
  await checkpoint.close();
  const prompts = Array.from({ length: runs + 1 }, (_, round) => randomPrompt(shape, promptTokens, round));
  let right: Answers | undefined;
  const rows: object[] = [];
  for (const [experts, options] of settings(allBytes)) {
    const model = await load(path, {
      ...options,
      device,
      contextLength: 512,
      maxSequences: 1,
      prefixBytes: 0,
      tune: false,
    });
    try {
      const answers = await measure(model, prompts);
      right ??= answers;
      const row = { experts, ...summary(answers), same: sameAnswers(answers, right) };
      log(JSON.stringify(row));
      rows.push(row);
    } finally {
      await model.dispose();
    }
  }
  return { case: 'stream-gpu', model: shape.name, expertBytes: formatBytes(allBytes), runs, rows };
}

interface Answers {
  readonly logits: Float32Array;
  readonly runs: readonly {
    readonly tokens: readonly number[];
    readonly firstTokenMs: number;
    readonly ms: number;
    readonly requests: number;
    readonly hits: number;
    readonly bytesRead: number;
    readonly waitMs: number;
  }[];
}

async function measure(model: Model, prompts: readonly (readonly number[])[]): Promise<Answers> {
  const counters = () => model.status().experts ?? { requests: 0, hits: 0, bytesRead: 0, waitNs: 0 };
  const answers: Answers['runs'][number][] = [];
  for (const [round, prompt] of prompts.entries()) {
    const tokens: number[] = [];
    let start = counters();
    // Sampled: the best token of random weights repeats itself, and with it its experts.
    const sampled = { temperature: 1, topK: 0, topP: 1, seed: round };
    const stream = model.generate(prompt, { ...sampled, maxTokens: decodeTokens + 1, ignoreEos: true });
    const watched = async function* () {
      for await (const token of stream) {
        if (tokens.push(token) === 1) start = counters();
        yield token;
      }
    };
    const { firstTokenMs, tokenMs } = await timeTokens(watched(), decodeTokens);
    const end = counters();
    answers.push({
      tokens,
      firstTokenMs,
      ms: tokenMs.reduce((sum, each) => sum + each, 0),
      requests: end.requests - start.requests,
      hits: end.hits - start.hits,
      bytesRead: end.bytesRead - start.bytesRead,
      waitMs: (end.waitNs - start.waitNs) / 1e6,
    });
  }
  return { logits: (await model.logits(prompts[0] ?? [])).data, runs: answers };
}

/** The first run warms up. */
function summary({ runs }: Answers) {
  const of = (pick: (run: Answers['runs'][number]) => number) => summarize(runs.slice(1).map(pick));
  const speed = of(({ ms }) => (1000 * decodeTokens) / ms);
  const median = (pick: (run: Answers['runs'][number]) => number): number => significant(of(pick).median, 3);
  return {
    tokensPerSecond: significant(speed.median),
    spread: { min: significant(speed.min), max: significant(speed.max) },
    firstTokenMs: median(({ firstTokenMs }) => firstTokenMs),
    hitRate: median(({ hits, requests }) => (requests === 0 ? 1 : hits / requests)),
    megabytesRead: median(({ bytesRead }) => bytesRead / decodeTokens / 1e6),
    waitMs: median(({ waitMs }) => waitMs / decodeTokens),
  };
}

function sameAnswers(a: Answers, b: Answers) {
  const tokens = a.runs.every((run, i) => run.tokens.join() === b.runs[i]?.tokens.join());
  return { tokens, logits: a.logits.every((x, i) => Object.is(x, b.logits[i])) };
}
