// Wrong arguments as callers of JavaScript give them: each is told by its name, with what was expected.

import { expect, it } from 'vitest';
import { IngotError } from '../base/errors.ts';
import { scripted } from '../testing/scripted-model.ts';
import { answer } from './answer.ts';
import { list, pull, resolve } from './hub.ts';
import { inspectModel } from './inspect.ts';
import { load } from './load.ts';

const model = scripted([]);
const user = { role: 'user', content: 'x' };
const chat = (messages: unknown, options?: unknown) => model.ask(messages as never, options as never);

it.each([
  [
    'a default that nobody reads',
    () => load('x', { defaults: { systm: 'y' } } as never),
    /^defaults has no option "systm"/,
  ],
  [
    'a default of another kind',
    () => load('x', { defaults: { stop: 'y' } } as never),
    /^stop must be a list of texts/,
  ],
  ['inspect()', () => inspectModel(undefined as never), /^name must be a text/],
  [
    'answer of no model',
    () => answer({} as never, []),
    /^model must be a loaded model, got an object with nothing in it/,
  ],
  ['a session of a number', async () => model.session(3 as never), /^options must be an object, got 3/],
  [
    'a session of an option that nobody reads',
    async () => model.session({ tool: {} } as never),
    /^session\(\) has no option "tool"/,
  ],
  [
    'a session of a list of tools',
    async () => model.session({ tools: [] } as never),
    /^tools must be an object/,
  ],
  [
    'a question of an option that nobody reads',
    () => model.session().ask('x', { tokens: 3 } as never),
    /^ask\(\) has no option "tokens"/,
  ],
  [
    'a form without its schema',
    () => chat([user], { responseFormat: { kind: 'json_schema' } }),
    /^responseFormat must be an object with a 'kind' and what it needs, got an object with kind/,
  ],
  [
    'a constraint that is none',
    () => chat([user], { constraint: {} }),
    /^constraint must be an object with fill, accept and dispose/,
  ],
  ['load()', () => load(undefined as never), /^name must be a text, got undefined/],
  ['load(7)', () => load(7 as never), /^name must be a text, got 7/],
  [
    'load of an option of another kind',
    () => load('x', { contextLength: '5' } as never),
    /^contextLength must be an integer of at least 1, got "5"/,
  ],
  [
    'load of an option that nobody reads',
    () => load('x', { context_length: 5 } as never),
    /^load\(\) has no option "context_length"; did you mean contextLength\?/,
  ],
  ['pull()', () => pull(undefined as never), /^name must be a text/],
  ['resolve()', () => resolve({} as never), /^name must be a text, got an object with nothing in it/],
  ["chat('Hi')", async () => model.chat('Hi' as never), /^messages must be a list of messages .*, got "Hi"/],
  ['chat([])', () => chat([]), /^messages must be a list of at least one message/],
  [
    'a message that is none',
    () => chat([null]),
    /^messages\[0\] must be an object with role and content, got null/,
  ],
  [
    'a role',
    () => chat([{ role: 'bot', content: 'x' }]),
    /^messages\[0\]\.role must be 'system' or .* got "bot"/,
  ],
  [
    'no content',
    () => chat([user, { role: 'user' }]),
    /^messages\[1\]\.content must be a text or a list .*, got undefined/,
  ],
  [
    'no content of a tool',
    () => chat([user, { role: 'tool', content: null }]),
    /^messages\[1\]\.content .* got null/,
  ],
  [
    'a part',
    () => chat([{ role: 'user', content: [{ type: 'image' }] }]),
    /^messages\[0\]\.content\[0\] must be \{ type: "text", text \}/,
  ],
  [
    'calls',
    () => chat([{ role: 'assistant', content: null, tool_calls: [{}] }]),
    /^messages\[0\]\.tool_calls\[0\]\.function must be/,
  ],
  ['options', () => chat([user], 'hot'), /^options must be an object, got "hot"/],
  ['a temperature', () => chat([user], { temperature: '0.5' }), /^temperature must be a number, got "0.5"/],
  ['a limit', () => chat([user], { maxTokens: 0.5 }), /^maxTokens must be an integer of at least 1, got 0.5/],
  [
    'a name of another API',
    () => chat([user], { max_tokens: 5 }),
    /^chat\(\) has no option "max_tokens"; did you mean maxTokens\?/,
  ],
  [
    'stop',
    () => chat([user], { stop: 'END' }),
    /^stop must be a list of texts that are not empty, got "END"/,
  ],
  ['a signal', () => chat([user], { signal: {} }), /^signal must be an AbortSignal/],
  [
    'tools',
    () => chat([user], { tools: [{ name: 'f' }] }),
    /^tools\[0\]\.function must be an object with a name/,
  ],
  [
    'a choice',
    () => chat([user], { toolChoice: 'any' }),
    /^toolChoice must be 'auto', 'none', 'required' or \{ name \}, got "any"/,
  ],
  [
    'a form',
    () => chat([user], { responseFormat: { type: 'json_object' } }),
    /^responseFormat must be an object with a 'kind'/,
  ],
  [
    'a strategy',
    () => chat([user], { fullContext: 'cut' }),
    /^fullContext must be 'error' or 'dropOldest', got "cut"/,
  ],
  ['complete()', async () => model.complete(undefined as never), /^text must be a text, got undefined/],
] as const)('%s', async (_, wrong, message) => {
  const error: unknown = await wrong().then(
    () => undefined,
    (cause: unknown) => cause,
  );
  expect(error).toBeInstanceOf(IngotError);
  expect(error).toMatchObject({ code: 'invalid_argument', message: expect.stringMatching(message) });
});

it('lists what is on this machine', async () => {
  for (const { name, path, bytes } of await list())
    expect([typeof name, typeof path, bytes > 0]).toEqual(['string', 'string', true]);
});
