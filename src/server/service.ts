// What the server does, whatever protocol asks: finds and loads the model, makes room, prepares, generates, counts.

import { IngotError } from '../base/errors.ts';
import { opened } from '../chat/messages.ts';
import { AnswerStream, answerDefaults, type Ready } from '../engine/answer.ts';
import {
  chatPrompt,
  countTokens,
  encodeInput,
  longestPrompt,
  type Prompt,
  type PromptModel,
  type PromptOptions,
  textPrompt,
} from '../engine/prompt.ts';
import type { Model, SamplingOptions, TextOptions } from '../engine/types.ts';
import type { Admission } from './admission.ts';
import { Answering, type Prepared } from './answering.ts';
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

export class Service {
  readonly #parts: ServiceParts;

  constructor(parts: ServiceParts) {
    this.#parts = parts;
  }

  /** Prepares answers to a chat; they are generated as they are read. Throws what is wrong with the request. */
  chat(job: ChatJob, caller: Caller): Promise<Answering> {
    return this.#answer(job, job.n, caller, async (lease, signal) => {
      const prompt = await chatPrompt(named(lease, job), promptOf(lease.model, job, signal)).catch(
        about('messages'),
      );
      return prepare(lease.model, job, Array<Prompt>(job.n).fill(prompt));
    });
  }

  /** Prepares continuations of texts: `n` of each prompt, numbered prompt by prompt. */
  complete(job: CompletionJob, caller: Caller): Promise<Answering> {
    const { prompts, n, responseFormat } = job;
    return this.#answer(job, prompts.length * n, caller, async (lease, signal) => {
      const { model } = lease;
      const made = await Promise.all(
        prompts.map((prompt) =>
          textPrompt(named(lease, job), prompt, { responseFormat, signal }).catch(about('prompt')),
        ),
      );
      const tokens = made.map((prompt) => prompt.tokens);
      const echoes = await echoesOf(model, job, tokens, signal);
      return {
        ...(await prepare(
          model,
          job,
          made.flatMap((prompt) => Array<Prompt>(n).fill(prompt)),
        )),
        echoes,
      };
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
        const param = `input[${i}]`;
        const tokens = await encodeInput(named(lease), input, {
          signal: caller.signal,
          cut: job.truncate,
        }).catch(about(param));
        if (tokens.length === 0) throw new RequestError('invalid', `${param}: is empty`, { param });
        caller.signal.throwIfAborted();
        const vector = await model.embed(tokens, { pooling: job.pooling, signal: caller.signal });
        vectors.push(shortened(vector, job.dimensions, name));
        promptTokens += tokens.length;
      }
      this.#parts.metrics.embedded(name, promptTokens);
      return { model: name, vectors, promptTokens, times: { loadMs, computeMs: performance.now() - start } };
    } catch (error) {
      lease?.failed(error);
      throw error;
    } finally {
      lease?.release();
      leave();
    }
  }

  /** Tokens of a chat's prompt. */
  async count(job: ChatJob, caller: Caller): Promise<number> {
    const lease = await this.#lease(job.model, caller);
    try {
      return await countTokens(named(lease), promptOf(lease.model, job, caller.signal));
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
      if (caller.signal.aborted) prepared.discard();
      caller.signal.throwIfAborted();
      return new Answering({ lease, ...prepared, caller, leave, metrics: this.#parts.metrics });
    } catch (error) {
      lease?.release();
      leave();
      throw error;
    }
  }
}

/** The first numbers of a vector, scaled to length 1 again. Throws RequestError when it has not as many. */
function shortened(vector: Float32Array, dimensions: number | undefined, model: string): Float32Array {
  if (dimensions === undefined || dimensions === vector.length) return vector;
  if (dimensions > vector.length) {
    throw new RequestError(
      'invalid',
      `dimensions: ${dimensions} asked for, but vectors of ${model} have ${vector.length}`,
      { param: 'dimensions' },
    );
  }
  const start = vector.slice(0, dimensions);
  const norm = Math.hypot(...start);
  return start.map((x) => (norm > 0 ? x / norm : x));
}

type Limited = Pick<GenerationJob, 'contextLength'>;

/** The model by the name that clients know, since its own may be a path of this machine, and with the context of a request. */
const named = ({ name, model }: Lease, { contextLength }: Limited = {}): PromptModel => ({
  info: { ...model.info, name, contextLength: Math.min(contextLength ?? Infinity, model.info.contextLength) },
  get tokenizer() {
    return model.tokenizer;
  },
});

const promptOf = ({ info }: Model, job: ChatJob, signal: AbortSignal): PromptOptions => {
  const { reasoningEffort, templateOptions, ...rest } = job;
  const effort = reasoningEffort === undefined ? {} : { reasoning_effort: reasoningEffort };
  const messages = opened(job.messages, info.defaults);
  return { ...rest, messages, templateVariables: { ...effort, ...templateOptions }, signal };
};

/** One answer to each of `prompts`; the constraint of each is used up by its generation. */
async function prepare(model: Model, job: GenerationJob, prompts: readonly Prompt[]): Promise<Prepared> {
  const ready: Ready[] = [];
  const discard = (): void => {
    for (const { constraint } of ready) constraint?.dispose();
  };
  try {
    for (const prompt of prompts) ready.push({ prompt, constraint: await prompt.constraint() });
  } catch (error) {
    discard();
    throw error;
  }
  return {
    start: (signal) =>
      ready.map((each, i) => {
        const seed = seedOf(job, i % job.n);
        const options = samplingOf(model, job);
        const maxTokens = limitOf(model.info, options.maxTokens, job, each.prompt);
        return new AnswerStream(model, async () => each, { ...options, maxTokens, seed, signal });
      }),
    discard,
    promptTokens: Math.max(...prompts.map(({ tokens }) => tokens.length)),
    dropped: prompts[0]?.dropped,
  };
}

/** Tokens that an answer may have: what is left of the context that a request asks for, where that is no window. */
function limitOf(
  info: Model['info'],
  maxTokens: number | undefined,
  { contextLength }: Limited,
  { tokens }: Prompt,
): number | undefined {
  if (contextLength === undefined || longestPrompt(info) > info.contextLength) return maxTokens;
  return Math.min(maxTokens ?? Number.POSITIVE_INFINITY, Math.max(1, contextLength - tokens.length));
}

/** The request's own settings before those the model's makers advise, and these before the API's. */
function samplingOf({ info }: Model, { sampling, defaults, ...job }: GenerationJob): TextOptions {
  const advised = Object.keys(info.sampling).length === 0 ? defaults : { temperature: 1, ...info.sampling };
  const { ignoreEos, logprobs } = job;
  const own = answerDefaults(info);
  const stop = job.stop.length > 0 ? job.stop : own.stop;
  const maxTokens = job.maxTokens ?? own.maxTokens;
  return { ...advised, ...given(sampling), maxTokens, ignoreEos, stop, logprobs };
}

const given = (sampling: SamplingOptions): SamplingOptions =>
  Object.fromEntries(Object.entries(sampling).filter(([, value]) => value !== undefined));

/** Answers to one prompt differ, and are the same again with the same seed. */
const seedOf = ({ sampling: { seed } }: GenerationJob, choice: number): number | undefined =>
  seed === undefined ? undefined : (seed + choice) % 2 ** 32;

/** A prompt that does not fit, told with the field that it came from. */
const about =
  (param: string) =>
  (error: unknown): never => {
    if (error instanceof IngotError && error.code === 'context_overflow')
      throw new RequestError('context_overflow', error.message, { param });
    throw error;
  };
