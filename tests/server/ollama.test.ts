// The Ollama API through its own client.

import { Ollama, type Tool } from 'ollama';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { echo, type Harness, startHarness, withoutIds } from './harness.ts';

let harness: Harness;
let client: Ollama;
let answer: (prompt: string) => string = echo;

beforeAll(async () => {
  harness = await startHarness({ script: { answer: (prompt) => answer(prompt) }, names: ['tiny', 'other'] });
  client = new Ollama({ host: harness.url });
});
afterAll(() => harness[Symbol.asyncDispose]());

const messages = [{ role: 'user', content: 'hello' }];
const weather: Tool = { type: 'function', function: { name: 'weather', parameters: { type: 'object' } } };

test('a chat is answered whole or in lines, with tool calls and thinking', async () => {
  answer = () => '[think]hm[/think]So.[call weather]{"city":"Oslo"}[/call]';
  const whole = await client.chat({ model: 'tiny', messages, tools: [weather], think: true });
  expect(whole).toMatchObject({
    model: 'tiny',
    done: true,
    done_reason: 'stop',
    message: {
      role: 'assistant',
      content: 'So.',
      thinking: 'hm',
      tool_calls: [{ function: { name: 'weather', arguments: { city: 'Oslo' } } }],
    },
  });
  expect(whole.eval_count).toBeGreaterThan(10);
  const joined = { content: '', thinking: '', tool_calls: [] as object[] };
  let last: object = {};
  for await (const { message, ...rest } of await client.chat({
    model: 'tiny:latest',
    messages,
    tools: [weather],
    stream: true,
  })) {
    joined.content += message.content;
    joined.thinking += message.thinking ?? '';
    joined.tool_calls.push(...(message.tool_calls ?? []));
    last = rest;
  }
  const { content, thinking, tool_calls } = whole.message;
  expect(withoutIds(joined)).toEqual(withoutIds({ content, thinking, tool_calls }));
  expect(last).toMatchObject({ done: true, done_reason: 'stop', eval_count: whole.eval_count });
});

test('a text is generated, through the template or raw', async () => {
  answer = (prompt) => `<${prompt.replaceAll('<|im_', '').replaceAll('|>', '')}>`;
  const templated = await client.generate({
    model: 'tiny',
    prompt: 'hi',
    system: 'S',
    options: { temperature: 0, num_predict: 400 },
  });
  expect(templated.response).toBe(
    '<start>system\nSend>\nstart>user\nhiend>\nstart>assistant\n>'
      .replaceAll('start>', 'start')
      .replaceAll('end>', 'end'),
  );
  const raw = await client.generate({ model: 'tiny', prompt: 'hi', raw: true });
  expect(raw.response).toBe('<hi>');
  let text = '';
  for await (const { response } of await client.generate({
    model: 'tiny',
    prompt: 'hi',
    raw: true,
    stream: true,
  }))
    text += response;
  expect(text).toBe('<hi>');
  expect(harness.model().asked.at(-1)).toMatchObject({ temperature: 0.8, topK: 40, topP: 0.9 });
});

test('options arrive, and a limit of tokens shows', async () => {
  answer = () => 'abcdef';
  const cut = await client.chat({
    model: 'tiny',
    messages,
    options: { num_predict: 3, seed: 5, stop: ['z'], repeat_penalty: 1.1 },
  });
  expect(cut).toMatchObject({ message: { content: 'abc' }, done_reason: 'length' });
  expect(harness.model().asked.at(-1)).toMatchObject({ maxTokens: 3, seed: 5, repetitionPenalty: 1.1 });
});

test('num_ctx is the room for prompt and answer', async () => {
  answer = () => 'abcdef'.repeat(20);
  const asked = (options: object, truncate = false) =>
    client.chat({
      model: 'tiny',
      messages: conversation,
      options,
      truncate,
    } as never) as Promise<never> as Promise<{ prompt_eval_count: number }>;
  const conversation = [
    ...Array.from({ length: 6 }, (_, i) => ({
      role: i % 2 ? 'assistant' : 'user',
      content: `turn ${i}`.padEnd(40, '.'),
    })),
    ...messages,
  ];
  const { prompt_eval_count: whole } = await asked({ num_predict: 1 });
  await expect(asked({ num_ctx: whole - 1 })).rejects.toThrow(/context of .* holds/);
  const cut = await asked({ num_ctx: whole + 7 });
  expect(cut).toMatchObject({ done_reason: 'length', eval_count: 7 });
  const shorter = await asked({ num_ctx: 200, num_predict: 10 }, true);
  expect(shorter.prompt_eval_count).toBeLessThanOrEqual(190);
  expect((await asked({ num_ctx: 10 ** 9, num_predict: 1 })).prompt_eval_count).toBe(whole);
});

test('models are listed, shown, loaded and let go', async () => {
  const { models } = await client.list();
  expect(models.map(({ name }) => name)).toEqual(['tiny', 'other']);
  expect(await client.show({ model: 'tiny' })).toMatchObject({
    capabilities: expect.arrayContaining(['completion']),
  });
  const running = async () => (await client.ps()).models.map(({ name }) => name);
  await client.chat({ model: 'other', messages: [], keep_alive: '10m' });
  expect(await running()).toEqual(['tiny', 'other']);
  const { models: shown } = await client.ps();
  const left = Date.parse(String(shown[1]?.expires_at)) - Date.now();
  expect(left).toBeGreaterThan(9 * 60_000);
  expect(left).toBeLessThanOrEqual(10 * 60_000);
  await client.generate({ model: 'other', prompt: '', keep_alive: 0 });
  expect(await running()).toEqual(['tiny']);
  expect(harness.loaded.map(({ disposed }) => disposed)).toEqual([false, true]);
  expect(await client.version()).toEqual({ version: expect.stringMatching(/^0\.1\d\./), ingot: '1.2.3' });
});

test('vectors of texts', async () => {
  const { embeddings } = await client.embed({ model: 'tiny', input: ['a', 'b'] });
  expect(embeddings.map((vector) => Math.hypot(...vector).toFixed(4))).toEqual(['1.0000', '1.0000']);
});

test('errors have its shape', async () => {
  await expect(client.chat({ model: 'huge', messages })).rejects.toMatchObject({
    status_code: 404,
    error: /there are: tiny, other/,
  });
  await expect(
    client.chat({ model: 'tiny', messages: [{ role: 'user', content: 'x', images: ['aGk='] }] }),
  ).rejects.toThrow(/images are not supported/);
  await expect(client.chat({ model: 'tiny', messages, keep_alive: 'soon' })).rejects.toThrow(
    /"soon" is not a duration/,
  );
  await expect(client.generate({ model: 'tiny', prompt: 'x', suffix: 'y' })).rejects.toThrow(/suffix/);
});
