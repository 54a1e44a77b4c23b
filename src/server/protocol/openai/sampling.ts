// Fields that chat and completion requests of the OpenAI API share, with its defaults.
// https://platform.openai.com/docs/api-reference/chat/create

import { z } from 'zod';
import type { ConstraintSpec } from '../../../generate/guided/spec.ts';
import type { SamplingOptions } from '../../../generate/sampling.ts';
import { RequestError } from '../../problem.ts';
import { nonZero, seedField, seedOf, topKField, topKOf } from '../fields.ts';
import { object, optional } from '../zod.ts';

export const samplingFields = {
  model: optional(z.string()),
  temperature: optional(z.number().min(0).max(2)),
  top_p: optional(z.number().min(0).max(1)),
  top_k: topKField,
  min_p: optional(z.number().min(0).max(1)),
  presence_penalty: optional(z.number().min(-2).max(2)),
  frequency_penalty: optional(z.number().min(-2).max(2)),
  repetition_penalty: optional(z.number().gt(0).max(10)),
  /** What llama.cpp's and Mistral's clients call these two. */
  repeat_penalty: optional(z.number().gt(0).max(10)),
  random_seed: seedField,
  seed: seedField,
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
  topK: topKOf(request.top_k),
  minP: request.min_p,
  presencePenalty: request.presence_penalty,
  frequencyPenalty: request.frequency_penalty,
  repetitionPenalty: request.repetition_penalty ?? request.repeat_penalty,
  seed: seedOf(request.seed ?? request.random_seed),
  logitBias: request.logit_bias,
});

/** `response_format` of chat requests; the Responses API has the same under `text.format`, with the schema one level up. */
export const formatField = optional(
  z.discriminatedUnion('type', [
    z.object({ type: z.literal('text') }),
    z.object({ type: z.literal('json_object'), schema: optional(z.union([object, z.boolean()])) }),
    z.object({
      type: z.literal('json_schema'),
      schema: optional(z.union([object, z.boolean()])),
      strict: optional(z.boolean()),
      json_schema: optional(
        z.object({ schema: optional(z.union([object, z.boolean()])), strict: optional(z.boolean()) }),
      ),
    }),
  ]),
);

/** Throws RequestError when a schema is announced but not there. */
export function formatOf(field: z.output<typeof formatField>, param: string): ConstraintSpec | undefined {
  if (field === undefined || field.type === 'text') return undefined;
  if (field.type === 'json_object')
    return field.schema === undefined
      ? { kind: 'json_object' }
      : { kind: 'json_schema', schema: field.schema };
  const schema = field.json_schema?.schema ?? field.schema;
  if (schema === undefined) throw new RequestError('invalid', `${param}: the schema is missing`, { param });
  return { kind: 'json_schema', schema, strict: field.json_schema?.strict ?? field.strict };
}

/** How llama.cpp's and vLLM's clients say what an answer must look like. */
export const grammarFields = {
  grammar: optional(z.string()),
  json_schema: optional(z.union([object, z.boolean()])),
  guided_json: optional(z.union([object, z.boolean()])),
  guided_regex: optional(z.string()),
  guided_choice: optional(z.array(z.string()).min(1)),
  guided_grammar: optional(z.string()),
  /** The same in newer versions of vLLM. */
  structured_outputs: optional(
    z.strictObject({
      json: optional(z.union([object, z.boolean()])),
      regex: optional(z.string()),
      choice: optional(z.array(z.string()).min(1)),
      grammar: optional(z.string()),
      json_object: optional(z.boolean()),
      disable_any_whitespace: optional(z.boolean()),
      disable_fallback: optional(z.boolean()),
    }),
  ),
};

type Grammars = z.output<z.ZodObject<typeof grammarFields>> & {
  readonly response_format?: z.output<typeof formatField>;
};

/** The one form that the request prescribes. Throws RequestError for two: an answer cannot have both. */
export function formOf(request: Grammars): ConstraintSpec | undefined {
  const { grammar, guided_grammar: other, guided_regex: pattern, guided_choice: choices } = request;
  const schema = (name: 'json_schema' | 'guided_json'): ConstraintSpec | undefined => {
    const value = request[name];
    return value === undefined ? undefined : { kind: 'json_schema', schema: value };
  };
  const forms: Readonly<Record<string, ConstraintSpec | undefined>> = {
    response_format: formatOf(request.response_format, 'response_format'),
    grammar: grammar ? { kind: 'ebnf', grammar } : undefined,
    json_schema: schema('json_schema'),
    guided_json: schema('guided_json'),
    guided_regex: pattern ? { kind: 'regex', pattern } : undefined,
    guided_choice: choices && { kind: 'choice', choices },
    guided_grammar: other ? { kind: 'ebnf', grammar: other } : undefined,
    ...structuredForms(request.structured_outputs),
  };
  const given = Object.entries(forms).filter(([, form]) => form !== undefined);
  const [first, second] = given;
  if (second === undefined) return first?.[1];
  throw new RequestError('invalid', `${second[0]}: the request has ${first?.[0]} as well`, {
    param: second[0],
  });
}

function structuredForms(
  given: Grammars['structured_outputs'],
): Readonly<Record<string, ConstraintSpec | undefined>> {
  if (!given) return {};
  const { json, regex, choice, grammar, json_object: any } = given;
  return {
    'structured_outputs.json': json === undefined ? undefined : { kind: 'json_schema', schema: json },
    'structured_outputs.regex': regex ? { kind: 'regex', pattern: regex } : undefined,
    'structured_outputs.choice': choice && { kind: 'choice', choices: choice },
    'structured_outputs.grammar': grammar ? { kind: 'ebnf', grammar } : undefined,
    'structured_outputs.json_object': any ? { kind: 'json_object' } : undefined,
  };
}

/** Tokens of an answer at most; -1 leaves it to the context. */
export const limitField = (min: number) =>
  optional(z.int().refine((n) => n >= min || n === -1, `must be at least ${min}, or -1 for no limit`));
export const limitOf = (limit: number | undefined): number | undefined => (limit === -1 ? undefined : limit);
