// One path from messages to events: what `model.chat` shows, what the server writes and what the AI SDK gets come from it.

import { describe, expect, it } from 'vitest';
import type { AnswerEvent } from '../chat/answer.ts';
import type { Message, Tool } from '../chat/messages.ts';
import { ByteTokenizer } from '../testing/byte-tokenizer.ts';
import { ScriptedModel, scripted } from '../testing/scripted-model.ts';
import type { EncodeOptions } from '../tokenizer/tokenizer.ts';
import { answer } from './answer.ts';

const weather: Tool = {
  type: 'function',
  function: {
    name: 'weather',
    description: 'Weather of a city',
    parameters: {
      type: 'object',
      properties: { city: { type: 'string' } },
      required: ['city'],
      additionalProperties: false,
    },
  },
};
const call = '<tool_call>\n{"name": "weather", "arguments": {"city": "Oslo"}}\n</tool_call>';
const question: readonly Message[] = [{ role: 'user', content: 'Weather in Oslo?' }];

describe('tools', () => {
  it('are told to a model whose template knows none, however it is asked', async () => {
    const model = scripted(['Fine.', 'Fine.', 'Fine.']);
    for await (const _ of model.chat(question, { tools: [weather] }));
    await model.ask(question, { tools: [weather] });
    for await (const _ of await answer(model, question, { tools: [weather] }));
    expect(model.prompts).toHaveLength(3);
    expect(new Set(model.prompts).size).toBe(1);
    expect(model.prompts[0]).toContain('Weather of a city');
  });

  it('are called: calls are no text, and part of the whole answer', async () => {
    const model = scripted([`Let me look.\n${call}`, `Let me look.\n${call}`]);
    let text = '';
    for await (const piece of model.chat(question, { tools: [weather] })) text += piece;
    expect(text).toBe('Let me look.');
    const whole = await model.ask('Weather in Oslo?', { tools: [weather] });
    expect(whole).toMatchObject({ text: 'Let me look.', endReason: 'toolCalls', reasoning: '' });
    expect(whole.toolCalls).toMatchObject([
      { type: 'function', function: { name: 'weather', arguments: '{"city": "Oslo"}' } },
    ]);
    expect(whole.message).toEqual({
      role: 'assistant',
      content: 'Let me look.',
      tool_calls: whole.toolCalls,
    });
  });

  it.each(['required', { name: 'weather' }] as const)(
    'forced by %j: whatever the length, nothing but the call is said',
    async (toolChoice) => {
      const kinds = new Set<string>();
      for (let maxTokens = 1; maxTokens <= call.length + 1; maxTokens++) {
        const events: AnswerEvent[] = [];
        const stream = await answer(scripted(['Rather not.']), question, {
          tools: [weather],
          toolChoice,
          maxTokens,
        });
        for await (const event of stream) events.push(event);
        for (const { kind } of events) kinds.add(kind);
        if (maxTokens < 20) expect(stream.endReason).toBe('length');
      }
      expect([...kinds].sort()).toEqual(['toolArguments', 'toolCall']);
    },
  );

  it('whose schema cannot be held are refused when they are forced, and free when they are not', async () => {
    const parameters = { type: 'object', properties: { a: { $ref: '#/$defs/nowhere' } }, required: ['a'] };
    const tools: readonly Tool[] = [{ type: 'function', function: { name: 'odd', parameters } }];
    for (const toolChoice of ['required', { name: 'odd' }] as const) {
      await expect(answer(scripted(['x']), question, { tools, toolChoice })).rejects.toMatchObject({
        code: expect.stringMatching(/^(unsupported|invalid_argument)$/),
        message: expect.stringContaining('nowhere'),
      });
    }
    expect((await scripted(['x']).ask(question, { tools })).text).toBe('x');
  });
});

