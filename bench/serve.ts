// `npm run bench -- serve [MODEL]`: a server of its own process under load, over HTTP as clients see it. Many streams at
// once, the event loop meanwhile, the second turn of a long chat, and what a hundred aborted requests leave behind.

import { setTimeout as sleep } from 'node:timers/promises';
import { significant, summarize } from '../src/base/statistics.ts';
import { processCpuSeconds, watchOthers } from './machine.ts';
import { type StreamResult, streamChat } from './serve-client.ts';
import { gauge, type ServeProcess, startServe } from './serve-process.ts';

interface ServeResult {
  /** One stream alone, tokens per second. */
  readonly tokensPerSecond1: number;
  readonly tokensPerSecond16: number;
  /** 16 streams together / one alone, prompts included. */
  readonly ratio16: number;
  /** The same while all 16 are answered: from the last one's first token to the first one's end. */
  readonly decodeRatio16: number;
  readonly streams64: {
    readonly errors: number;
    readonly tokensPerSecond: number;
    readonly firstTokenMs: number;
    readonly eventLoopDelayP99Ms: number;
  };
  readonly secondTurn: {
    readonly promptTokens: number;
    readonly firstMs: number;
    readonly secondMs: number;
    readonly ratio: number;
  };
  readonly abort: { readonly requests: number; readonly freedMs: number; readonly kvBytesUsed: number };
  readonly runs: number;
  readonly otherCpus: number;
}

const TOKENS = 96;
const words =
  'river stone cloud paper metal garden window music engine winter forest bridge candle mirror'.split(' ');
const prompt = (seed: number, length: number): string =>
  Array.from({ length }, (_, i) => words[(seed * 31 + i * 7 + ((i * seed) % 5)) % words.length]).join(' ');

interface Bench extends ServeProcess {
  readonly model: string;
  readonly log: (line: string) => void;
}

/** Runs all phases and returns the record. `root` is the package's folder with a built `dist`. */
export async function benchServe(
  root: string,
  model: string,
  { runs, log }: { readonly runs: number; readonly log: (line: string) => void },
): Promise<ServeResult> {
  const server = await startServe(root, model);
  const bench: Bench = { ...server, model, log };
  try {
    await many(bench, 1, -1); // loads, warms up
    const watch = watchOthers(() => processCpuSeconds(process.pid) + processCpuSeconds(server.pid));
    const [alone, sixteen]: [number[], number[]] = [[], []];
    const [decodeAlone, decodeSixteen]: [number[], number[]] = [[], []];
    for (let run = 0; run < runs; run++) {
      const one = await many(bench, 1, 1000 + run);
      const batch = await many(bench, 16, 2000 + run * 16);
      alone.push(rate(one));
      sixteen.push(rate(batch));
      decodeAlone.push(decodeRate(one));
      decodeSixteen.push(decodeRate(batch));
      log(
        `  ${run}: 1 stream ${significant(alone.at(-1) ?? 0)}, 16 streams ${significant(sixteen.at(-1) ?? 0)} tok/s`,
      );
    }
    const [one, many16] = [summarize(alone).median, summarize(sixteen).median];
    return {
      tokensPerSecond1: significant(one),
      tokensPerSecond16: significant(many16),
      ratio16: significant(many16 / one, 3),
      decodeRatio16: significant(summarize(decodeSixteen).median / summarize(decodeAlone).median, 3),
      streams64: await sixtyFour(bench),
      secondTurn: await secondTurn(bench, runs),
      abort: await abortMany(bench),
      runs,
      otherCpus: significant(watch.stop(), 2),
    };
  } finally {
    await server.stop();
  }
}

interface Load {
  readonly streams: readonly StreamResult[];
  readonly ms: number;
}

async function many({ url, model }: Bench, count: number, seed: number): Promise<Load> {
  const start = performance.now();
  const streams = await Promise.all(
    Array.from({ length: count }, (_, i) =>
      streamChat(url, model, [{ role: 'user', content: prompt(seed + i, 30) }], { maxTokens: TOKENS }),
    ),
  );
  return { streams, ms: performance.now() - start };
}

