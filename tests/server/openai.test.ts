// The OpenAI API through its own client.

import OpenAI from 'openai';
import type { ChatCompletionTool } from 'openai/resources/chat/completions';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ScriptedModel } from '../../src/testing/scripted-model.ts';
import { echo, type Harness, startHarness, withoutIds } from './harness.ts';

let harness: Harness;
let client: OpenAI;
let answer: ((prompt: string) => string) | undefined;

beforeAll(async () => {
  harness = await startHarness({ script: { answer: (prompt) => (answer ?? echo)(prompt) } });
  client = new OpenAI({ baseURL: `${harness.url}/v1`, apiKey: 'any', maxRetries: 0 });
});
afterAll(() => harness[Symbol.asyncDispose]());

const say = (text: string): void => {
  answer = text === '' ? undefined : () => text;
};
const user = (content: string) => [{ role: 'user' as const, content }];
const weather: ChatCompletionTool = {
  type: 'function',
  function: { name: 'weather', parameters: { type: 'object', properties: { city: { type: 'string' } } } },
};
const twoCalls =
  '[think]which?[/think]Let me see.[call weather]{"city":"Oslo"}[/call][call weather]{"city":"Rome"}[/call]';

describe('chat', () => {
  test('answers, with usage that counts cached tokens', async () => {
    say('');
    const request = { model: 'tiny', messages: user('hello'), seed: 1 };
    const first = await client.chat.completions.create(request);
    expect(first).toMatchObject({
      object: 'chat.completion',
      model: 'tiny',
      choices: [
        { index: 0, message: { role: 'assistant', content: 'You said: hello' }, finish_reason: 'stop' },
      ],
    });
    const { usage } = await client.chat.completions.create(request);
    expect(usage?.completion_tokens).toBe('You said: hello'.length);
    expect(usage?.prompt_tokens_details?.cached_tokens).toBe((usage?.prompt_tokens ?? 0) - 1);
    expect(usage?.total_tokens).toBe((usage?.prompt_tokens ?? 0) + 15);
  });

  test.each([
    ['text', 'Plain words, and ümläuts 👩‍👧.'],
    ['reasoning and calls', twoCalls],
    ['nothing', ''],
  ])('a stream of %s put together is the answer that was not streamed', async (_, text) => {
    answer = () => text;
    const request = { model: 'tiny', messages: user('x'), tools: [weather] };
    const whole = await client.chat.completions.create(request);
    const stream = client.chat.completions.stream({ ...request, stream_options: { include_usage: true } });
    const streamed = await stream.finalChatCompletion();
    expect(streamed.choices[0]?.message).toMatchObject({
      content: whole.choices[0]?.message.content || null,
      role: 'assistant',
    });
    expect(withoutIds(streamed.choices[0]?.message.tool_calls)).toEqual(
      withoutIds(whole.choices[0]?.message.tool_calls),
    );
    expect(streamed.choices[0]?.finish_reason).toBe(whole.choices[0]?.finish_reason);
    expect(streamed.usage).toEqual({ ...whole.usage, prompt_tokens_details: expect.anything() });
  });

  test('tool calls keep their ids and end with tool_calls; reasoning has its field', async () => {
    say(twoCalls);
    const { choices, usage } = await client.chat.completions.create({
      messages: user('x'),
      model: 'tiny',
      tools: [weather],
    });
    expect(choices[0]).toMatchObject({
      finish_reason: 'tool_calls',
      message: {
        content: 'Let me see.',
        reasoning_content: 'which?',
        tool_calls: [
          {
            id: expect.stringMatching(/^call_/),
            type: 'function',
            function: { name: 'weather', arguments: '{"city":"Oslo"}' },
          },
          { id: expect.stringMatching(/^call_/), function: { arguments: '{"city":"Rome"}' } },
        ],
      },
    });
    expect(usage?.completion_tokens_details?.reasoning_tokens).toBeGreaterThan(3);
  });

  test('n answers, streamed side by side, with log probabilities', async () => {
    say('abc');
    const request = { model: 'tiny', messages: user('x'), n: 3, logprobs: true, top_logprobs: 2 };
    const whole = await client.chat.completions.create(request);
    expect(whole.choices.map(({ message }) => message.content)).toEqual(['abc', 'abc', 'abc']);
    expect(
      whole.choices[1]?.logprobs?.content?.map(({ token, bytes, logprob }) => [token, bytes, logprob]),
    ).toEqual([
      ['a', [97], -0.5],
      ['b', [98], -0.5],
      ['c', [99], -0.5],
    ]);
    expect(whole.choices[0]?.logprobs?.content?.[0]?.top_logprobs).toHaveLength(2);
    expect(whole.usage?.completion_tokens).toBe(9);
    const streamed = await client.chat.completions.stream(request).finalChatCompletion();
    expect(streamed.choices.map(({ logprobs }) => logprobs)).toEqual(
      whole.choices.map(({ logprobs }) => logprobs),
    );
  });

  test('what shapes the sampling arrives at the engine', async () => {
    say('0123456789');
    await client.chat.completions.create({
      model: 'tiny',
      messages: user('x'),
      temperature: 0.25,
      top_p: 0.5,
      seed: 7,
      presence_penalty: 0.5,
      frequency_penalty: -0.5,
      logit_bias: { '65': -100 },
      n: 2,
      max_completion_tokens: 4,
    });
    const asked = harness.model().asked.slice(-2);
    expect(asked[0]).toMatchObject({
      temperature: 0.25,
      topP: 0.5,
      seed: 7,
      presencePenalty: 0.5,
      frequencyPenalty: -0.5,
      logitBias: { 65: -100 },
      maxTokens: 4,
    });
    expect(asked.map(({ seed }) => seed)).toEqual([7, 8]);
  });

  test('stop texts and the token limit end an answer', async () => {
    say('one two three');
    const stopped = await client.chat.completions.create({
      model: 'tiny',
      messages: user('x'),
      stop: ['thr', ' tw'],
    });
    expect(stopped.choices[0]).toMatchObject({ message: { content: 'one' }, finish_reason: 'stop' });
    const cut = await client.chat.completions.create({ model: 'tiny', messages: user('x'), max_tokens: 5 });
    expect(cut.choices[0]).toMatchObject({ message: { content: 'one t' }, finish_reason: 'length' });
  });

  test('parts of text, tool results and calls of earlier turns reach the prompt; unknown fields do not matter', async () => {
    say('');
    await client.chat.completions.create({
      model: 'tiny',
      messages: [
        { role: 'developer', content: 'Be kind.' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'a' },
            { type: 'text', text: 'b' },
          ],
        },
        {
          role: 'assistant',
          content: null,
          tool_calls: [{ id: 'c1', type: 'function', function: { name: 'weather', arguments: '{}' } }],
        },
        { role: 'tool', tool_call_id: 'c1', content: 'sunny' },
      ],
      // @ts-expect-error a field that nobody knows
      frobnicate: { deeply: true },
      user: 'me',
    });
    expect(harness.model().prompts.at(-1)).toMatch(/Be kind\..*user\nab.*tool\w*>?\nsunny/s);
  });

  test.each([
    [{ messages: [] }, /messages: must have at least one message/, 'messages'],
    [{ messages: user('x'), temperature: 'hot' }, /temperature: /, 'temperature'],
    [{ messages: user('x'), n: 0 }, /n: /, 'n'],
    [
      { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'http://x' } }] }] },
      /"image_url" is not supported/,
      'messages[0].content[0]',
    ],
    [{ messages: user('x'), tool_choice: 'required' }, /has no tools/, 'tool_choice'],
    [
      {
        messages: user('x'),
        tools: [weather],
        tool_choice: { type: 'function', function: { name: 'nope' } },
      },
      /"nope" is not among the tools \(weather\)/,
      'tool_choice',
    ],
    [
      { messages: user('x'), response_format: { type: 'json_schema', json_schema: { name: 'x' } } },
      /schema is missing/,
      'response_format',
    ],
    [{ messages: user('x'), top_logprobs: 3 }, /needs logprobs/, 'top_logprobs'],
    [{ messages: [{ role: 'clown', content: 'x' }] }, /messages\[0\]\.role/, 'messages[0].role'],
  ])('refuses %j', async (body, message, param) => {
    const error = await client.chat.completions
      .create({ model: 'tiny', ...body } as never)
      .then(undefined, (e) => e);
    expect(error).toBeInstanceOf(OpenAI.BadRequestError);
    expect(error.message).toMatch(message);
    expect([error.type, error.param]).toEqual(['invalid_request_error', param]);
  });

  test('a model that is not there, and a prompt that does not fit, are told with names and numbers', async () => {
    const missing = await client.chat.completions
      .create({ model: 'huge', messages: user('x') })
      .then(undefined, (e) => e);
    expect(missing).toBeInstanceOf(OpenAI.NotFoundError);
    expect([missing.code, missing.message]).toEqual([
      'model_not_found',
      expect.stringContaining('there are: tiny'),
    ]);
    const long = await client.chat.completions
      .create({ model: 'tiny', messages: user('x'.repeat(5000)), stream: true })
      .then(undefined, (e) => e);
    expect(long).toBeInstanceOf(OpenAI.BadRequestError);
    expect(long.code).toBe('context_length_exceeded');
    expect(long.message).toMatch(/the prompt has 50\d\d tokens and the context of tiny holds 4096/);
  });

  test('a prompt that does not fit is told with the name that clients know, in the field that is too long', async () => {
    const nameless = await startHarness({
      load: async () => new ScriptedModel({ name: '/home/me/secret/file.gguf', answer: echo }),
    });
    const other = new OpenAI({ baseURL: `${nameless.url}/v1`, apiKey: 'any', maxRetries: 0 });
    const long = 'x'.repeat(5000);
    for (const [call, param] of [
      [() => other.chat.completions.create({ model: 'tiny', messages: user(long) }), 'messages'],
      [() => other.completions.create({ model: 'tiny', prompt: long }), 'prompt'],
      [() => other.embeddings.create({ model: 'tiny', input: ['x', long] }), 'input[1]'],
    ] as const) {
      const error = await call().then(undefined, (e) => e);
      expect([error.status, error.code, error.param]).toEqual([400, 'context_length_exceeded', param]);
      expect(error.message).toMatch(/the prompt has 50\d\d tokens and the context of tiny holds 4096/);
    }
    await nameless[Symbol.asyncDispose]();
  });

  test('an alias is another name', async () => {
    say('hi');
    const { model } = await client.chat.completions.create({ model: 'gpt-4o', messages: user('x') });
    expect(model).toBe('gpt-4o');
  });
});

