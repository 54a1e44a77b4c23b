// The Anthropic API through its own client.

import Anthropic from '@anthropic-ai/sdk';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { echo, type Harness, startHarness, withoutIds } from './harness.ts';

let harness: Harness;
let client: Anthropic;
let answer: (prompt: string) => string = echo;

beforeAll(async () => {
  harness = await startHarness({ script: { answer: (prompt) => answer(prompt), contextLength: 100_000 } });
  client = new Anthropic({ baseURL: harness.url, apiKey: 'any', maxRetries: 0 });
});
afterAll(() => harness[Symbol.asyncDispose]());

const base = { model: 'tiny', max_tokens: 500, messages: [{ role: 'user' as const, content: 'hello' }] };
const tools = [
  { name: 'weather', input_schema: { type: 'object' as const, properties: { city: { type: 'string' } } } },
];
const twoCalls =
  '[think]which?[/think]Let me see.[call weather]{"city":"Oslo"}[/call][call weather]{"city":"Rome"}[/call]';

describe('messages', () => {
  test.each([
    ['text', 'Plain words, and ümläuts 👩‍👧.'],
    ['thinking and calls', twoCalls],
    ['nothing', ''],
  ])('a stream of %s put together is the message that was not streamed', async (_, text) => {
    answer = () => text;
    const request = {
      ...base,
      tools,
      thinking: { type: 'enabled' as const, budget_tokens: 1024 },
      max_tokens: 2000,
    };
    await client.messages.create(request);
    const whole = await client.messages.create(request);
    const streamed = await client.messages.stream(request).finalMessage();
    expect(withoutIds({ ...streamed, id: '' })).toMatchObject(withoutIds({ ...whole, id: '' }) as object);
  });

  test('thinking, text and calls are blocks in their order', async () => {
    answer = () => twoCalls;
    const message = await client.messages.create({ ...base, tools });
    expect(message).toMatchObject({
      type: 'message',
      role: 'assistant',
      stop_reason: 'tool_use',
      stop_sequence: null,
      content: [
        { type: 'thinking', thinking: 'which?', signature: expect.any(String) },
        { type: 'text', text: 'Let me see.' },
        { type: 'tool_use', id: expect.stringMatching(/^call_/), name: 'weather', input: { city: 'Oslo' } },
        { type: 'tool_use', id: expect.stringMatching(/^call_/), name: 'weather', input: { city: 'Rome' } },
      ],
    });
  });

  test('what an agent sends back reaches the prompt', async () => {
    answer = echo;
    await client.messages.create({
      ...base,
      system: [
        { type: 'text', text: 'Rule one.', cache_control: { type: 'ephemeral' } },
        { type: 'text', text: 'Rule two.' },
      ],
      messages: [
        { role: 'user', content: [{ type: 'text', text: 'weather?' }] },
        {
          role: 'assistant',
          content: [
            { type: 'thinking', thinking: 'hm', signature: 'ingot' },
            { type: 'text', text: 'I look.' },
            { type: 'tool_use', id: 't1', name: 'weather', input: { city: 'Oslo' } },
          ],
        },
        {
          role: 'user',
          content: [
            { type: 'tool_result', tool_use_id: 't1', content: [{ type: 'text', text: 'snow' }] },
            { type: 'text', text: 'so?' },
          ],
        },
      ],
      tools: [...tools, { type: 'web_search_20250305', name: 'web_search' }],
    });
    expect(harness.model().prompts.at(-1)).toMatch(
      /system\nRule one\.\n\nRule two\..*user\nweather\?.*assistant\n.*I look\..*tool_response>\nsnow.*\nso\?/s,
    );
  });

  test('stop sequences are told, limits end an answer, and a last assistant message is continued', async () => {
    answer = () => 'one two three';
    const stopped = await client.messages.create({ ...base, stop_sequences: ['four', ' three'] });
    expect(stopped).toMatchObject({
      content: [{ text: 'one two' }],
      stop_reason: 'stop_sequence',
      stop_sequence: ' three',
    });
    const cut = await client.messages.create({ ...base, max_tokens: 3 });
    expect(cut).toMatchObject({
      content: [{ text: 'one' }],
      stop_reason: 'max_tokens',
      usage: { output_tokens: 3 },
    });
    await client.messages.create({
      ...base,
      messages: [...base.messages, { role: 'assistant', content: 'Once ' }],
    });
    expect(harness.model().prompts.at(-1)).toMatch(/assistant\nOnce $/);
  });

  test('the cache is told in the usage, and a changing billing line does not spoil it', async () => {
    answer = () => 'ok';
    const ask = (hash: string) =>
      client.messages.create({
        ...base,
        system: [
          {
            type: 'text',
            text: `x-anthropic-billing-header: cc_version=2.1.36.abc; cc_entrypoint=cli; cch=${hash};`,
          },
          {
            type: 'text',
            text: 'You are a coding agent with many rules.',
            cache_control: { type: 'ephemeral' },
          },
        ],
      });
    await ask('00001');
    const { usage } = await ask('f83b2');
    expect(usage.input_tokens).toBe(1);
    expect(usage.cache_read_input_tokens).toBeGreaterThan(50);
    expect(harness.model().prompts.at(-1)).not.toContain('billing');
    await client.messages.create({ ...base, system: 'x-anthropic-billing-header: cch=1;\nBe brief.' });
    expect(harness.model().prompts.at(-1)).toMatch(/^<\|im_start\|>system\nBe brief\./);
  });

  test('sampling settings arrive', async () => {
    const settings = { temperature: 0.3, top_k: 5, top_p: 0.9 };
    await client.messages.create({ ...base, ...settings });
    expect(harness.model().asked.at(-1)).toMatchObject({
      temperature: 0.3,
      topK: 5,
      topP: 0.9,
      maxTokens: 500,
    });
  });

  test.each([
    [{ max_tokens: undefined }, /max_tokens/],
    [{ messages: [] }, /at least one message/],
    [{ messages: [{ role: 'user', content: [{ type: 'image', source: {} }] }] }, /"image" is not supported/],
    [{ tool_choice: { type: 'any' } }, /no tools/],
    [{ tools, tool_choice: { type: 'tool', name: 'nope' } }, /"nope" is not among the tools/],
    [{ temperature: 2 }, /temperature/],
    [{ system: 4 }, /system/],
  ])('refuses %j', async (change, message) => {
    const error = await client.messages.create({ ...base, ...change } as never).then(undefined, (e) => e);
    expect(error).toBeInstanceOf(Anthropic.BadRequestError);
    expect(error.error).toMatchObject({ type: 'error', error: { type: 'invalid_request_error' } });
    expect(error.error.error.message).toMatch(message);
    expect(error.requestID).toMatch(/^req_/);
  });

  test('a prompt that does not fit is told in words that agents know', async () => {
    const error = await client.messages
      .create({ ...base, messages: [{ role: 'user', content: 'x'.repeat(100_100) }] })
      .then(undefined, (e) => e);
    expect(error).toBeInstanceOf(Anthropic.BadRequestError);
    expect(error.message).toMatch(/prompt is too long: the prompt has 1001\d\d tokens .* holds 100000/);
  });
});

