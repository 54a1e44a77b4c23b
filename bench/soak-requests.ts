// The requests of the soak: every API and every way to end one. Each throws when the answer is not what it should be.

import { setTimeout as sleep } from 'node:timers/promises';

/** A pseudo-random number from 0 to 1: mulberry32, so that a run can be repeated. */
export type Random = () => number;

export function randomFrom(seed: number): Random {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export interface Soak {
  readonly url: string;
  readonly model: string;
  readonly random: Random;
}

const vocabulary = 'river stone cloud paper metal garden window music engine winter forest bridge'.split(' ');
const below = (random: Random, n: number): number => Math.floor(random() * n);
const textOf = (random: Random, words: number): string =>
  Array.from({ length: words }, () => vocabulary[below(random, vocabulary.length)]).join(' ');
const messages = (content: string) => [{ role: 'user', content }];
const answerTokens = (random: Random): number => 8 + below(random, 56);

async function post({ url }: Soak, path: string, body: object, signal?: AbortSignal): Promise<Response> {
  const headers = { 'content-type': 'application/json', 'anthropic-version': '2023-06-01' };
  const response = await fetch(`${url}${path}`, {
    method: 'POST',
    headers,
    body: JSON.stringify(body),
    ...(signal ? { signal } : {}),
  });
  return response;
}

/** The whole answer as text; throws unless it has the status. */
async function ask(soak: Soak, path: string, body: object, status = 200): Promise<string> {
  const response = await post(soak, path, { model: soak.model, ...body });
  const text = await response.text();
  if (response.status !== status) throw new Error(`${path}: ${response.status} ${text.slice(0, 200)}`);
  return text;
}

async function askJson(soak: Soak, path: string, body: object): Promise<Record<string, unknown>> {
  return JSON.parse(await ask(soak, path, body)) as Record<string, unknown>;
}

/** Throws unless a stream came to its end. */
async function stream(soak: Soak, path: string, body: object, end: RegExp): Promise<void> {
  const text = await ask(soak, path, { ...body, stream: true });
  if (!end.test(text)) throw new Error(`${path}: the stream ends with ${JSON.stringify(text.slice(-200))}`);
}

/** Leaves after a random time, before or while the answer comes. */
async function leave(soak: Soak, path: string, body: object): Promise<void> {
  const controller = new AbortController();
  const answer = post(soak, path, { model: soak.model, ...body }, controller.signal)
    .then((response) => response.text())
    .catch((error: unknown) => {
      if (!controller.signal.aborted) throw error;
    });
  await sleep(below(soak.random, 1200));
  controller.abort();
  await answer;
}

type ChatAnswer = {
  readonly choices: readonly [
    {
      readonly finish_reason: string;
      readonly message: {
        readonly content: string | null;
        readonly tool_calls?: readonly [{ readonly function: { readonly arguments: string } }];
      };
    },
  ];
};

/** JSON that was cut off at the limit of tokens proves nothing. */
function checkJson(answer: ChatAnswer): void {
  const { finish_reason, message } = answer.choices[0];
  if (finish_reason !== 'length')
    JSON.parse(message.tool_calls?.[0].function.arguments ?? message.content ?? '');
}

/** Names differ from request to request: no schema is met a second time. */
const schemaOf = (random: Random) => {
  const names = [textOf(random, 2), textOf(random, 2)];
  const properties = { name: { enum: names }, count: { type: 'integer' }, open: { type: 'boolean' } };
  return { type: 'object', properties, required: ['name', 'count', 'open'], additionalProperties: false };
};

interface Kind {
  readonly name: string;
  /** How often it comes, beside the others. */
  readonly weight: number;
  readonly run: (soak: Soak) => Promise<unknown>;
}

const OPENAI = '/v1/chat/completions';

export const kinds: readonly Kind[] = [
  {
    name: 'chat stream',
    weight: 4,
    run: (s) => {
      const body = { messages: messages(textOf(s.random, 40)), max_tokens: answerTokens(s.random) };
      return stream(s, OPENAI, body, /data: \[DONE\]\n\n$/);
    },
  },
  {
    name: 'chat',
    weight: 2,
    run: (s) =>
      ask(s, OPENAI, {
        messages: messages(textOf(s.random, 60)),
        max_tokens: answerTokens(s.random),
        logprobs: s.random() < 0.3,
        n: 1 + below(s.random, 2),
      }),
  },
  {
    name: 'anthropic stream',
    weight: 2,
    run: (s) => {
      const body = { messages: messages(textOf(s.random, 40)), max_tokens: answerTokens(s.random) };
      return stream(s, '/v1/messages', body, /event: message_stop\n.*\n\n$/);
    },
  },
  {
    name: 'ollama stream',
    weight: 1,
    run: (s) => {
      const body = {
        messages: messages(textOf(s.random, 40)),
        options: { num_predict: answerTokens(s.random) },
      };
      return stream(s, '/api/chat', body, /"done":true.*\n$/);
    },
  },
  {
    name: 'responses',
    weight: 1,
    run: (s) =>
      ask(s, '/v1/responses', { input: textOf(s.random, 30), max_output_tokens: answerTokens(s.random) }),
  },
  {
    name: 'completions',
    weight: 1,
    run: (s) =>
      ask(s, '/v1/completions', {
        prompt: [textOf(s.random, 20), textOf(s.random, 5)],
        max_tokens: answerTokens(s.random),
        presence_penalty: 0.5,
      }),
  },
  {
    name: 'embeddings',
    weight: 2,
    run: (s) => ask(s, '/v1/embeddings', { input: [textOf(s.random, 30), textOf(s.random, 120)] }),
  },
  {
    name: 'tool call',
    weight: 1,
    run: async (s) => {
      const call = { name: 'store', description: 'Stores it', parameters: schemaOf(s.random) };
      const body = {
        messages: messages(textOf(s.random, 20)),
        tools: [{ type: 'function', function: call }],
        tool_choice: 'required',
        max_tokens: 80,
      };
      checkJson((await askJson(s, OPENAI, body)) as unknown as ChatAnswer);
    },
  },
  {
    name: 'schema',
    weight: 1,
    run: async (s) => {
      const format = { type: 'json_schema', json_schema: { name: 'thing', schema: schemaOf(s.random) } };
      const body = { messages: messages(textOf(s.random, 20)), response_format: format, max_tokens: 80 };
      checkJson((await askJson(s, OPENAI, body)) as unknown as ChatAnswer);
    },
  },
  {
    name: 'long prompt, second turn',
    weight: 1,
    run: async (s) => {
      const opening = messages(textOf(s.random, 800 + below(s.random, 800)));
      const first = (await askJson(s, OPENAI, {
        messages: opening,
        max_tokens: 16,
      })) as unknown as ChatAnswer;
      const answer = { role: 'assistant', content: first.choices[0].message.content ?? '' };
      await ask(s, OPENAI, { messages: [...opening, answer, ...messages('And then?')], max_tokens: 16 });
    },
  },
  {
    name: 'aborted stream',
    weight: 3,
    run: (s) => leave(s, OPENAI, { messages: messages(textOf(s.random, 50)), max_tokens: 500, stream: true }),
  },
  {
    name: 'aborted answer',
    weight: 1,
    run: (s) => leave(s, '/v1/messages', { messages: messages(textOf(s.random, 400)), max_tokens: 500 }),
  },
  {
    name: 'refused',
    weight: 1,
    run: (s) => ask(s, OPENAI, { messages: messages('x'), temperature: 3 }, 400),
  },
  {
    name: 'count tokens',
    weight: 1,
    run: (s) => ask(s, '/v1/messages/count_tokens', { messages: messages(textOf(s.random, 300)) }),
  },
];

const total = kinds.reduce((sum, { weight }) => sum + weight, 0);

export function pickKind(random: Random): Kind {
  let left = random() * total;
  for (const kind of kinds) {
    left -= kind.weight;
    if (left < 0) return kind;
  }
  throw new Error('the weights of the kinds do not sum to their total');
}
