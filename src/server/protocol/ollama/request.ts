// Requests of the Ollama API as jobs. https://github.com/ollama/ollama/blob/main/docs/api.md

import { z } from 'zod';
import type { Message } from '../../../chat/messages.ts';
import type { ConstraintSpec } from '../../../generate/guided/spec.ts';
import type { SamplingOptions } from '../../../generate/sampling.ts';
import type { ChatJob, CompletionJob, EmbeddingJob } from '../../job.ts';
import { RequestError } from '../../problem.ts';
import {
  callsOf,
  nonZero,
  reasoningOf,
  seedField,
  seedOf,
  stopOf,
  toolFields,
  toolsOf,
  topKField,
  topKOf,
} from '../fields.ts';
import { continued } from '../openai/messages.ts';
import { object, optional, parse } from '../zod.ts';

/** Options that choose how a model is loaded, such as num_gpu, were decided when it was, and are let through unread. */
const options = optional(
  z.object({
    temperature: optional(z.number().min(0)),
    top_k: topKField,
    top_p: optional(z.number().min(0).max(1)),
    min_p: optional(z.number().min(0).max(1)),
    repeat_penalty: optional(z.number().gt(0)),
    presence_penalty: optional(z.number()),
    frequency_penalty: optional(z.number()),
    seed: seedField,
    /** Below zero: as many as there is room for. */
    num_predict: optional(z.int()),
    /** Tokens of prompt and answer together; more than the model was loaded for is what it was loaded for. */
    num_ctx: optional(z.int().min(1)),
    stop: optional(z.union([z.string(), z.array(z.string())])),
    mirostat: optional(z.literal(0, 'is not supported')),
    typical_p: optional(z.literal(1, 'is not supported')),
    tfs_z: optional(z.literal(1, 'is not supported')),
  }),
);

const common = {
  model: z.string().min(1),
  stream: optional(z.boolean()),
  format: optional(z.union([z.literal(['json', '']), object])),
  options,
  think: optional(z.union([z.boolean(), z.string()])),
  keep_alive: optional(z.union([z.number(), z.string()])),
  logprobs: optional(z.boolean()),
  top_logprobs: optional(z.int().min(0).max(20)),
  /** A conversation that does not fit loses its oldest turns instead of being refused. */
  truncate: optional(z.boolean()),
};

const chatShape = z.object({
  ...common,
  messages: optional(
    z.array(
      z.object({
        role: z.enum(['system', 'user', 'assistant', 'tool']),
        content: optional(z.string()),
        thinking: optional(z.string()),
        images: optional(z.array(z.unknown())),
        tool_name: optional(z.string()),
        tool_call_id: optional(z.string()),
        tool_calls: optional(
          z.array(
            z.object({
              id: optional(z.string()),
              function: z.object({ name: z.string(), arguments: optional(object) }),
            }),
          ),
        ),
      }),
    ),
  ),
  tools: toolFields,
});

const generateShape = z.object({
  ...common,
  prompt: optional(z.string()),
  system: optional(z.string()),
  suffix: optional(z.string()),
  template: optional(z.string()),
  raw: optional(z.boolean()),
  images: optional(z.array(z.unknown())),
  context: optional(z.array(z.int())),
});

export interface OllamaRequest<Job> {
  readonly model: string;
  /** Undefined: only load the model, or let it go. */
  readonly job: Job | undefined;
  readonly stream: boolean;
  /** Milliseconds the model stays loaded after this; 0 unloads it, Infinity keeps it. */
  readonly keepAlive: number | undefined;
}

/** Throws RequestError naming the field that is wrong. */
export function parseOllamaChat(body: unknown): OllamaRequest<ChatJob> {
  const request = parse(chatShape, body);
  const messages = request.messages ?? [];
  const tools = toolsOf(request.tools);
  messages.forEach((message, i) => {
    refuseImages(message.images, `messages[${i}].images`);
  });
  return {
    model: request.model,
    stream: request.stream ?? true,
    keepAlive: keepAliveOf(request.keep_alive),
    job: messages.length === 0 ? undefined : { ...chatJob(request, messages.map(messageOf)), tools },
  };
}

/** Throws RequestError naming the field that is wrong or not supported. */
export function parseOllamaGenerate(body: unknown): OllamaRequest<ChatJob | CompletionJob> {
  const request = parse(generateShape, body);
  refuseImages(request.images, 'images');
  for (const param of ['suffix', 'template'] as const) {
    if (request[param]) throw new RequestError('invalid', `${param}: is not supported`, { param });
  }
  if (request.context !== undefined && request.context.length > 0) {
    throw new RequestError('invalid', 'context: is not supported; send the conversation to /api/chat', {
      param: 'context',
    });
  }
  const prompt = request.prompt ?? '';
  const system: Message[] = request.system ? [{ role: 'system', content: request.system }] : [];
  const job =
    request.raw === true
      ? { ...generationJob(request), prompts: [prompt] }
      : chatJob(request, [...system, { role: 'user', content: prompt }]);
  return {
    model: request.model,
    stream: request.stream ?? true,
    keepAlive: keepAliveOf(request.keep_alive),
    job: prompt === '' ? undefined : job,
  };
}