describe('completions', () => {
  test('several prompts and answers, streamed or not', async () => {
    answer = (prompt) => `<${prompt}>`;
    const request = { model: 'tiny', prompt: ['ab', 'cd'], n: 2, max_tokens: 3, echo: true };
    const whole = await client.completions.create(request);
    expect(whole.choices.map(({ text }) => text)).toEqual(['ab<ab', 'ab<ab', 'cd<cd', 'cd<cd']);
    expect(whole.usage).toMatchObject({ prompt_tokens: 4, completion_tokens: 12 });
    const texts = ['', '', '', ''];
    for await (const chunk of await client.completions.create({ ...request, stream: true })) {
      for (const { index, text } of chunk.choices) texts[index] += text;
    }
    expect(texts).toEqual(whole.choices.map(({ text }) => text));
  });

  test('token ids are a prompt, and log probabilities have their offsets', async () => {
    say('xyz');
    const { choices } = await client.completions.create({ model: 'tiny', prompt: [104, 105], logprobs: 1 });
    expect(harness.model().prompts.at(-1)).toBe('hi');
    expect(choices[0]?.logprobs).toEqual({
      tokens: ['x', 'y', 'z'],
      token_logprobs: [-0.5, -0.5, -0.5],
      top_logprobs: [{ x: -0.5 }, { y: -0.5 }, { z: -0.5 }],
      text_offset: [0, 1, 2],
    });
  });

  test.each([
    [{ prompt: 'x', suffix: 'y' }, /suffix/],
    [{ prompt: 'x', best_of: 3 }, /best_of/],
    [{ prompt: 'x', max_tokens: -2 }, /max_tokens: must be at least 0, or -1 for no limit/],
    [{ prompt: Array(65).fill('x') }, /65 prompts/],
    [{ prompt: 7 }, /prompt/],
  ])('refuses %j', async (body, message) => {
    await expect(client.completions.create({ model: 'tiny', ...body } as never)).rejects.toThrow(message);
  });
});

