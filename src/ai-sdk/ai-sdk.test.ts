// The provider under the real `ai` package, over a model that says what it is told to and keeps to its constraint.

import { embed, embedMany, generateObject, generateText, Output, stepCountIs, streamText, tool } from 'ai';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { load } from '../engine/load.ts';
import { findLocal } from '../hub/resolve.ts';
import { scripted } from '../testing/scripted-model.ts';
import { createIngot } from './index.ts';

const provider = createIngot();

describe('text', () => {
  it('is generated, with usage and settings handed on', async () => {
    const engine = scripted(['Hello there.']);
    const result = await generateText({
      model: provider(engine),
      system: 'Be kind.',
      prompt: 'Hi',
      temperature: 0.25,
      maxOutputTokens: 50,
      topK: 7,
      seed: 3,
      stopSequences: ['never'],
    });
    expect(result.text).toBe('Hello there.');
    expect(result.finishReason).toBe('stop');
    expect(result.usage).toMatchObject({
      inputTokens: engine.tokenizer.encode(engine.prompts[0] ?? '').length,
      outputTokens: 12,
    });
    expect(engine.asked[0]).toMatchObject({ temperature: 0.25, maxTokens: 50, topK: 7, seed: 3 });
    expect(engine.prompts[0]).toContain('Be kind.');
    expect(engine.prompts[0]).toContain('user\nHi');
  });

  it('is streamed in the pieces it comes in', async () => {
    const engine = scripted(['<think>Hm.</think>\n\nBlue, mostly.']);
    const parts: string[] = [];
    const result = streamText({ model: provider(engine), prompt: 'Sky?' });
    for await (const part of result.fullStream) {
      if (part.type === 'text-delta' || part.type === 'reasoning-delta') parts.push(part.text);
    }
    expect(parts.length).toBeGreaterThan(5);
    expect(await result.text).toBe('Blue, mostly.');
    expect(await result.reasoningText).toBe('Hm.');
  });

  it('ends at a stop text and at the limit', async () => {
    const stopped = await generateText({
      model: provider(scripted(['one STOP two'])),
      prompt: 'x',
      stopSequences: ['STOP'],
    });
    expect([stopped.text, stopped.finishReason]).toEqual(['one ', 'stop']);
    const cut = await generateText({
      model: provider(scripted(['one two three'])),
      prompt: 'x',
      maxOutputTokens: 7,
    });
    expect([cut.text, cut.finishReason]).toEqual(['one two', 'length']);
  });

  it('is given up by a signal', async () => {
    const engine = scripted(['word '.repeat(1000)]);
    const controller = new AbortController();
    const result = streamText({
      model: provider(engine),
      prompt: 'x',
      abortSignal: controller.signal,
      onError: () => undefined,
    });
    let seen = 0;
    for await (const _ of result.textStream) if (++seen === 5) controller.abort();
    expect(engine.running).toBe(0);
    expect(seen).toBeLessThan(1000);
  });
});

describe('tools', () => {
  const weather = tool({
    description: 'Weather of a city',
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => ({ city, degrees: 21 }),
  });

  it('are called, and their results answered', async () => {
    const engine = scripted([
      'Let me look.\n<tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}\n</tool_call>',
      'It is 21 degrees.',
    ]);
    const result = await generateText({
      model: provider(engine),
      prompt: 'Weather in Paris?',
      tools: { weather },
      stopWhen: stepCountIs(3),
    });
    expect(result.text).toBe('It is 21 degrees.');
    expect(result.steps[0]?.finishReason).toBe('tool-calls');
    expect(result.steps[0]?.toolCalls[0]).toMatchObject({ toolName: 'weather', input: { city: 'Paris' } });
    expect(engine.prompts[0]).toContain('Weather of a city');
    expect(engine.prompts[1]).toContain('{"city":"Paris","degrees":21}');
    expect(engine.prompts[1]).toContain('Let me look.');
  });

  it('are streamed with their arguments', async () => {
    const engine = scripted([
      '<tool_call>\n{"name": "weather", "arguments": {"city": "Oslo"}}\n</tool_call>',
    ]);
    const deltas: string[] = [];
    const result = streamText({ model: provider(engine), prompt: 'x', tools: { weather } });
    for await (const part of result.fullStream) if (part.type === 'tool-input-delta') deltas.push(part.delta);
    expect(JSON.parse(deltas.join(''))).toEqual({ city: 'Oslo' });
    expect(deltas.length).toBeGreaterThan(3);
  });

  it('can be forced: a model that would rather chat has to call', async () => {
    const engine = scripted(['I would rather talk about something else.']);
    const { inputSchema } = weather;
    const result = await generateText({
      model: provider(engine),
      prompt: 'x',
      tools: { weather: tool({ inputSchema }), other: tool({ inputSchema: z.object({}) }) },
      toolChoice: { type: 'tool', toolName: 'weather' },
    });
    expect(result.toolCalls).toHaveLength(1);
    expect(result.toolCalls[0]?.toolName).toBe('weather');
    expect(result.finishReason).toBe('tool-calls');
  });
});

