// Fields that chat and completion requests of the OpenAI API share, with its defaults.
// https://platform.openai.com/docs/api-reference/chat/create

import { z } from 'zod';
import type { ConstraintSpec } from '../../../generate/guided/spec.ts';
import type { SamplingOptions } from '../../../generate/sampling.ts';
import { RequestError } from '../../problem.ts';
import { nonZero, seedOf } from '../fields.ts';
import { object, optional } from '../zod.ts';

export const samplingFields = {
  model: optional(z.string()),
  temperature: optional(z.number().min(0).max(2)),
  top_p: optional(z.number().min(0).max(1)),
  top_k: optional(z.int().min(-1)),
  min_p: optional(z.number().min(0).max(1)),
  presence_penalty: optional(z.number().min(-2).max(2)),
  frequency_penalty: optional(z.number().min(-2).max(2)),
  repetition_penalty: optional(z.number().gt(0).max(10)),
  seed: optional(z.int()),
  stop: optional(z.union([z.string(), z.array(z.string()).max(64)])),
  logit_bias: optional(
    z.record(z.string().regex(/^\d{1,9}$/, 'keys must be token ids'), z.number().min(-100).max(100)),
  ),
  n: optional(z.int().min(1).max(64)),
  ignore_eos: optional(z.boolean()),
  stream: optional(z.boolean()),
  stream_options: optional(z.object({ include_usage: optional(z.boolean()) })),
};

type Sampling = z.output<z.ZodObject<typeof samplingFields>>;

/** The API samples at temperature 1 where neither the request nor the model's makers say otherwise. */
export const defaults: SamplingOptions = { temperature: 1 };

export const samplingOf = (request: Sampling): SamplingOptions => ({
  temperature: request.temperature,
  topP: nonZero(request.top_p),
  topK: request.top_k === undefined ? undefined : Math.max(0, request.top_k),
  minP: request.min_p,
  presencePenalty: request.presence_penalty,
  frequencyPenalty: request.frequency_penalty,
  repetitionPenalty: request.repetition_penalty,
  seed: seedOf(request.seed),
  logitBias: request.logit_bias,
});

/** `response_format` of chat requests; the Responses API has the same under `text.format`, with the schema one level up. */
export const formatField = optional(
  z.discriminatedUnion('type', [
    z.object({ type: z.literal('text') }),
    z.object({ type: z.literal('json_object') }),
    z.object({
      type: z.literal('json_schema'),
      schema: optional(z.union([object, z.boolean()])),
      json_schema: optional(z.object({ schema: optional(z.union([object, z.boolean()])) })),
    }),
  ]),
);

/** Throws RequestError when a schema is announced but not there. */
export function formatOf(field: z.output<typeof formatField>, param: string): ConstraintSpec | undefined {
  if (field === undefined || field.type === 'text') return undefined;
  if (field.type === 'json_object') return { kind: 'json_object' };
  const schema = field.json_schema?.schema ?? field.schema;
  if (schema === undefined) throw new RequestError('invalid', `${param}: the schema is missing`, { param });
  return { kind: 'json_schema', schema };
}