describe('responses', () => {
  test('a stream ends with the response that is not streamed', async () => {
    say(twoCalls);
    const request = {
      model: 'tiny',
      instructions: 'Be brief.',
      input: [
        { role: 'user' as const, content: 'x' },
        { type: 'function_call' as const, call_id: 'c9', name: 'weather', arguments: '{}' },
        { type: 'function_call_output' as const, call_id: 'c9', output: 'rain' },
        { role: 'user' as const, content: [{ type: 'input_text' as const, text: 'and now?' }] },
      ],
      tools: [
        { type: 'web_search' as const },
        { type: 'function' as const, name: 'weather', parameters: { type: 'object' }, strict: false },
      ],
    };
    const whole = await client.responses.create(request);
    expect(whole.output_text).toBe('Let me see.');
    expect(whole.status).toBe('completed');
    expect(whole.output.map(({ type }) => type)).toEqual([
      'reasoning',
      'message',
      'function_call',
      'function_call',
    ]);
    expect(whole.output[2]).toMatchObject({
      call_id: expect.stringMatching(/^call_/),
      name: 'weather',
      arguments: '{"city":"Oslo"}',
    });
    expect(whole.tools).toHaveLength(1);
    expect(harness.model().prompts.at(-1)).toMatch(/Be brief\..*user\nx.*tool\w*>?\nrain.*and now\?/s);

    const types: string[] = [];
    const stream = client.responses.stream(request).on('event', ({ type }) => types.push(type));
    const streamed = await stream.finalResponse();
    const itemsOf = (output: readonly object[]) => withoutIds(output.map((item) => ({ ...item, id: '' })));
    expect(itemsOf(streamed.output)).toMatchObject(itemsOf(whole.output) as object);
    expect(types.slice(0, 2)).toEqual(['response.created', 'response.in_progress']);
    expect(types.at(-1)).toBe('response.completed');
    expect(types.filter((type) => type === 'response.output_item.done')).toHaveLength(4);
  });

  test('a cut answer is incomplete', async () => {
    say('a long answer');
    const response = await client.responses.create({ model: 'tiny', input: 'x', max_output_tokens: 3 });
    expect(response).toMatchObject({
      status: 'incomplete',
      incomplete_details: { reason: 'max_output_tokens' },
      output_text: 'a l',
      usage: { output_tokens: 3 },
    });
  });

  test.each([
    [{ input: 'x', previous_response_id: 'resp_1' }, /stores no responses/],
    [{ input: 'x', conversation: 'c' }, /stores no responses/],
    [{ input: 'x', background: true }, /background/],
    [{ input: [{ type: 'item_reference', id: 'x' }] }, /no item x to refer to; send the item itself/],
    [{ input: [{ role: 'user', content: [{ type: 'input_image' }] }] }, /"input_image" is not supported/],
  ])('refuses %j', async (body, message) => {
    await expect(client.responses.create({ model: 'tiny', ...body } as never)).rejects.toThrow(message);
  });
});

