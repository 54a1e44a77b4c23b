// Arguments of the library as callers of JavaScript may get them wrong: each error names the argument and what it must be.

import { IngotError } from '../base/errors.ts';
import { cacheKindNames, kvBitsNames, kvBitsOf } from '../cache/kinds.ts';
import type { AskOptions, SessionOptions } from './session.ts';
import type {
  ChatOptions,
  CompleteOptions,
  ExpertOptions,
  GenerateOptions,
  LoadOptions,
  ModelDefaults,
  SamplingOptions,
  TextOptions,
} from './types.ts';

/** Throws `invalid_argument`: `name` must be `expected`. */
export function refuse(name: string, expected: string, value: unknown): never {
  throw new IngotError('invalid_argument', `${name} must be ${expected}, got ${show(value)}`, {
    details: { argument: name },
  });
}

function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === 'object' && value !== null)
    return `an object with ${Object.keys(value).join(', ') || 'nothing in it'}`;
  return typeof value === 'function' ? 'a function' : String(value);
}

/** What a value must be, in words, and whether it is. */
interface Kind {
  readonly expected: string;
  is(value: unknown): boolean;
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isText = (value: unknown): value is string => typeof value === 'string';

const text: Kind = { expected: 'a string', is: isText };
const flag: Kind = { expected: 'true or false', is: (value) => typeof value === 'boolean' };
const number: Kind = {
  expected: 'a number',
  is: (value) => typeof value === 'number' && !Number.isNaN(value),
};
const object: Kind = { expected: 'an object', is: isObject };
const callback: Kind = { expected: 'a function', is: (value) => typeof value === 'function' };
const signal: Kind = { expected: 'an AbortSignal', is: (value) => value instanceof AbortSignal };
const count = (min: number): Kind => ({
  expected: `an integer of at least ${min}`,
  is: (value) => Number.isSafeInteger(value) && Number(value) >= min,
});
const oneOf = (...names: readonly string[]): Kind => ({
  expected: names.map((name) => `'${name}'`).join(' or '),
  is: (value) => isText(value) && names.includes(value),
});

type Kinds = Readonly<Record<string, Kind>>;

const sampling = {
  temperature: number,
  topK: number,
  topP: number,
  minP: number,
  repetitionPenalty: number,
  presencePenalty: number,
  frequencyPenalty: number,
  logitBias: object,
  seed: number,
} satisfies Record<keyof SamplingOptions, Kind>;

const generate = {
  ...sampling,
  maxTokens: count(1),
  ignoreEos: flag,
  logprobs: number,
  constraint: {
    expected: 'an object with fill, accept and dispose',
    is: (value) =>
      isObject(value) && ['fill', 'accept', 'dispose'].every((name) => typeof value[name] === 'function'),
  },
  signal,
} satisfies Record<keyof GenerateOptions, Kind>;

/** What the forms that users ask for need beside their kind. The parts that grammars are made of are checked where they are used. */
const needs: Readonly<Record<string, (form: Readonly<Record<string, unknown>>) => boolean>> = {
  json_schema: ({ schema }) => isObject(schema) || typeof schema === 'boolean',
  string_schema: ({ schema }) => isObject(schema) || typeof schema === 'boolean',
  regex: ({ pattern }) => isText(pattern),
  ebnf: ({ grammar }) => isText(grammar),
  choice: ({ choices }) => Array.isArray(choices) && choices.length > 0 && choices.every(isText),
};

function isForm(value: unknown): boolean {
  if (!isObject(value) || !isText(value.kind)) return false;
  return !Object.hasOwn(needs, value.kind) || needs[value.kind]?.(value) === true;
}

const textKinds = {
  ...generate,
  stop: {
    expected: 'a list of texts that are not empty',
    is: (value) => Array.isArray(value) && value.every((each) => isText(each) && each !== ''),
  },
} satisfies Record<keyof TextOptions, Kind>;

/** Whether an option is one of generating text, whatever the prompt comes from. */
export const isTextOption = (name: string): boolean => Object.hasOwn(textKinds, name);

const complete = {
  ...textKinds,
  responseFormat: { expected: "an object with a 'kind' and what it needs", is: isForm },
} satisfies Record<keyof CompleteOptions, Kind>;

const chat = {
  ...complete,
  system: text,
  tools: { expected: 'a list of tools', is: Array.isArray },
  toolChoice: {
    expected: "'auto', 'none', 'required' or { name }",
    is: (value) =>
      ['auto', 'none', 'required'].includes(value as string) || (isObject(value) && isText(value.name)),
  },
  parallelToolCalls: flag,
  thinking: flag,
  prefill: text,
  specialTokens: oneOf('text', 'match'),
  templateVariables: object,
  fullContext: oneOf('error', 'dropOldest'),
} satisfies Record<keyof ChatOptions, Kind>;

const experts: Kind = {
  expected:
    "an object with residency ('auto', 'resident' or 'streamed'), bytes, eviction ('lru' or 'frequency'), hot (0 to 1), readers, preferResident (0 to 1) or dropMisses (0 to less than 1)",
  is: (value) =>
    isObject(value) &&
    Object.entries(value).every(
      ([name, each]) => each === undefined || (expertKinds[name]?.is(each) ?? false),
    ),
};

const share: Kind = {
  expected: 'a share from 0 to 1',
  is: (value) => typeof value === 'number' && value >= 0 && value <= 1,
};

const expertKinds: Kinds = {
  residency: oneOf('auto', 'resident', 'streamed'),
  bytes: count(0),
  eviction: oneOf('lru', 'frequency'),
  readers: count(1),
  hot: share,
  preferResident: share,
  dropMisses: {
    expected: 'a share from 0 to less than 1',
    is: (value) => typeof value === 'number' && value >= 0 && value < 1,
  },
} satisfies Record<keyof ExpertOptions, Kind>;

const load = {
  experts,
  device: text,
  precision: oneOf('fast', 'exact'),
  contextLength: count(1),
  maxSequences: count(1),
  kv: oneOf(...cacheKindNames),
  kvBits: {
    expected: `${kvBitsNames.slice(0, -1).join(', ')} or ${kvBitsNames.at(-1)}`,
    is: (value) => kvBitsOf(value) === value,
  },
  kvBytes: count(0),
  kvDir: text,
  kvKeep: count(0),
  prefixBytes: count(0),
  prefixDir: text,
  prefixDirBytes: count(0),
  memoryLimit: count(0),
  threads: count(0),
  patterns: {
    expected: 'a list of names or an object such as { rope_kv: false }',
    is: (value) => typeof value === 'object',
  },
  chatTemplate: text,
  defaults: object,
  tune: flag,
  profile: flag,
  signal,
  onProgress: callback,
  onNotice: callback,
} satisfies Record<keyof LoadOptions, Kind>;

const ofTokens: Kinds = { signal };

const { logitBias: _, ...ofModel } = sampling;
const defaults = {
  ...ofModel,
  system: text,
  messages: { expected: 'a list of messages', is: Array.isArray },
  maxTokens: generate.maxTokens,
  stop: textKinds.stop,
} satisfies Record<keyof ModelDefaults, Kind>;

const { signal: _signal, prefill: _prefill, tools: _tools, ...ofSession } = chat;
const session = {
  ...ofSession,
  tools: object,
  messages: { expected: 'a list of messages', is: Array.isArray },
  maxSteps: count(1),
} satisfies Record<keyof SessionOptions, Kind>;

/** What is said with a question. */
const ask = {
  signal,
  maxTokens: chat.maxTokens,
  temperature: chat.temperature,
  responseFormat: chat.responseFormat,
  schema: {
    expected: 'a JSON Schema or a schema of zod 4',
    is: (value) => typeof value === 'boolean' || typeof value === 'function' || isObject(value),
  },
} satisfies Record<keyof AskOptions, Kind>;

/** Options of each function, by its name. */
const known = {
  load,
  defaults,
  generate,
  complete,
  chat,
  session,
  ask,
  embed: { ...ofTokens, pooling: oneOf('mean', 'last') },
  logprobs: { ...ofTokens, top: number },
  perplexity: {
    ...ofTokens,
    context: count(1),
    stride: count(1),
    rows: count(1),
    against: { expected: 'a model', is: isObject },
    onProgress: callback,
  },
} satisfies Record<string, Kinds>;

/** Throws `invalid_argument` for an option of the wrong kind, and for one that nobody reads: it may be misspelt. */
export function checkOptions(of: keyof typeof known, options: unknown): void {
  if (!isObject(options)) refuse('options', 'an object', options);
  const kinds: Kinds = known[of];
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue;
    const kind = Object.hasOwn(kinds, name) ? kinds[name] : undefined;
    if (kind === undefined) {
      const meant = Object.keys(kinds).find((each) => plain(each) === plain(name));
      const hint =
        meant === undefined ? `there are ${Object.keys(kinds).join(', ')}` : `did you mean ${meant}?`;
      throw new IngotError(
        'invalid_argument',
        `${of === 'defaults' ? of : `${of}()`} has no option "${name}"; ${hint}`,
        {
          details: { argument: name },
        },
      );
    }
    if (!kind.is(value)) refuse(name, kind.expected, value);
  }
}

