// `npm run bench -- soak [MINUTES]`: a server under a mixed load for an hour. What is asked for is whether its memory grows;
// the requests are checked, and the event loop is watched, meanwhile.

import { setPriority } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { significant, summarize } from '../src/base/statistics.ts';
import { gauge, type ServeProcess, startServe } from './serve-process.ts';
import { pickKind, type Random, randomFrom } from './soak-requests.ts';

/** Requests under way at a time, each followed by a pause of up to a second: the machine is to be busy, not full. */
const CLIENTS = 5;
const SAMPLE_SECONDS = 10;
/** Samples between lines of progress. */
const PROGRESS = 6;
/** The part of the run in which caches fill; growth is measured after it. */
const WARM_UP = 0.25;
/** KV cache and prefixes take a quarter of it: small enough to be full long before the warm-up ends. */
const MEMORY_LIMIT = '2GB';

interface Sample {
  readonly seconds: number;
  readonly rssMB: number;
  readonly heapMB: number;
  readonly kvUsedMB: number;
  readonly prefixMB: number;
  readonly delayMs: number;
}

const mb = (bytes: number): number => bytes / 1e6;

/** Runs until the time is over or `stop` is aborted, and returns the record of what was done until then. */
export async function benchSoak(
  root: string,
  model: string,
  {
    minutes,
    log,
    stop,
  }: {
    readonly minutes: number;
    readonly log: (line: string) => void;
    readonly stop: AbortSignal;
  },
): Promise<object> {
  const server = await startServe(root, model, ['--memory-limit', MEMORY_LIMIT]);
  const tally = new Tally();
  const samples: Sample[] = [];
  try {
    setPriority(0, 5); // the server comes first
    const start = performance.now();
    const seconds = (): number => (performance.now() - start) / 1000;
    // Not AbortSignal.any with AbortSignal.timeout: Node 20 forgets the timeout when it collects garbage.
    const ending = new AbortController();
    const over = ending.signal;
    stop.addEventListener('abort', () => ending.abort(), { once: true });
    const timer = setTimeout(() => ending.abort(), minutes * 60_000);
    const clients = Array.from({ length: CLIENTS }, (_, i) =>
      client({ ...server, model, random: randomFrom(i) }, tally, over),
    );
    while (await pause(SAMPLE_SECONDS * 1000, over)) {
      const sample = await takeSample(server, seconds());
      samples.push(sample);
      if (samples.length % PROGRESS === 0) log(progress(sample, tally, minutes));
    }
    clearTimeout(timer);
    await Promise.all(clients);
    const left = await server.gauges();
    return {
      minutes: significant(seconds() / 60, 3),
      clients: CLIENTS,
      requests: tally.requests,
      byKind: Object.fromEntries([...tally.byKind].sort()),
      errors: tally.errors.length,
      firstErrors: tally.errors.slice(0, 5),
      rssMB: quarters(samples, ({ rssMB }) => rssMB),
      heapMB: quarters(samples, ({ heapMB }) => heapMB),
      rssMBPerHour: significant(
        slopePerHour(samples, minutes, ({ rssMB }) => rssMB),
        3,
      ),
      heapMBPerHour: significant(
        slopePerHour(samples, minutes, ({ heapMB }) => heapMB),
        3,
      ),
      eventLoopDelayP99Ms: spread(samples.map(({ delayMs }) => delayMs)),
      kvUsedMB: spread(samples.map(({ kvUsedMB }) => kvUsedMB)),
      prefixMB: spread(samples.map(({ prefixMB }) => prefixMB)),
      /** When all clients are gone. */
      kvBytesUsedAtEnd: gauge(left, 'ingot_kv_bytes_used'),
      answersActiveAtEnd: gauge(left, 'ingot_answers_active'),
    };
  } finally {
    await server.stop();
  }
}

class Tally {
  requests = 0;
  readonly byKind = new Map<string, number>();
  readonly errors: string[] = [];

  done(kind: string): void {
    this.requests++;
    this.byKind.set(kind, (this.byKind.get(kind) ?? 0) + 1);
  }
}

async function client(
  soak: { readonly url: string; readonly model: string; readonly random: Random },
  tally: Tally,
  over: AbortSignal,
): Promise<void> {
  do {
    const kind = pickKind(soak.random);
    try {
      await kind.run(soak);
    } catch (error) {
      tally.errors.push(`${kind.name}: ${error instanceof Error ? error.message : String(error)}`);
    }
    tally.done(kind.name);
  } while (await pause(soak.random() * 1000, over));
}

/** False when it was over before the time was. */
const pause = async (ms: number, over: AbortSignal): Promise<boolean> => {
  await sleep(ms, undefined, { signal: over }).catch(() => undefined);
  return !over.aborted;
};

async function takeSample(server: ServeProcess, seconds: number): Promise<Sample> {
  const gauges = await server.gauges();
  return {
    seconds,
    rssMB: mb(gauge(gauges, 'process_resident_memory_bytes')),
    heapMB: mb(gauge(gauges, 'nodejs_heap_size_used_bytes')),
    kvUsedMB: mb(gauge(gauges, 'ingot_kv_bytes_used')),
    prefixMB: mb(gauge(gauges, 'ingot_prefix_bytes')),
    delayMs: gauge(gauges, 'ingot_event_loop_delay_p99_seconds') * 1000,
  };
}

function progress(
  { seconds, rssMB, heapMB, prefixMB, delayMs }: Sample,
  tally: Tally,
  minutes: number,
): string {
  const left = Math.max(0, minutes - seconds / 60).toFixed(0);
  const numbers = `RSS ${rssMB.toFixed(0)} MB, heap ${heapMB.toFixed(0)}, prefixes ${prefixMB.toFixed(0)}, event loop p99 ${delayMs.toFixed(1)} ms`;
  return `  ${(seconds / 60).toFixed(0)} min: ${tally.requests} requests, ${tally.errors.length} errors, ${numbers}; ${left} min left`;
}

function spread(values: readonly number[]): object | null {
  if (values.length === 0) return null;
  const { min, median, max } = summarize(values);
  return { min: significant(min), median: significant(median), max: significant(max) };
}

const quarters = (samples: readonly Sample[], of: (sample: Sample) => number): (object | null)[] =>
  [0, 1, 2, 3].map((i) =>
    spread(samples.slice((samples.length * i) / 4, (samples.length * (i + 1)) / 4).map(of)),
  );

/** Slope of the least squares line through what was measured after the warm-up. */
function slopePerHour(samples: readonly Sample[], minutes: number, of: (sample: Sample) => number): number {
  const after = samples.filter(({ seconds }) => seconds >= WARM_UP * minutes * 60);
  const mean = (values: readonly number[]): number => values.reduce((sum, x) => sum + x, 0) / values.length;
  const [t, y] = [mean(after.map(({ seconds }) => seconds)), mean(after.map(of))];
  const covariance = mean(after.map((sample) => (sample.seconds - t) * (of(sample) - y)));
  return (3600 * covariance) / mean(after.map(({ seconds }) => (seconds - t) ** 2));
}
