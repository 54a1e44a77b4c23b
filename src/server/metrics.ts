// Numbers for Prometheus. https://prometheus.io/docs/instrumenting/exposition_formats

import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Usage } from './job.ts';

/** Gauges that are read when somebody asks. */
export interface Gauges {
  readonly active: () => number;
  readonly models: () => readonly ModelGauges[];
}

export interface ModelGauges {
  readonly name: string;
  readonly bytes: number;
  readonly running: number;
  readonly queued: number;
  readonly kvBytes: number;
  readonly kvBytesUsed: number;
  readonly prefixHits: number;
  readonly prefixHitTokens: number;
  readonly prefixBytes: number;
  /** Of experts that are streamed; 0 where they are not. */
  readonly expertRequests: number;
  readonly expertHits: number;
  readonly expertBytesRead: number;
  readonly expertChoices: number;
  readonly expertSwapped: number;
  readonly expertDropped: number;
  readonly expertCeiling: number;
  readonly expertShareOfCeiling: number;
  /** Of a cache whose pages may be on disk; 0 where all are in memory. */
  readonly kvBytesSpilled: number;
  readonly kvBytesReadBack: number;
}

const seconds = {
  request: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300],
  firstToken: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
  token: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1],
  load: [0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120],
};

const DELAY_STEP_MS = 2;

const modelGauges: readonly (readonly [
  name: string,
  help: string,
  field: keyof Omit<ModelGauges, 'name'>,
])[] = [
  ['model_bytes', 'Bytes of weights and caches of a loaded model', 'bytes'],
  ['sequences_running', 'Sequences that are generated', 'running'],
  ['sequences_queued', 'Sequences that wait', 'queued'],
  ['kv_bytes', 'Bytes of the KV cache', 'kvBytes'],
  ['kv_bytes_used', 'Bytes of the KV cache in use', 'kvBytesUsed'],
  ['prefix_hits', 'Requests that found a beginning of their prompt in the cache', 'prefixHits'],
  ['prefix_hit_tokens', 'Prompt tokens found in the cache', 'prefixHitTokens'],
  ['prefix_bytes', 'Bytes kept for prompts to come', 'prefixBytes'],
  ['expert_requests', 'Experts that steps needed, of streamed models', 'expertRequests'],
  ['expert_hits', 'Experts that were in memory when they were needed', 'expertHits'],
  ['expert_bytes_read', 'Bytes of experts read from disk', 'expertBytesRead'],
  ['expert_choices', "Routers' choices that may give way to experts in memory", 'expertChoices'],
  ['expert_choices_swapped', 'Choices that an expert in memory took the place of', 'expertSwapped'],
  ['expert_choices_dropped', 'Choices that were left out', 'expertDropped'],
  ['expert_ceiling_tokens_per_second', 'What the disk allowed the last answer', 'expertCeiling'],
  ['expert_share_of_ceiling', 'Share of it that the last answer reached', 'expertShareOfCeiling'],
  ['kv_bytes_spilled', 'Bytes of a tiered KV cache written to disk', 'kvBytesSpilled'],
  ['kv_bytes_read_back', 'Bytes of a tiered KV cache read from disk', 'kvBytesReadBack'],
];

export class Metrics {
  readonly #registry = new Registry();
  readonly #requests = this.#counter('requests_total', 'Requests', ['route', 'status']);
  readonly #duration = this.#histogram('request_seconds', 'Time to answer', ['route'], seconds.request);
  readonly #firstToken = this.#histogram(
    'first_token_seconds',
    'Time to the first token',
    ['model'],
    seconds.firstToken,
  );
  readonly #token = this.#histogram('token_seconds', 'Time between tokens', ['model'], seconds.token);
  readonly #prompt = this.#counter('prompt_tokens_total', 'Tokens of prompts', ['model']);
  readonly #cached = this.#counter('cached_tokens_total', 'Tokens of prompts that were cached', ['model']);
  readonly #generated = this.#counter('generated_tokens_total', 'Tokens generated', ['model']);
  readonly #loads = this.#histogram('model_load_seconds', 'Time to load a model', ['model'], seconds.load);
  readonly #unloads = this.#counter('model_unloads_total', 'Models let go', ['model', 'why']);

  constructor(gauges: Gauges) {
    const registers = [this.#registry];
    new Gauge({
      name: 'ingot_answers_active',
      help: 'Answers in progress or waiting',
      registers,
      collect() {
        this.set(gauges.active());
      },
    });
    for (const [name, help, field] of modelGauges) {
      new Gauge({
        name: `ingot_${name}`,
        help,
        labelNames: ['model'],
        registers,
        collect() {
          this.reset();
          for (const model of gauges.models()) this.set({ model: model.name }, model[field]);
        },
      });
    }
  }

  /** Adds the process's own numbers: memory, CPU, delay of the event loop. The function ends the watching. */
  watchProcess(): () => void {
    collectDefaultMetrics({ register: this.#registry });
    const delays = monitorEventLoopDelay({ resolution: DELAY_STEP_MS });
    delays.enable();
    new Gauge({
      name: 'ingot_event_loop_delay_p99_seconds',
      help: 'How late the event loop was, since this was last read',
      registers: [this.#registry],
      collect() {
        // The delays are those of a timer, and contain its own time.
        this.set(Math.max(0, delays.percentile(99) / 1e9 - DELAY_STEP_MS / 1000));
        delays.reset();
      },
    });
    return () => void delays.disable();
  }

  request(route: string, status: number, ms: number): void {
    this.#requests.inc({ route, status });
    this.#duration.observe({ route }, ms / 1000);
  }
  firstToken(model: string, ms: number): void {
    this.#firstToken.observe({ model }, ms / 1000);
  }
  token(model: string, ms: number): void {
    this.#token.observe({ model }, ms / 1000);
  }
  answered(model: string, usage: Usage): void {
    this.#prompt.inc({ model }, usage.promptTokens);
    this.#cached.inc({ model }, usage.cachedTokens);
    this.#generated.inc({ model }, usage.generatedTokens);
  }
  embedded(model: string, promptTokens: number): void {
    this.#prompt.inc({ model }, promptTokens);
  }
  loaded(model: string, ms: number): void {
    this.#loads.observe({ model }, ms / 1000);
  }
  unloaded(model: string, why: string): void {
    this.#unloads.inc({ model, why });
  }

  async text(): Promise<{ readonly contentType: string; readonly body: string }> {
    return { contentType: this.#registry.contentType, body: await this.#registry.metrics() };
  }

  #counter<L extends string>(name: string, help: string, labelNames: readonly L[]): Counter<L> {
    return new Counter({ name: `ingot_${name}`, help, labelNames, registers: [this.#registry] });
  }

  #histogram<L extends string>(
    name: string,
    help: string,
    labelNames: readonly L[],
    buckets: number[],
  ): Histogram<L> {
    return new Histogram({ name: `ingot_${name}`, help, labelNames, buckets, registers: [this.#registry] });
  }
}