const plain = (name: string): string => name.toLowerCase().replace(/[^a-z]/g, '');

/** Options of loading, and the defaults among them. */
export function checkLoadOptions(options: unknown): void {
  checkOptions('load', options);
  const { defaults } = options as { readonly defaults?: ModelDefaults };
  if (defaults === undefined) return;
  checkOptions('defaults', defaults);
  if (defaults.messages !== undefined && defaults.messages.length > 0) checkMessages(defaults.messages);
}

/** Options of a chat, and the tools among them. */
export function checkChatOptions(options: unknown): void {
  checkOptions('chat', options);
  const { tools = [] } = options as { readonly tools?: readonly unknown[] };
  tools.forEach((tool, i) => {
    const name = `tools[${i}]`;
    if (!isObject(tool)) refuse(name, 'an object', tool);
    const { function: described } = tool;
    if (!isObject(described)) refuse(`${name}.function`, 'an object with a name', described);
    if (!isText(described.name) || described.name === '')
      refuse(`${name}.function.name`, 'a text that is not empty', described.name);
    if (described.parameters !== undefined && !isObject(described.parameters))
      refuse(`${name}.function.parameters`, 'a JSON Schema', described.parameters);
  });
}

const roles = ['system', 'developer', 'user', 'assistant', 'tool'];