const embedShape = z.object({
  model: z.string().min(1),
  input: z.union([z.string(), z.array(z.string())]),
  dimensions: optional(z.int().min(1)),
  truncate: optional(z.boolean()),
  pooling: optional(z.enum(['mean', 'last'])),
  keep_alive: optional(z.union([z.number(), z.string()])),
});

export interface OllamaEmbedding {
  readonly job: EmbeddingJob;
  readonly keepAlive: number | undefined;
}

/** Throws RequestError naming the field that is wrong. */
export function parseOllamaEmbed(body: unknown): OllamaEmbedding {
  const { input, keep_alive, ...rest } = parse(embedShape, body);
  return {
    job: { ...rest, inputs: typeof input === 'string' ? [input] : input },
    keepAlive: keepAliveOf(keep_alive),
  };
}

/** The earlier form, of one text. */
export function parseOllamaEmbeddings(body: unknown): OllamaEmbedding {
  const shape = z.object({
    model: z.string().min(1),
    prompt: z.string(),
    keep_alive: embedShape.shape.keep_alive,
  });
  const { model, prompt, keep_alive } = parse(shape, body);
  return { job: { model, inputs: [prompt] }, keepAlive: keepAliveOf(keep_alive) };
}

/** A pull names a model and may be streamed. */
export function parseOllamaPull(body: unknown): { readonly model: string; readonly stream: boolean } {
  const { stream } = parse(z.object({ stream: optional(z.boolean()) }), body);
  return { model: parseOllamaName(body), stream: stream ?? true };
}

/** The model a request is about. Older clients say `name`. */
export function parseOllamaName(body: unknown): string {
  const { model, name } = parse(z.object({ model: optional(z.string()), name: optional(z.string()) }), body);
  const found = model ?? name;
  if (found === undefined) throw new RequestError('invalid', 'model: is missing', { param: 'model' });
  return found;
}

type Common = z.output<z.ZodObject<typeof common>>;

const generationJob = (request: Common) => {
  const { num_predict: limit, num_ctx: contextLength, stop } = request.options ?? {};
  return {
    model: request.model,
    sampling: samplingOf(request.options),
    defaults,
    maxTokens: limit === undefined || limit <= 0 ? undefined : limit,
    contextLength,
    stop: stopOf(stop),
    n: 1,
    logprobs: request.logprobs === true ? (request.top_logprobs ?? 0) : undefined,
    responseFormat: formatOf(request.format),
  };
};

const chatJob = (request: Common, given: readonly Message[]): ChatJob => ({
  ...generationJob(request),
  // A last message of the assistant is the beginning of the answer.
  ...continued(given, undefined),
  fullContext: request.truncate === true ? 'dropOldest' : 'error',
  tools: [],
  toolChoice: 'auto',
  parallelToolCalls: true,
  thinking: typeof request.think === 'string' ? true : request.think,
  reasoningEffort: typeof request.think === 'string' ? request.think : undefined,
});

/** As that API documents them. */
const defaults: SamplingOptions = { temperature: 0.8, topK: 40, topP: 0.9 };

const samplingOf = (from: Common['options']): SamplingOptions => ({
  temperature: from?.temperature === undefined ? undefined : Math.min(from.temperature, 100),
  topK: topKOf(from?.top_k),
  topP: nonZero(from?.top_p),
  minP: from?.min_p,
  repetitionPenalty: from?.repeat_penalty,
  presencePenalty: from?.presence_penalty,
  frequencyPenalty: from?.frequency_penalty,
  seed: seedOf(from?.seed),
});

const formatOf = (format: Common['format']): ConstraintSpec | undefined => {
  if (format === undefined || format === '') return undefined;
  return format === 'json' ? { kind: 'json_object' } : { kind: 'json_schema', schema: format };
};

type OllamaMessage = NonNullable<z.output<typeof chatShape>['messages']>[number];

const messageOf = (message: OllamaMessage): Message => ({
  role: message.role,
  content: message.content ?? (message.role === 'assistant' ? null : ''),
  ...(message.tool_name === undefined ? {} : { name: message.tool_name }),
  ...(message.tool_call_id === undefined ? {} : { tool_call_id: message.tool_call_id }),
  ...reasoningOf(message.thinking),
  ...callsOf(
    message.tool_calls?.map(({ id, function: { name, arguments: args = {} } }) => ({
      ...(id === undefined ? {} : { id }),
      type: 'function' as const,
      function: { name, arguments: args },
    })),
  ),
});

function refuseImages(images: readonly unknown[] | undefined, param: string): void {
  if (images === undefined || images.length === 0) return;
  throw new RequestError('invalid', `${param}: images are not supported; this server takes text only`, {
    param,
  });
}

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Seconds as a number, or a duration such as "5m"; below zero means for good. */
function keepAliveOf(value: number | string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const match = typeof value === 'number' ? undefined : /^(-?\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(value.trim());
  if (match === null) {
    throw new RequestError('invalid', `keep_alive: "${value}" is not a duration such as "5m"`, {
      param: 'keep_alive',
    });
  }
  const ms =
    match === undefined ? Number(value) * 1000 : Number(match[1]) * (unitMs[match[2] ?? 's'] ?? 1000);
  return ms < 0 ? Number.POSITIVE_INFINITY : ms;
}