describe('embeddings and models', () => {
  test('vectors of texts, as numbers or as the client asks by default', async () => {
    const asNumbers = await client.embeddings.create({
      model: 'tiny',
      input: ['ab', 'b'],
      encoding_format: 'float',
    });
    const byDefault = await client.embeddings.create({ model: 'tiny', input: ['ab', 'b'] });
    expect(asNumbers.data).toHaveLength(2);
    for (const [i, { embedding }] of asNumbers.data.entries()) {
      expect(Math.hypot(...embedding)).toBeCloseTo(1, 5);
      byDefault.data[i]?.embedding.forEach((value, k) => {
        expect(value).toBeCloseTo(embedding[k] ?? Number.NaN, 6);
      });
    }
    expect(asNumbers.usage.prompt_tokens).toBe(3);
    const short = await client.embeddings.create({ model: 'tiny', input: 'ab', dimensions: 3 });
    const [vector = []] = short.data.map(({ embedding }) => embedding);
    expect(vector).toHaveLength(3);
    expect(Math.hypot(...vector)).toBeCloseTo(1, 5);
    await expect(client.embeddings.create({ model: 'tiny', input: 'x', dimensions: 9 })).rejects.toThrow(
      /have 8/,
    );
    await expect(client.embeddings.create({ model: 'tiny', input: '' })).rejects.toThrow(/is empty/);
  });

  test('models are listed with their context', async () => {
    const { data } = await client.models.list();
    expect(data).toMatchObject([{ id: 'tiny', object: 'model', owned_by: 'ingot', context_length: 4096 }]);
    expect(await client.models.retrieve('tiny')).toMatchObject({ id: 'tiny' });
    await expect(client.models.retrieve('nope')).rejects.toBeInstanceOf(OpenAI.NotFoundError);
  });
});