describe('a beginning of the answer', () => {
  it('counts for the form that the answer must have', async () => {
    const responseFormat = {
      kind: 'json_schema' as const,
      schema: {
        type: 'object',
        properties: { ok: { type: 'boolean' } },
        required: ['ok'],
        additionalProperties: false,
      },
    };
    const model = scripted(['I would rather ramble']);
    const { text } = await model.ask('x', { responseFormat, prefill: '{"ok": ' });
    expect(JSON.parse(`{"ok": ${text}`)).toEqual({ ok: expect.any(Boolean) });
    await expect(model.ask('x', { responseFormat, prefill: 'Sure: ' })).rejects.toThrow(
      /beginning of the answer does not fit the form/,
    );
  });
});

describe('a conversation that does not fit', () => {
  const turns = Array.from({ length: 20 }, (_, i): Message[] => [
    { role: 'user', content: `question ${i} ${'.'.repeat(50)}` },
    { role: 'assistant', content: `answer ${i} ${'.'.repeat(50)}` },
  ]).flat();
  const messages: readonly Message[] = [
    { role: 'system', content: 'Be kind.' },
    ...turns,
    { role: 'user', content: 'the last question' },
  ];
  const model = (contextLength: number, trainedContextLength = contextLength) =>
    new ScriptedModel({ answer: () => 'Yes.', contextLength, trainedContextLength });

  it('is refused with the sizes and what can be done about them', async () => {
    await expect(model(1000).ask(messages)).rejects.toMatchObject({
      code: 'context_overflow',
      message: expect.stringMatching(
        /has more than 2024 tokens and the context of scripted holds 1000; that is all the model was trained for: shorten it$/,
      ),
    });
    await expect(model(2000, 8192).ask(messages)).rejects.toThrow(
      /has 2\d\d\d tokens .* holds 2000; shorten it, or load the model with a contextLength of up to 8192/,
    );
  });

  it('loses its oldest turns when that was asked for, and says how many messages', async () => {
    const engine = model(1000);
    const { text, dropped } = await engine.ask(messages, { fullContext: 'dropOldest' });
    const [prompt = ''] = engine.prompts;
    expect(text).toBe('Yes.');
    expect(prompt.length).toBeLessThanOrEqual(1000);
    expect(prompt).toContain('Be kind.');
    expect(prompt).toContain('the last question');
    expect(prompt).toContain('answer 19');
    expect(prompt).not.toContain('question 0 ');
    expect(dropped).toBeGreaterThan(20);
    expect(dropped % 2).toBe(0);
    // No question without its answer: what is left begins with a question.
    expect(prompt.split('<|im_start|>')[2]).toMatch(/^user\nquestion/);
    expect((await model(8000).ask(messages, { fullContext: 'dropOldest' })).dropped).toBe(0);
  });

  it('is refused when not even its last turn fits', async () => {
    const long: readonly Message[] = [...turns, { role: 'user', content: 'x'.repeat(2000) }];
    await expect(model(1000).ask(long, { fullContext: 'dropOldest' })).rejects.toMatchObject({
      code: 'context_overflow',
    });
  });

  it('of megabytes is not read to its end', async () => {
    const engine = model(1000);
    const tokenizer = new CountingTokenizer();
    Object.defineProperty(engine, 'tokenizer', { value: tokenizer });
    await expect(engine.ask(`${'word '.repeat(400_000)}`)).rejects.toThrow(/more than 2024 tokens/);
    expect(tokenizer.read).toBeLessThan(100_000);
  });
});

/** Counts the tokens that it made. */
class CountingTokenizer extends ByteTokenizer {
  read = 0;
  override *encodeSteps(text: string, options?: EncodeOptions): Generator<undefined, number[], undefined> {
    const ids = yield* super.encodeSteps(text, options);
    this.read += ids.length;
    return ids;
  }
  /** The longest token is a marker of 12 characters. */
  fewestTokens(text: string): number {
    return Math.floor(text.length / 12);
  }
}

it('an answer is read once', async () => {
  const stream = await answer(scripted(['x']), question);
  for await (const _ of stream);
  await expect(stream[Symbol.asyncIterator]().next()).rejects.toThrow(/was read already/);
});