const tokensOf = (streams: readonly StreamResult[]): number =>
  streams.reduce((n, { tokens }) => n + tokens, 0);
const rate = ({ streams, ms }: Load): number => (1000 * tokensOf(streams)) / ms;

/** Pieces per second while all streams are answered. */
function decodeRate({ streams }: Load): number {
  const from = Math.max(...streams.map(({ pieces }) => pieces[0] ?? Number.NaN));
  const to = Math.min(...streams.map(({ pieces }) => pieces.at(-1) ?? Number.NaN));
  const inside = streams.flatMap(({ pieces }) => pieces.filter((at) => at > from && at <= to));
  return (1000 * inside.length) / (to - from);
}

async function sixtyFour(bench: Bench): Promise<ServeResult['streams64']> {
  await metric(bench, 'event_loop_delay_p99_seconds'); // reading it starts it anew
  const load = await many(bench, 64, 5000);
  const delay = await metric(bench, 'event_loop_delay_p99_seconds');
  const firsts = load.streams.flatMap(({ firstTokenMs }) =>
    firstTokenMs === undefined ? [] : [firstTokenMs],
  );
  const errors = load.streams.filter(({ error }) => error !== undefined);
  const result = {
    errors: errors.length,
    tokensPerSecond: significant(rate(load)),
    firstTokenMs: significant(firsts.length > 0 ? summarize(firsts).median : Number.NaN, 3),
    eventLoopDelayP99Ms: significant(delay * 1000, 3),
  };
  bench.log(`  64 streams: ${JSON.stringify(result)}${errors[0] ? ` (${errors[0].error})` : ''}`);
  return result;
}

/** A chat of about 4,000 tokens, and the same with its answer and one more question. New words in each run. */
async function secondTurn(bench: Bench, runs: number): Promise<ServeResult['secondTurn']> {
  const times: { first: number; second: number; promptTokens: number }[] = [];
  for (let run = 0; run < runs; run++) {
    const opening = { role: 'user', content: `${run} ${prompt(9000 + run, 3940)}` };
    const first = await streamChat(bench.url, bench.model, [opening], { maxTokens: 16 });
    const more = [
      opening,
      { role: 'assistant', content: first.text },
      { role: 'user', content: 'And then?' },
    ];
    const second = await streamChat(bench.url, bench.model, more, { maxTokens: 16 });
    if (first.firstTokenMs === undefined || second.firstTokenMs === undefined) {
      throw new Error(`second turn: ${first.error ?? second.error ?? 'no token came'}`);
    }
    times.push({ first: first.firstTokenMs, second: second.firstTokenMs, promptTokens: second.promptTokens });
  }
  const first = summarize(times.map((each) => each.first)).median;
  const second = summarize(times.map((each) => each.second)).median;
  const result = {
    promptTokens: times[0]?.promptTokens ?? 0,
    firstMs: significant(first, 3),
    secondMs: significant(second, 3),
    ratio: significant(first / second, 3),
  };
  bench.log(`  second turn: ${JSON.stringify(result)}`);
  return result;
}

const ABORTS = 100;

async function abortMany(bench: Bench): Promise<ServeResult['abort']> {
  const controller = new AbortController();
  const options = { maxTokens: 2000, signal: controller.signal };
  const streams = Array.from({ length: ABORTS }, (_, i) =>
    streamChat(bench.url, bench.model, [{ role: 'user', content: prompt(7000 + i, 200) }], options),
  );
  await sleep(1500);
  const start = performance.now();
  controller.abort();
  await Promise.all(streams);
  while ((await metric(bench, 'answers_active')) + (await metric(bench, 'sequences_running')) > 0) {
    if (performance.now() - start > 60_000) throw new Error('aborted requests still run after a minute');
    await sleep(10);
  }
  const result = {
    requests: ABORTS,
    freedMs: significant(performance.now() - start, 3),
    kvBytesUsed: await metric(bench, 'kv_bytes_used'),
  };
  bench.log(`  abort: ${JSON.stringify(result)}`);
  return result;
}

const metric = async (bench: Bench, name: string): Promise<number> =>
  gauge(await bench.gauges(), `ingot_${name}`);
