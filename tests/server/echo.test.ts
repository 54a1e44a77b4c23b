// Completions that repeat their prompt, with the log probabilities of its tokens: what evaluations of models score texts with.

import { rmSync } from 'node:fs';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { load } from '../../src/engine/load.ts';
import { logProbability } from '../../src/engine/perplexity.ts';
import type { Model } from '../../src/engine/types.ts';
import { tinyChatModel } from '../tiny-chat.ts';
import { type Harness, startHarness } from './harness.ts';

let folder: string;
let model: Model;
let harness: Harness;
let client: OpenAI;
beforeAll(async () => {
  const tiny = await tinyChatModel();
  folder = tiny.folder;
  model = await load(tiny.path, { precision: 'exact', threads: 1 });
  harness = await startHarness({ load: async () => model });
  client = new OpenAI({ baseURL: `${harness.url}/v1`, apiKey: 'any', maxRetries: 0 });
});
afterAll(async () => {
  await harness[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

type Logprobs = NonNullable<OpenAI.CompletionChoice['logprobs']>;
type Whole = { text: string; logprobs: Required<Logprobs>; finish_reason: string };
const complete = async (body: object): Promise<Whole[]> =>
  (await client.completions.create({ model: 'tiny', ...body } as OpenAI.CompletionCreateParamsNonStreaming))
    .choices as Whole[];

// An emoji is of several tokens here.
const text =
  'Tell me 👩 a story of the sea, and of those who sailed it long ago, when maps had blank places.';

test('with max_tokens 0 the prompt is scored and nothing is generated', async () => {
  const ids = model.tokenizer?.encode(text) ?? [];
  const answer = await client.completions.create({
    model: 'tiny',
    prompt: text,
    echo: true,
    logprobs: 3,
    max_tokens: 0,
  });
  expect(answer.usage).toMatchObject({ prompt_tokens: ids.length, completion_tokens: 0 });
  const [choice] = answer.choices as Whole[];
  expect([choice?.text, choice?.finish_reason]).toEqual([text, 'length']);
  const { tokens = [], token_logprobs = [], top_logprobs = [], text_offset = [] } = choice?.logprobs ?? {};
  expect([tokens, token_logprobs, top_logprobs, text_offset].map((list) => list.length)).toEqual(
    Array(4).fill(ids.length),
  );
  expect([token_logprobs[0], top_logprobs[0]]).toEqual([null, null]);

  const { data, shape } = await model.logits(ids);
  ids.slice(1).forEach((id, i) => {
    const row = data.subarray(i * shape[1], (i + 1) * shape[1]);
    expect(token_logprobs[i + 1]).toBeCloseTo(logProbability(row, id), 4);
    const best = Math.max(...Object.values(top_logprobs[i + 1] ?? {}));
    expect(best).toBeCloseTo(Math.max(...[...row.keys()].map((each) => logProbability(row, each))), 4);
    expect(top_logprobs[i + 1]).toHaveProperty([tokens[i + 1] ?? ''], token_logprobs[i + 1]);
  });
  expect(tokens.filter((token) => token.startsWith('bytes:\\x')).length).toBeGreaterThan(1);
  tokens.forEach((token, i) => {
    if (!token.startsWith('bytes:')) expect(text.startsWith(token, text_offset[i])).toBe(true);
  });
});

describe.each([
  ['a text', { prompt: text }],
  [
    'token ids, two answers each',
    {
      prompt: [
        [72, 105],
        [79, 104, 33],
      ],
      n: 2,
    },
  ],
  ['texts without log probabilities', { prompt: ['Hi', 'Oh!'], logprobs: undefined }],
])('%s', (_, request) => {
  const body = { echo: true, logprobs: 2, max_tokens: 6, seed: 3, ignore_eos: true, ...request };

  test('a stream put together is the answer that was not streamed', async () => {
    const whole = await complete(body);
    const streamed = whole.map(() => ({ text: '', logprobs: {} as Record<string, unknown[]> }));
    const stream = await client.completions.create({
      model: 'tiny',
      ...body,
      stream: true,
    } as OpenAI.CompletionCreateParamsStreaming);
    for await (const { choices } of stream) {
      for (const { index, text: piece, logprobs } of choices) {
        const choice = streamed[index];
        if (!choice) throw new Error(`choice ${index} is one too many`);
        choice.text += piece;
        for (const [key, list] of Object.entries(logprobs ?? {})) {
          choice.logprobs[key] = [...(choice.logprobs[key] ?? []), ...list];
        }
      }
    }
    expect(streamed).toEqual(whole.map((choice) => ({ text: choice.text, logprobs: choice.logprobs ?? {} })));
  });

  test('the answer follows the prompt', async () => {
    const whole = await complete(body);
    const { echo: _echo, ...plain } = body;
    const without = await complete(plain);
    whole.forEach((choice, i) => {
      const own = without[i];
      expect(choice.text.endsWith(own?.text ?? 'x')).toBe(true);
      if (!own?.logprobs) return;
      expect(choice.logprobs.tokens.slice(-6)).toEqual(own.logprobs.tokens);
      const start = choice.text.length - own.text.length;
      expect(choice.logprobs.text_offset.slice(-6)).toEqual(own.logprobs.text_offset.map((at) => at + start));
    });
  });
});

test('scores do not depend on what runs beside, and too long a prompt is told with its limit', async () => {
  const body = { prompt: text, echo: true, logprobs: 0, max_tokens: 0 };
  const [alone] = await complete(body);
  const busy = complete({ prompt: 'x', max_tokens: 400, ignore_eos: true, n: 4 });
  const beside = await Promise.all([complete(body), complete(body)]);
  await busy;
  for (const [choice] of beside) expect(choice).toEqual(alone);
  expect(model.status()).toMatchObject({ running: 0, queued: 0 });
  const ids = Array.from({ length: 4097 }, () => 65);
  await expect(complete({ ...body, prompt: [ids, ids] })).rejects.toThrow(/at most 8192 tokens.*are 8194/);
  await expect(complete({ ...body, prompt: ids, logprobs: 20 })).rejects.toThrow(/at most 2340 tokens/);
});
