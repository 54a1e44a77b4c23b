// What the server does, whatever protocol asks: finds and loads the model, makes room, prepares, generates, counts.

import type { AnswerParser } from '../chat/answer.ts';
import type { Model } from '../engine/types.ts';
import type { TokenConstraint } from '../generate/constraint.ts';
import { encodeInSlices } from '../tokenizer/slices.ts';
import type { Admission } from './admission.ts';
import { Answering, type Prepared } from './answering.ts';
import { constraintOf, readyChat, tokenizerOf } from './backend.ts';
import { echoesOf } from './echo.ts';
import type { Caller, ChatJob, CompletionJob, EmbeddingJob, GenerationJob } from './job.ts';
import type { Library } from './library.ts';
import type { Metrics } from './metrics.ts';
import type { Lease, ModelPool } from './pool.ts';
import { RequestError } from './problem.ts';

export interface ServiceParts {
  readonly library: Library;
  readonly pool: ModelPool;
  readonly admission: Admission;
  readonly metrics: Metrics;
}

export interface Embeddings {
  readonly model: string;
  readonly vectors: readonly Float32Array[];
  readonly promptTokens: number;
  readonly times: { readonly loadMs: number; readonly computeMs: number };
}

const textParser = (): AnswerParser => ({
  push: (text) => [{ kind: 'text', text }],
  end: () => [],
});

export class Service {
  readonly #parts: ServiceParts;

  constructor(parts: ServiceParts) {
    this.#parts = parts;
  }

  /** Prepares answers to a chat; they are generated as they are read. Throws what is wrong with the request. */
  chat(job: ChatJob, caller: Caller): Promise<Answering> {
    return this.#answer(job, job.n, caller, async (lease, signal) => {
      const prepared = await readyChat(lease.model, job, signal);
      checkRoom(lease, prepared.prompt.length, 'messages');
      const constraints = await this.#constraints(job.n, () => prepared.constraint?.());
      const choices = constraints.map((constraint, i) => ({
        prompt: prepared.prompt,
        keep: prepared.keep,
        parser: prepared.parser(),
        constraint,
        continuation: job.prefill !== undefined,
        seed: seedOf(job, i),
      }));
      return { choices };
    });
  }

  /** Prepares continuations of texts: `n` of each prompt, numbered prompt by prompt. */
  complete(job: CompletionJob, caller: Caller): Promise<Answering> {
    const { prompts, n, responseFormat: format } = job;
    return this.#answer(job, prompts.length * n, caller, async (lease, signal) => {
      const { model } = lease;
      const encoded = await Promise.all(prompts.map((prompt) => encode(model, prompt, signal)));
      for (const prompt of encoded) checkRoom(lease, prompt.length, 'prompt');
      const echoes = await echoesOf(model, job, encoded, signal);
      const constraints = await this.#constraints(prompts.length * n, async () =>
        format === undefined ? undefined : constraintOf(model, format),
      );
      const choices = constraints.map((constraint, i) => ({
        prompt: encoded[Math.floor(i / n)] ?? [],
        keep: new Set<number>(),
        parser: textParser(),
        constraint,
        continuation: true,
        seed: seedOf(job, i % n),
      }));
      return { choices, echoes };
    });
  }

  async embed(job: EmbeddingJob, caller: Caller): Promise<Embeddings> {
    const leave = this.#parts.admission.enter(1);
    let lease: Lease | undefined;
    try {
      lease = await this.#lease(job.model, caller);
      const { model, name, loadMs } = lease;
      const start = performance.now();
      const vectors: Float32Array[] = [];
      let promptTokens = 0;
      for (const [i, input] of job.inputs.entries()) {
        const tokens = await encode(model, input, caller.signal);
        if (tokens.length === 0)
          throw new RequestError('invalid', `input[${i}]: is empty`, { param: `input[${i}]` });
        checkRoom(lease, tokens.length, `input[${i}]`);
        caller.signal.throwIfAborted();
        vectors.push(await model.embed(tokens, { signal: caller.signal }));
        promptTokens += tokens.length;
      }
      this.#parts.metrics.embedded(name, promptTokens);
      return { model: name, vectors, promptTokens, times: { loadMs, computeMs: performance.now() - start } };
    } finally {
      lease?.release();
      leave();
    }
  }

  /** Tokens of a chat's prompt. */
  async count(job: ChatJob, caller: Caller): Promise<number> {
    const lease = await this.#lease(job.model, caller);
    try {
      return (await readyChat(lease.model, job, caller.signal)).prompt.length;
    } finally {
      lease.release();
    }
  }

  /** Loads a model, or lets it go when `keepMs` is 0. */
  async touch(asked: string, caller: Caller): Promise<{ readonly loadMs: number }> {
    const source = await this.#parts.library.find(asked);
    if (caller.keepMs === 0) {
      this.#parts.pool.unload(source.name);
      return { loadMs: 0 };
    }
    const lease = await this.#parts.pool.acquire(source, caller.signal, caller.keepMs);
    lease.release();
    return { loadMs: lease.loadMs };
  }

  async #lease(asked: string | undefined, caller: Caller): Promise<Lease> {
    const { library, pool } = this.#parts;
    return pool.acquire(await library.find(asked), caller.signal, caller.keepMs);
  }

  async #answer(
    job: GenerationJob,
    count: number,
    caller: Caller,
    prepare: (lease: Lease, signal: AbortSignal) => Promise<Prepared>,
  ): Promise<Answering> {
    const leave = this.#parts.admission.enter(count);
    let lease: Lease | undefined;
    try {
      lease = await this.#lease(job.model, caller);
      const prepared = await prepare(lease, caller.signal);
      caller.signal.throwIfAborted();
      return new Answering({ job, lease, ...prepared, caller, leave, metrics: this.#parts.metrics });
    } catch (error) {
      lease?.release();
      leave();
      throw error;
    }
  }

  /** One constraint per answer: each is used up by its generation. */
  async #constraints(
    count: number,
    make: () => Promise<TokenConstraint | undefined> | undefined,
  ): Promise<readonly (TokenConstraint | undefined)[]> {
    const made: (TokenConstraint | undefined)[] = [];
    try {
      for (let i = 0; i < count; i++) made.push(await make());
      return made;
    } catch (error) {
      for (const constraint of made) constraint?.dispose();
      throw error;
    }
  }
}

/** Answers to one prompt differ, and are the same again with the same seed. */
const seedOf = ({ sampling: { seed } }: GenerationJob, choice: number): number | undefined =>
  seed === undefined ? undefined : (seed + choice) % 2 ** 32;

async function encode(
  model: Model,
  input: string | readonly number[],
  signal: AbortSignal,
): Promise<readonly number[]> {
  return typeof input === 'string' ? encodeInSlices(tokenizerOf(model), input, { signal }) : input;
}

/** Throws RequestError with the sizes when a prompt does not fit: nothing is ever cut. */
function checkRoom({ name, model }: Lease, tokens: number, param: string): void {
  const { contextLength } = model.info;
  if (tokens <= contextLength) return;
  throw new RequestError(
    'context_overflow',
    `the prompt has ${tokens} tokens and the context of ${name} holds ${contextLength}; shorten it, or start the server with a larger --context-length`,
    { param },
  );
}
