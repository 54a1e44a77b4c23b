// What callers write of messages, as the templates of different models take it.

import { describe, expect, test } from 'vitest';
import type { Message } from './messages.ts';
import { normaliseMessages } from './normalise.ts';
import { ChatTemplate } from './template.ts';

const normalise = (messages: readonly Message[], template = ''): unknown[] => [
  ...normaliseMessages(messages, template),
];
const called = (args: string | Record<string, unknown>): Message => ({
  role: 'assistant',
  content: null,
  tool_calls: [{ id: 'call_1', function: { name: 'now', arguments: args } }],
});

test('parts of a content are one text, and no content is an empty one', () => {
  const parts = [{ type: 'text', text: 'a' } as const, { type: 'text', text: 'b' } as const];
  expect(
    normalise([
      { role: 'user', content: parts },
      { role: 'assistant', content: null },
    ]),
  ).toEqual([
    { role: 'user', content: 'ab' },
    { role: 'assistant', content: '' },
  ]);
});

test('arguments are objects, or texts where a template joins them to others', () => {
  const argumentsOf = (message: Message, template: string): unknown =>
    (normalise([message], template)[0] as { tool_calls: [{ function: { arguments: unknown } }] })
      .tool_calls[0].function.arguments;
  const joins = "{{ '```json\\n' + tool['function']['arguments'] + '\\n```' }}";
  const dumps = '{{ tool_call.arguments | tojson }}';
  const both =
    "{% if tool_call.arguments is string %}{{ '{' + tool_call.arguments + '}' }}{% else %}{{ tool_call.arguments | tojson }}{% endif %}";
  for (const args of ['{"a": 1}', { a: 1 }]) {
    expect(argumentsOf(called(args), dumps)).toEqual({ a: 1 });
    expect(argumentsOf(called(args), both)).toEqual({ a: 1 });
    expect(JSON.parse(String(argumentsOf(called(args), joins)))).toEqual({ a: 1 });
  }
  expect(argumentsOf(called('not JSON'), dumps)).toBe('not JSON');
  expect(argumentsOf(called(''), dumps)).toEqual({});
});

test('results know the name of what they answer', () => {
  expect(normalise([called({}), { role: 'tool', tool_call_id: 'call_1', content: '12:00' }])[1]).toEqual({
    role: 'tool',
    content: '12:00',
    tool_call_id: 'call_1',
    name: 'now',
  });
});

test('reasoning is kept under the names that templates use', () => {
  const message: Message = { role: 'assistant', content: 'x', reasoning: 'hm' };
  expect(normalise([message])).toEqual([{ role: 'assistant', content: 'x', reasoning_content: 'hm' }]);
  expect(normalise([message], '{{ message.thinking }}')).toMatchObject([{ thinking: 'hm' }]);
});

test('developers are systems, where a template does not know them', () => {
  const message: Message = { role: 'developer', content: 'x' };
  expect(normalise([message])).toEqual([{ role: 'system', content: 'x' }]);
  expect(normalise([message], "role == 'developer'")).toEqual([{ role: 'developer', content: 'x' }]);
});

test('system messages join the first of the user, where a template refuses them', () => {
  const template = "{{ raise_exception('System role not supported') }}";
  const messages: Message[] = [
    { role: 'system', content: 'Be kind.' },
    { role: 'user', content: 'Hi' },
  ];
  expect(normalise(messages, template)).toEqual([{ role: 'user', content: 'Be kind.\n\nHi' }]);
  expect(normalise(messages.slice(0, 1), template)).toEqual([{ role: 'user', content: 'Be kind.' }]);
});

describe('ids of nine letters and digits', () => {
  const template = "{% if tool_call.id|length != 9 %}{{ raise_exception('ids') }}{% endif %}";
  test('are made of others, equal ones of equal ones', () => {
    const [call, result] = normalise(
      [called({}), { role: 'tool', tool_call_id: 'call_1', content: '' }],
      template,
    ) as [{ tool_calls: [{ id: string }] }, { tool_call_id: string }];
    expect(call.tool_calls[0].id).toMatch(/^[a-z0-9]{9}$/);
    expect(result.tool_call_id).toBe(call.tool_calls[0].id);
  });
});

test('a template gets all of it', () => {
  const template = new ChatTemplate('{% for m in messages %}{{ m.role }}:{{ m.content }};{% endfor %}');
  expect(template.render([{ role: 'developer', content: [{ type: 'text', text: 'a' }] }])).toBe('system:a;');
});