test('context_management takes out what it says, and nothing else', async () => {
  const used = (i: number) => [
    {
      role: 'assistant' as const,
      content: [
        { type: 'thinking' as const, thinking: `thought ${i}`, signature: '' },
        { type: 'tool_use' as const, id: `t${i}`, name: i === 1 ? 'keep' : 'read', input: { path: `p${i}` } },
      ],
    },
    {
      role: 'user' as const,
      content: [{ type: 'tool_result' as const, tool_use_id: `t${i}`, content: `result ${i}` }],
    },
  ];
  const messages = [...base.messages, ...[0, 1, 2, 3].flatMap(used)];
  answer = echo;
  const prompt = async (edits?: readonly object[]): Promise<string> => {
    const context_management = edits && { edits };
    const request = { ...base, max_tokens: 4000, messages, ...(edits ? { context_management } : {}) };
    await client.messages.create(request as never);
    return harness.model().prompts.at(-1) ?? '';
  };
  const clear = { type: 'clear_tool_uses_20250919' };
  const small = { type: 'tool_uses', value: 2 };
  const whole = await prompt();
  expect(whole).toContain('result 0');
  expect(await prompt([clear])).toBe(whole); // far below the 100,000 tokens from which it works
  const one = await prompt([{ ...clear, trigger: small, keep: { type: 'tool_uses', value: 1 } }]);
  expect([0, 1, 2, 3].map((i) => one.includes(`result ${i}`))).toEqual([false, false, false, true]);
  expect(one).toContain('p0');
  const some = await prompt([
    { ...clear, trigger: small, keep: { type: 'tool_uses', value: 1 }, exclude_tools: ['keep'] },
  ]);
  expect([0, 1, 2, 3].map((i) => some.includes(`result ${i}`))).toEqual([false, true, false, true]);
  const inputs = await prompt([{ ...clear, trigger: small, clear_tool_inputs: true }]);
  expect(inputs).not.toContain('p0');
  expect(
    await prompt([{ ...clear, trigger: small, clear_at_least: { type: 'input_tokens', value: 9999 } }]),
  ).toBe(whole);
  const thinking = { type: 'clear_thinking_20251015' };
  expect(await prompt([{ ...thinking, keep: 'all' }])).toBe(whole);
  const thoughts = await prompt([{ ...thinking, keep: { type: 'thinking_turns', value: 1 } }]);
  expect(thoughts.includes('thought 0') && thoughts.includes('thought 3')).toBe(false);
  await expect(prompt([{ type: 'compact_20260112' }])).rejects.toThrow(
    /context_management.edits\[0\].type: .*compact_20260112.* is not supported/,
  );
});

test('tokens of a prompt are counted', async () => {
  const { input_tokens } = await client.messages.countTokens({ model: 'tiny', messages: base.messages });
  expect(input_tokens).toBe(
    harness.model().tokenizer.encode('<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n').length,
  );
});

test('models are listed', async () => {
  const { data } = await client.models.list();
  expect(data).toMatchObject([{ type: 'model', id: 'tiny', display_name: 'tiny' }]);
  expect(await client.models.retrieve('tiny')).toMatchObject({ type: 'model', id: 'tiny' });
});
