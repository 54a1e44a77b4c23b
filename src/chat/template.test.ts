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

describe('templates that do not come to an end are stopped', () => {
  const render = (source: string) => () => new ChatTemplate(source).render([{ role: 'user', content: 'Hi' }]);
  const stopped = expect.objectContaining({
    code: 'bad_file',
    message: expect.stringContaining('it is stopped'),
  });

  test.each([
    ['nested loops', '{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}'],
    [
      'loops without a body',
      '{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}',
    ],
    [
      'doubling',
      "{% set ns = namespace(s='ab') %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
    ],
    [
      'joined doubling',
      "{% set ns = namespace(s='ab') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
    ],
    ['multiplied texts', "{{ 'ab' * 10**9 }}"],
    ['multiplied lists', '{{ ([1] * 10**9) | length }}'],
    ['replacements', "{{ ('a' * 10**6).replace('a', 'b' * 10**6) }}"],
    ['replacements of nothing', "{{ ('a' * 10**6).replace('', 'b' * 10**6) }}"],
    ['padding', "{{ 'a'.center(10**9) }}"],
    ['padding by a filter', "{{ 'a' | center(10**9) }}"],
    ['padding by a format', "{{ '%1000000000d' % 1 }}"],
    ['padding by format()', "{{ '{:1000000000}'.format('a') }}"],
    ['margins', "{{ 'a\n' | indent(10**9) }}"],
    ['zeros', "{{ '1'.zfill(10**9) }}"],
    ['tabs', "{{ '\t'.expandtabs(10**9) }}"],
    ['joins', "{{ ('a' * 10**6).join(range(10**5) | map('string')) }}"],
    ['macros', '{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}'],
    ['recursion', '{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}'],
    ['JSON', '{{ [1] | tojson(indent=10**9) }}'],
    ['rows', '{{ [1] | batch(10**9, 0) | list }}'],
    ['columns', '{{ [1] | slice(10**9) | list }}'],
  ])('%s', (_, source) => {
    expect(render(source)).toThrow(stopped);
  });

  test.each([
    ['{{ range(10**9) }}', /Range too big/],
    ['{{ 10 ** (10 ** 10) }}', /an integer of more than/],
    ["{{ '%.9999f' % 1 }}", /digits are not supported/],
    ['{% for a in missing.x %}{% endfor %}', /'missing' is undefined/],
    ['{{ x | nothing }}', /No filter named 'nothing'/],
    ['{{ [1] | random }}', /the filter 'random' is not supported/],
    ['{{ 1 is nothing }}', /No test named 'nothing'/],
  ])('%s fails by name', (source, message) => {
    expect(render(source)).toThrow(message);
  });

  test('a long conversation is not stopped', () => {
    const messages = Array.from({ length: 4000 }, (_, i) => ({
      role: i % 2 === 0 ? ('user' as const) : ('assistant' as const),
      content: 'word '.repeat(200),
    }));
    expect(new ChatTemplate(chatMl).render(messages).length).toBeGreaterThan(4_000_000);
  });
});
