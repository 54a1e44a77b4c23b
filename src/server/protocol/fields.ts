// Pieces of requests and answers that several protocols write alike.

import { z } from 'zod';
import type { Message, Tool, ToolChoice } from '../../chat/messages.ts';
import { RequestError } from '../problem.ts';
import { object, optional } from './zod.ts';

/** 0 asks for the most probable token only; sampling wants a share above 0. */
export const nonZero = (share: number | undefined): number | undefined =>
  share === undefined ? undefined : Math.max(share, 1e-6);

/** Seeds may have 64 bits, which a number of JSON holds nearly. */
export const seedField = optional(z.number().refine(Number.isInteger, 'must be an integer'));

/** The k most probable tokens: 0 and -1 keep all. */
export const topKField = optional(z.int().min(-1));
export const topKOf = (k: number | undefined): number | undefined =>
  k === undefined ? undefined : Math.max(0, k);

/** Any integer as the 32 bits that sampling takes. */
export const seedOf = (seed: number | undefined): number | undefined =>
  seed === undefined ? undefined : Number(BigInt.asUintN(32, BigInt(seed)));

export const stopOf = (stop: string | readonly string[] | undefined): readonly string[] =>
  (stop === undefined ? [] : typeof stop === 'string' ? [stop] : stop).filter((text) => text !== '');

/** What an assistant thought in an earlier turn; templates that know it show it where the model expects it. */
export const reasoningOf = (text: string | undefined): { reasoning_content?: string } =>
  text === undefined || text === '' ? {} : { reasoning_content: text };

/** The message's calls, if any. */
export const callsOf = (
  calls: NonNullable<Message['tool_calls']> | undefined,
): Pick<Message, 'tool_calls'> => (calls === undefined || calls.length === 0 ? {} : { tool_calls: calls });

export const functionField = z.object({
  name: z.string().min(1),
  description: optional(z.string()),
  parameters: optional(object),
  strict: optional(z.boolean()),
});

export const toolFields = optional(
  z.array(z.object({ type: optional(z.string()), function: optional(functionField) })),
);

/** Function tools, which need not say that they are. Throws RequestError for others: a model could not call them. */
export const toolsOf = (tools: z.output<typeof toolFields>): Tool[] =>
  (tools ?? []).map(({ type = 'function', function: described }, i) => {
    if (type !== 'function') refuseTool(type, `tools[${i}]`);
    if (described) return toolOf(described);
    throw new RequestError('invalid', `tools[${i}].function: is missing`, { param: `tools[${i}].function` });
  });

/** Throws RequestError: without the tool the answer would be another than was asked for. */
export function refuseTool(type: string, param: string): never {
  throw new RequestError('invalid', `${param}: tools of type "${type}" are not supported; use "function"`, {
    param,
  });
}

/** Fields of other servers that change an answer and cannot be followed here, with the values that change nothing. */
const unfollowed: Readonly<Record<string, readonly unknown[]>> = {
  add_generation_prompt: [true],
  allowed_token_ids: [],
  audio: [],
  bad_words: [],
  chat_template: [],
  documents: [],
  dry_multiplier: [0],
  dynatemp_range: [0],
  guided_decoding_backend: [],
  late_chunking: [false],
  length_penalty: [1],
  lora: [],
  min_tokens: [0],
  mirostat: [0],
  n_probs: [0],
  normalize: [true],
  prompt_logprobs: [],
  stop_token_ids: [],
  tfs: [1],
  top_a: [0],
  top_n_sigma: [-1, 0],
  tfs_z: [1],
  truncate_prompt_tokens: [],
  typical_p: [1],
  use_beam_search: [false],
  web_search_options: [],
  xtc_probability: [0],
};

/** Throws RequestError for a field that would change the answer and is not followed. */
export function refuseUnfollowed(body: Readonly<Record<string, unknown>>, at = ''): void {
  for (const [name, neutral] of Object.entries(unfollowed)) {
    const value = body[name];
    const isEmpty = value === undefined || value === null || (Array.isArray(value) && value.length === 0);
    if (isEmpty || neutral.includes(value)) continue;
    throw new RequestError('invalid', `${at}${name}: is not supported`, { param: `${at}${name}` });
  }
}

interface ToolFields {
  readonly name: string;
  readonly description?: string | undefined;
  readonly parameters?: Readonly<Record<string, unknown>> | undefined;
  readonly strict?: boolean | undefined;
}

export const toolOf = ({ name, description, parameters, strict }: ToolFields): Tool => {
  const fields: ToolFields = {
    name,
    ...(description === undefined ? {} : { description }),
    ...(parameters === undefined ? {} : { parameters }),
    ...(strict === undefined ? {} : { strict }),
  };
  return { type: 'function', function: fields };
};

/** `choice`, when the request has what it chooses. Throws RequestError otherwise. */
export function checkChoice(choice: ToolChoice, tools: readonly Tool[]): ToolChoice {
  const names = tools.map((tool) => tool.function.name);
  const refuse = (message: string): never => {
    throw new RequestError('invalid', `tool_choice: ${message}`, { param: 'tool_choice' });
  };
  if (choice === 'required' && names.length === 0) refuse('a call is required but the request has no tools');
  if (typeof choice === 'object' && !names.includes(choice.name)) {
    refuse(`"${choice.name}" is not among the tools (${names.join(', ') || 'none'})`);
  }
  return choice;
}

/** Refuses content that is not text. */
export function refuseContent(type: string, param: string): never {
  throw new RequestError(
    'invalid',
    `${param}: content of type "${type}" is not supported; this server takes text only`,
    { param },
  );
}

/** Arguments as the object some APIs want. A model that was not constrained may write something else; it is kept as text. */
export function inputOf(json: string): object {
  try {
    const value: unknown = JSON.parse(json === '' ? '{}' : json);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch {}
  return { _raw: json };
}