describe('objects', () => {
  const schema = z.object({
    colour: z.enum(['red', 'blue']),
    count: z.number().int().min(1).max(9),
    tags: z.array(z.string()).max(2),
  });

  it('follow their schema, whatever the model would like to say', async () => {
    const willing = scripted(['{"colour": "blue", "count": 3, "tags": ["a"]}']);
    expect((await generateObject({ model: provider(willing), schema, prompt: 'x' })).object).toEqual({
      colour: 'blue',
      count: 3,
      tags: ['a'],
    });
    const unwilling = scripted(['No. I refuse!']);
    const { object } = await generateObject({ model: provider(unwilling), schema, prompt: 'x' });
    expect(schema.safeParse(object).success).toBe(true);
  });

  it('can be the output of a text', async () => {
    const engine = scripted(['{"colour": "red", "count": 1, "tags": []}']);
    const result = await generateText({
      model: provider(engine),
      output: Output.object({ schema }),
      prompt: 'x',
    });
    expect(result.output).toEqual({ colour: 'red', count: 1, tags: [] });
  });

  it('say what of a schema cannot be followed', async () => {
    const engine = scripted(['{}']);
    const impossible = z.object({ a: z.string().regex(/(x)\1/) });
    await expect(
      generateObject({ model: provider(engine), schema: impossible, prompt: 'x', maxRetries: 0 }),
    ).rejects.toThrow(/a back reference/);
  });
});

it('makes vectors of texts', async () => {
  const engine = scripted([]);
  const model = provider.embeddingModel(engine);
  const { embedding, usage } = await embed({ model, value: 'abc' });
  expect(embedding).toEqual([...(await engine.embed('abc'))]);
  expect(usage.tokens).toBe(3);
  const { embeddings } = await embedMany({ model, values: ['abc', 'b'] });
  expect(embeddings).toEqual([embedding, [...(await engine.embed('b'))]]);
  const last = await embed({ model, value: 'abc', providerOptions: { ingot: { pooling: 'last' } } });
  expect(last.embedding).not.toEqual(embedding);
  const odd = { model, value: 'abc', maxRetries: 0, providerOptions: { ingot: { pooling: 'best' } } };
  await expect(embed(odd)).rejects.toThrow(/pooling must be 'mean' or 'last', got best/);
  expect(() => provider.imageModel('x')).toThrow(/no models of images/);
});

it('refuses pictures', async () => {
  const image = new Uint8Array([137, 80, 78, 71]);
  const messages = [
    { role: 'user' as const, content: [{ type: 'image' as const, image, mediaType: 'image/png' }] },
  ];
  await expect(generateText({ model: provider(scripted(['x'])), messages, maxRetries: 0 })).rejects.toThrow(
    /holds image\/png: only text/,
  );
});

const path = await findLocal('smollm2:135m');
const reason = path === undefined ? ' (skipped: smollm2:135m is not in the Hugging Face cache)' : '';
it.skipIf(path === undefined)(`answers as the real model does${reason}`, async () => {
  const real = createIngot({ contextLength: 512 });
  const model = await load('smollm2:135m', { contextLength: 512 });
  const prompt = 'Name three metals.';
  const result = await generateText({
    model: real('smollm2:135m'),
    prompt,
    temperature: 0,
    maxOutputTokens: 12,
  });
  let expected = '';
  const stream = model.chat([{ role: 'user', content: prompt }], { temperature: 0, maxTokens: 12 });
  for await (const text of stream) expected += text;
  expect(result.text).toBe(expected);
  expect(result.usage.outputTokens).toBe(12);
  model.dispose();
  await real.dispose();
});
