// Answers whose form is prescribed: schemas, forced and strict tools, through every API by one engine.

import Anthropic from '@anthropic-ai/sdk';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Harness, startHarness } from './harness.ts';

let harness: Harness;
let openai: OpenAI;
let anthropic: Anthropic;
let ollama: Ollama;
beforeAll(async () => {
  // A model that wants to ramble: what comes out is what the constraint leaves of it.
  harness = await startHarness({ script: { answer: () => 'I would rather tell you a story. '.repeat(40) } });
  openai = new OpenAI({ baseURL: `${harness.url}/v1`, apiKey: 'any', maxRetries: 0 });
  anthropic = new Anthropic({ baseURL: harness.url, apiKey: 'any', maxRetries: 0 });
  ollama = new Ollama({ host: harness.url });
});
afterAll(() => harness[Symbol.asyncDispose]());

const schema = {
  type: 'object',
  properties: { color: { enum: ['red', 'green'] }, ok: { type: 'boolean' } },
  required: ['color', 'ok'],
  additionalProperties: false,
} as const;
const fits = { color: expect.stringMatching(/^(red|green)$/), ok: expect.any(Boolean) };
const messages = [{ role: 'user' as const, content: 'x' }];
const tool = { name: 'paint', parameters: schema };

describe('a schema', () => {
  test('chat completions', async () => {
    const response_format = {
      type: 'json_schema' as const,
      json_schema: { name: 'c', schema, strict: true },
    };
    const request = { model: 'tiny', messages, response_format, n: 2 };
    const { choices } = await openai.chat.completions.create(request);
    for (const { message, finish_reason } of choices) {
      expect([JSON.parse(message.content ?? ''), finish_reason]).toEqual([fits, 'stop']);
    }
    const streamed = await openai.chat.completions.stream(request).finalChatCompletion();
    expect(streamed.choices.map(({ message }) => message.content)).toEqual(
      choices.map(({ message }) => message.content),
    );
  });

  test('completions, responses, messages, Ollama', async () => {
    const format = { type: 'json_schema' as const, name: 'c', schema, strict: true };
    const continued = await openai.completions.create({
      model: 'tiny',
      prompt: 'x',
      max_tokens: 200,
      response_format: format,
    } as never);
    expect(JSON.parse((continued as OpenAI.Completion).choices[0]?.text ?? '')).toEqual(fits);
    const { output_text } = await openai.responses.create({ model: 'tiny', input: 'x', text: { format } });
    expect(JSON.parse(output_text)).toEqual(fits);
    const message = await anthropic.messages.create({
      model: 'tiny',
      max_tokens: 200,
      messages,
      output_config: { format: { type: 'json_schema', schema } },
    });
    expect(message.content).toMatchObject([{ type: 'text' }]);
    expect(JSON.parse(message.content[0]?.type === 'text' ? message.content[0].text : '')).toEqual(fits);
    const chat = await ollama.chat({ model: 'tiny', messages, format: schema });
    expect(JSON.parse(chat.message.content)).toEqual(fits);
  });

  test('any JSON object', async () => {
    const response_format = { type: 'json_object' as const };
    const { choices } = await openai.chat.completions.create({ model: 'tiny', messages, response_format });
    expect(JSON.parse(choices[0]?.message.content ?? '')).toEqual(expect.any(Object));
  });

  test('a keyword that cannot be followed is an error that names it', async () => {
    const bad = { type: 'object', properties: { a: { $ref: 'https://example.com/elsewhere' } } };
    const response_format = { type: 'json_schema' as const, json_schema: { name: 'c', schema: bad } };
    const error = await openai.chat.completions
      .create({ model: 'tiny', messages, response_format })
      .then(undefined, (e) => e);
    expect(error).toBeInstanceOf(OpenAI.BadRequestError);
    expect(error.message).toMatch(/"\$ref" at #\/properties\/a/);
    expect(harness.model().running).toBe(0);
  });
});

describe('a forced call', () => {
  test('chat completions: required, and by name', async () => {
    const tools = [
      { type: 'function' as const, function: tool },
      { type: 'function' as const, function: { name: 'zero' } },
    ];
    for (const tool_choice of [
      'required' as const,
      { type: 'function' as const, function: { name: 'paint' } },
    ]) {
      const { choices } = await openai.chat.completions.create({
        model: 'tiny',
        messages,
        tools,
        tool_choice,
        parallel_tool_calls: false,
      });
      expect(choices[0]).toMatchObject({ finish_reason: 'tool_calls', message: { content: null } });
      const [call] = choices[0]?.message.tool_calls ?? [];
      if (call?.type !== 'function') throw new Error('no call');
      expect(call.function.name).toBe('paint');
      expect(JSON.parse(call.function.arguments)).toEqual(fits);
    }
  });

  test('messages: any, and by name; streamed arguments are the same', async () => {
    const tools = [{ name: 'paint', input_schema: { ...schema, required: [...schema.required] } }];
    for (const tool_choice of [
      { type: 'any' as const, disable_parallel_tool_use: true },
      { type: 'tool' as const, name: 'paint' },
    ]) {
      const request = { model: 'tiny', max_tokens: 300, messages, tools, tool_choice };
      const message = await anthropic.messages.create(request);
      expect(message).toMatchObject({
        stop_reason: 'tool_use',
        content: [{ type: 'tool_use', name: 'paint', input: fits }],
      });
      const streamed = await anthropic.messages.stream(request).finalMessage();
      expect(streamed.content).toMatchObject([{ type: 'tool_use', name: 'paint', input: fits }]);
    }
  });
});
