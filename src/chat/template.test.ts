import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { Message, Tool } from './messages.ts';
import { ChatTemplate, chatMl, templateOf } from './template.ts';

interface Golden {
  bos: string;
  eos: string;
  templates: Record<string, string>;
  conversations: Record<
    string,
    { messages: Message[]; tools?: Tool[]; add_generation_prompt?: boolean; extra?: Record<string, unknown> }
  >;
  results: Record<string, Record<string, { text?: string; error?: string }>>;
}

const golden = JSON.parse(
  readFileSync(new URL('../../tests/goldens/chat/chat.json', import.meta.url), 'utf8'),
) as Golden;

for (const [style, source] of Object.entries(golden.templates)) {
  describe(`style ${style} renders as the reference does`, () => {
    test.each(Object.entries(golden.conversations))(
      '%s',
      (name, { messages, tools, add_generation_prompt, extra }) => {
        const expected = golden.results[style]?.[name];
        const render = () =>
          new ChatTemplate(source).render(messages, {
            tools,
            extra,
            addGenerationPrompt: add_generation_prompt,
            bosToken: golden.bos,
            eosToken: golden.eos,
          });
        if (expected?.error !== undefined) expect(render).toThrow(expected.error);
        else expect(render()).toBe(expected?.text);
      },
    );
  });
}

test('keys that hold undefined do not exist for the template', () => {
  const template = new ChatTemplate("{{ 'calls' if messages[0].tool_calls is defined else 'none' }}");
  expect(template.render([{ role: 'user', content: 'x', tool_calls: undefined }])).toBe('none');
});

test('what a template raises is told with a code', () => {
  const template = new ChatTemplate("{{ raise_exception('only one message, please') }}");
  expect(() => template.render([{ role: 'user', content: 'x' }])).toThrow(
    expect.objectContaining({
      code: 'invalid_argument',
      message: expect.stringContaining('only one message, please'),
    }),
  );
});

test('a template that is not Jinja is a bad file', () => {
  expect(() => new ChatTemplate('{% for x in %}')).toThrow(expect.objectContaining({ code: 'bad_file' }));
});

describe('models without a template', () => {
  test('get ChatML when they have its tokens', () => {
    const template = templateOf({ chatTemplate: undefined, idOf: () => 1 });
    expect(template.source).toBe(chatMl);
    expect(template.render([{ role: 'user', content: 'Hi' }])).toBe(
      '<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n',
    );
  });

  test('cannot chat otherwise, and the message says what can be done', () => {
    expect(() => templateOf({ chatTemplate: undefined, idOf: () => undefined })).toThrow(
      /no chat template.*complete/,
    );
  });
});
