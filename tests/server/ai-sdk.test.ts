// The Vercel AI SDK through its OpenAI-compatible and Anthropic providers.

import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { embed, generateText, jsonSchema, type LanguageModel, stepCountIs, streamText, tool } from 'ai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { echo, type Harness, startHarness } from './harness.ts';

// Its warnings about model names it does not know.
globalThis.AI_SDK_LOG_WARNINGS = false;

let harness: Harness;
let answer: (prompt: string) => string = echo;
beforeAll(async () => {
  harness = await startHarness({ script: { answer: (prompt) => answer(prompt) } });
});
afterAll(() => harness[Symbol.asyncDispose]());

const providers: [string, () => LanguageModel][] = [
  [
    'openai-compatible',
    () => createOpenAICompatible({ name: 'ingot', baseURL: `${harness.url}/v1`, includeUsage: true })('tiny'),
  ],
  ['anthropic', () => createAnthropic({ baseURL: `${harness.url}/v1`, apiKey: 'any' })('tiny')],
];

describe.each(providers)('%s', (_, model) => {
  test('text, whole and streamed', async () => {
    answer = echo;
    const { text, usage, finishReason } = await generateText({ model: model(), prompt: 'hello' });
    expect([text, finishReason]).toEqual(['You said: hello', 'stop']);
    expect(usage.outputTokens).toBe(15);
    const stream = streamText({ model: model(), prompt: 'hello' });
    let streamed = '';
    for await (const piece of stream.textStream) streamed += piece;
    expect(streamed).toBe(text);
    expect((await stream.usage).outputTokens).toBe(15);
  });

  test('reasoning, and a tool that is called and answered', async () => {
    answer = (prompt) =>
      prompt.includes('12 degrees')
        ? 'It is 12 degrees.'
        : '[think]look it up[/think][call weather]{"city":"Oslo"}[/call]';
    const weather = tool({
      description: 'the weather',
      inputSchema: jsonSchema<{ city: string }>({ type: 'object', properties: { city: { type: 'string' } } }),
      execute: async ({ city }) => `${city}: 12 degrees`,
    });
    for (const run of [generateText, streamText]) {
      const result = run({ model: model(), prompt: 'Oslo?', tools: { weather }, stopWhen: stepCountIs(3) });
      const steps = await (await result).steps;
      expect(steps.map((step) => [step.finishReason, step.text])).toEqual([
        ['tool-calls', ''],
        ['stop', 'It is 12 degrees.'],
      ]);
      expect(steps[0]?.reasoningText).toBe('look it up');
      expect(steps[0]?.toolCalls[0]).toMatchObject({ toolName: 'weather', input: { city: 'Oslo' } });
    }
  });

  test('an abort in the middle ends the generation', async () => {
    answer = () => 'word '.repeat(700);
    const controller = new AbortController();
    const stream = streamText({ model: model(), prompt: 'x', abortSignal: controller.signal });
    for await (const _piece of stream.textStream) {
      if (!controller.signal.aborted) controller.abort();
    }
    await expect.poll(() => harness.model().running).toBe(0);
  });
});

test('embeddings', async () => {
  const provider = createOpenAICompatible({ name: 'ingot', baseURL: `${harness.url}/v1` });
  const { embedding } = await embed({ model: provider.textEmbeddingModel('tiny'), value: 'hello' });
  expect(Math.hypot(...embedding)).toBeCloseTo(1, 5);
});