/** Throws `invalid_argument` for what is no conversation, with the place of what is wrong. */
export function checkMessages(messages: unknown): void {
  if (!Array.isArray(messages))
    refuse('messages', 'a list of messages such as [{ role, content }]', messages);
  if (messages.length === 0) refuse('messages', 'a list of at least one message', messages);
  messages.forEach((message: unknown, i) => {
    const name = `messages[${i}]`;
    if (!isObject(message)) refuse(name, 'an object with role and content', message);
    if (!isText(message.role) || !roles.includes(message.role))
      refuse(`${name}.role`, oneOf(...roles).expected, message.role);
    checkContent(`${name}.content`, message);
    checkCalls(`${name}.tool_calls`, message.tool_calls);
  });
}

function checkContent(
  name: string,
  { role, content, tool_calls: calls }: Readonly<Record<string, unknown>>,
): void {
  if (isText(content)) return;
  // What an assistant said may be nothing but calls.
  if (role === 'assistant' && (content === null || (content === undefined && calls !== undefined))) return;
  if (!Array.isArray(content)) refuse(name, 'a text or a list of { type: "text", text }', content);
  content.forEach((part: unknown, i) => {
    if (!isObject(part) || part.type !== 'text' || !isText(part.text))
      refuse(`${name}[${i}]`, '{ type: "text", text }', part);
  });
}

function checkCalls(name: string, calls: unknown): void {
  if (calls === undefined) return;
  if (!Array.isArray(calls)) refuse(name, 'a list of calls', calls);
  calls.forEach((call: unknown, i) => {
    const described = isObject(call) ? call.function : undefined;
    if (!isObject(described) || !isText(described.name))
      refuse(`${name}[${i}].function`, 'an object with name and arguments', described);
    if (!isText(described.arguments) && !isObject(described.arguments))
      refuse(`${name}[${i}].function.arguments`, 'an object or its JSON', described.arguments);
  });
}

/** What looks like token ids; whether they are in the vocabulary is checked where it is known. */
export function checkTokenList(tokens: unknown): void {
  if (!Array.isArray(tokens) && !ArrayBuffer.isView(tokens)) refuse('tokens', 'a list of token ids', tokens);
}

/** Throws `invalid_argument` unless `value` is what `load` gives, as far as answering needs it. */
export function checkModel(value: unknown): void {
  const { info, generate: generates } = (value ?? {}) as Readonly<Record<string, unknown>>;
  if (!isObject(info) || typeof generates !== 'function') refuse('model', 'a loaded model', value);
}

/** Throws `invalid_argument` unless `value` is a text. */
export function checkText(name: string, value: unknown): void {
  if (!isText(value)) refuse(name, 'a text', value);
}

/** Throws `invalid_argument` for what is no text, no list of texts and no list of token ids. */
export function checkEmbedInput(input: unknown): void {
  if (isText(input) || ArrayBuffer.isView(input)) return;
  if (!Array.isArray(input) || input.length === 0)
    refuse('input', 'a text, a list of texts, or a list of token ids', input);
  const kind = typeof input[0];
  const other = input.findIndex((each) => typeof each !== kind || (kind !== 'string' && kind !== 'number'));
  if (other >= 0) refuse(`input[${other}]`, kind === 'string' ? 'a text' : 'a token id', input[other]);
}
