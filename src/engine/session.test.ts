// Conversations that remember and call tools, over a model that says what it is told to.

import { describe, expect, expectTypeOf, it } from 'vitest';
import { z } from 'zod';
import { ScriptedModel, scripted } from '../testing/scripted-model.ts';
import { Session, type SessionEvent } from './session.ts';

const call = (name: string, args: object): string =>
  `<tool_call>\n{"name": "${name}", "arguments": ${JSON.stringify(args)}}\n</tool_call>`;

describe('a session', () => {
  it('remembers what was said, and forgets when it is told to', async () => {
    const model = scripted(['Hello, Ada.', 'You are Ada.', 'Who?']);
    const session = model.session({ system: 'Be kind.' });
    expect((await session.ask('I am Ada.')).text).toBe('Hello, Ada.');
    const { added, message } = await session.ask('Who am I?');
    expect(added).toEqual([message]);
    expect(model.prompts[1]).toMatch(/Be kind\..*I am Ada\..*Hello, Ada\..*Who am I\?/s);
    expect(session.messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'user', 'assistant']);
    session.reset();
    await session.ask('Who am I?');
    expect(model.prompts[2]).not.toContain('Ada');
  });

  it('calls tools with checked arguments and tells the model their results', async () => {
    const model = scripted([
      call('weather', { city: 'Oslo', days: '2' }),
      call('weather', { city: 'Oslo', days: 2 }) + call('clock', {}),
      'It snows.',
    ]);
    const asked: unknown[] = [];
    const session = model.session({
      tools: {
        weather: {
          description: 'Weather of a city',
          parameters: z.object({ city: z.string(), days: z.number().int() }),
          execute: async (args: { city: string; days: number }) => {
            expectTypeOf(args.days).toBeNumber();
            asked.push(args);
            return { snow: true };
          },
        },
        clock: {
          execute: () => {
            throw new Error('no battery');
          },
        },
      },
    });
    const events: SessionEvent[] = [];
    const stream = session.stream('Weather?');
    for await (const event of stream) events.push(event);
    expect(asked).toEqual([{ city: 'Oslo', days: 2 }]);
    expect(model.prompts[0]).toContain('"days":{"type":"integer"');
    expect(events.filter((event) => event.kind === 'toolResult').map(({ content }) => content)).toEqual([
      expect.stringMatching(/^error: days: /),
      '{"snow":true}',
      'error: no battery',
    ]);
    expect(model.prompts[2]).toContain('{"snow":true}');
    expect(session.messages.map(({ role }) => role).join(' ')).toBe(
      'user assistant tool assistant tool tool assistant',
    );
    expect(session.messages.at(-1)?.content).toBe('It snows.');
  });

  it('stops calling after as many steps as it may take', async () => {
    const model = new ScriptedModel({
      answer: (prompt) => (prompt.includes('<tools>') ? call('again', {}) : 'Enough.'),
      contextLength: 65_536,
    });
    let calls = 0;
    const session = new Session(model, {
      maxSteps: 3,
      tools: { again: { execute: () => ++calls } },
    });
    expect((await session.ask('Go.')).text).toBe('Enough.');
    expect(calls).toBe(2);
  });

  it('answers with a value that fits a schema, of zod or as JSON Schema', async () => {
    const colour = z.object({ name: z.enum(['red', 'green']), share: z.number().int().min(0).max(9) });
    const session = scripted(['Rather not.', 'Rather not.']).session();
    const { value } = await session.ask('Colour?', { schema: colour });
    expect(colour.safeParse(value).success).toBe(true);
    const plain = {
      type: 'object',
      properties: { a: { const: 1 } },
      required: ['a'],
      additionalProperties: false,
    };
    expect((await session.ask('One?', { schema: plain })).value).toEqual({ a: 1 });
  });

  it('is as it was when a question fails or is given up', async () => {
    const model = new ScriptedModel({ answer: () => 'word '.repeat(2000), contextLength: 4096 });
    const session = model.session({ messages: [{ role: 'user', content: 'before' }] });
    const controller = new AbortController();
    const reason = new Error('enough');
    const stream = session.stream('Go on.', { signal: controller.signal });
    await stream.next();
    await expect(session.ask('And now?')).rejects.toThrow(
      /question must be asked when the one before is answered/,
    );
    controller.abort(reason);
    await expect(
      (async () => {
        for await (const _ of stream);
      })(),
    ).rejects.toBe(reason);
    for await (const _ of session.stream('Leave.')) break;
    await expect(session.ask('x'.repeat(9000))).rejects.toMatchObject({ code: 'context_overflow' });
    expect(session.messages).toEqual([{ role: 'user', content: 'before' }]);
    expect(model.running).toBe(0);
  });

  it('loses its oldest turns when the context is full, and says so', async () => {
    const model = new ScriptedModel({ answer: () => 'y'.repeat(300), contextLength: 2000 });
    const session = model.session();
    const dropped: number[] = [];
    for (let i = 0; i < 8; i++) dropped.push((await session.ask(`question ${i}`)).dropped);
    expect(dropped[0]).toBe(0);
    expect(dropped.at(-1)).toBeGreaterThan(0);
    expect(session.messages).toHaveLength(16);
    const strict = model.session({ fullContext: 'error', messages: session.messages });
    await expect(strict.ask('more?')).rejects.toMatchObject({ code: 'context_overflow' });
  });

  it('says what is wrong with its arguments by name', async () => {
    const model = scripted(['x']);
    // @ts-expect-error a tool that does nothing
    expect(() => model.session({ tools: { idle: {} } })).toThrow(
      /^tools.idle.execute must be a function, got undefined/,
    );
    expect(() => model.session({ maxSteps: 0 })).toThrow(/^maxSteps must be an integer of at least 1, got 0/);
    // @ts-expect-error a role that nobody has
    expect(() => model.session({ messages: [{ role: 'bot', content: '' }] })).toThrow(
      /^messages\[0\]\.role must be/,
    );
    // @ts-expect-error no question
    await expect(model.session().ask()).rejects.toThrow(/^question must be a text, got undefined/);
    // @ts-expect-error no schema
    await expect(model.session().ask('x', { schema: 7 })).rejects.toThrow(
      /^schema must be a JSON Schema or a schema of zod 4, got 7/,
    );
  });
});
