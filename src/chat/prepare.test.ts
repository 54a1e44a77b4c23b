// A chat from messages to events: prompts by templates with and without tools, and answers that a grammar holds to a form.

import { describe, expect, test } from 'vitest';
import { byteVocabulary, randomText, sentenceVocabulary } from '../testing/guided.ts';
import { scripted } from '../testing/scripted-model.ts';
import type { AnswerEvent } from './answer.ts';
import { answerFormatOf } from './answer-format.ts';
import { callFormats } from './formats/index.ts';
import type { Tool, ToolChoice } from './messages.ts';
import { prepareChat } from './prepare.ts';

const tools: Tool[] = [
  {
    type: 'function',
    function: {
      name: 'weather',
      description: 'Weather of a city',
      parameters: {
        type: 'object',
        properties: {
          city: { type: 'string', pattern: '^[a-z]{1,9}$' },
          days: { type: 'integer', minimum: 1, maximum: 5 },
          unit: { enum: ['c', 'f'] },
        },
        required: ['city', 'days'],
      },
      strict: true,
    },
  },
  { type: 'function', function: { name: 'now' } },
];
const templates: Record<string, string> = {
  hermes: 'tools <tool_call>',
  'qwen-coder': 'tools <tool_call> <function=x> <parameter=y>',
  llama3: "tools <|start_header_id|> 'parameters'",
  mistral: 'tools [TOOL_CALLS]',
  'mistral-args': 'tools [TOOL_CALLS] [ARGS]',
  deepseek: 'tools <｜tool▁call▁begin｜>',
  'deepseek-v3.1': 'tools <｜tool▁call▁begin｜><｜tool▁sep｜>',
  'deepseek-v3.2': 'tools <｜DSML｜function_calls>',
  'deepseek-v4': 'tools <｜DSML｜tool_calls>',
  harmony: 'tools <|channel|> <|message|>',
  glm: 'tools <tool_call> <arg_key>',
  lfm2: 'tools <|tool_list_start|>',
  phi4: "message['tools'] <|tool|> <|/tool|>",
  granite: 'tools <|start_of_role|> <|tool_call|>',
  gemma: '<start_of_turn>',
};

/** Calls with their arguments, and text. */
function read(format: string, text: string): { calls: [string, Record<string, unknown>][]; text: string } {
  const parser = answerFormatOf(templates[format] ?? '').parser({ tools });
  const events: readonly AnswerEvent[] = [...parser.push(text), ...parser.end()];
  const calls = events.flatMap((event) => (event.kind === 'toolCall' ? [event] : []));
  const jsonOf = (index: number): string =>
    events
      .map((event) => (event.kind === 'toolArguments' && event.index === index ? event.json : ''))
      .join('');
  return {
    calls: calls.map(({ name, index }) => [name, JSON.parse(jsonOf(index)) as Record<string, unknown>]),
    text: events.map((event) => (event.kind === 'text' ? event.text : '')).join(''),
  };
}

describe.each(callFormats.map(({ name }) => name))('what the grammar of %s lets a model write', (name) => {
  const grammar = (choice: ToolChoice, parallel: boolean) => {
    const spec = answerFormatOf(templates[name] ?? '').grammar(tools, choice, parallel);
    if (!spec) throw new Error('no grammar');
    return spec;
  };

  test.each<[ToolChoice, parallel: boolean]>([
    ['required', true],
    ['required', false],
    [{ name: 'weather' }, true],
  ])('is calls, when they are %j', async (choice, parallel) => {
    for (let seed = 1; seed <= 8; seed++) {
      const vocabulary = seed % 2 ? byteVocabulary : sentenceVocabulary;
      const written = await randomText(grammar(choice, parallel), vocabulary, seed * 104_729, 150);
      const { calls, text } = read(name, written);
      expect(text.trim()).toBe('');
      expect(calls.length).toBeGreaterThan(0);
      if (!parallel || typeof choice === 'object' || name === 'harmony') expect(calls).toHaveLength(1);
      if (typeof choice === 'object') expect(calls[0]?.[0]).toBe(choice.name);
      for (const [called, args] of calls) {
        if (called === 'now') expect(args).toEqual({});
        else {
          expect(args.city).toMatch(/^[a-z]{1,9}$/);
          expect([1, 2, 3, 4, 5]).toContain(args.days);
          if (args.unit !== undefined) expect(['c', 'f']).toContain(args.unit);
        }
      }
    }
  });

  test('is text or valid calls, when a strict tool may be called', async () => {
    for (let seed = 1; seed <= 6; seed++) {
      const written = await randomText(grammar('auto', true), sentenceVocabulary, seed * 7919, 40);
      for (const [called, args] of read(name, written).calls) {
        if (called === 'weather') expect([1, 2, 3, 4, 5]).toContain(args.days);
      }
    }
  });
});

test('nothing is forced of answers without strict tools', () => {
  const format = answerFormatOf(templates.hermes ?? '');
  expect(format.grammar([{ type: 'function', function: { name: 'now' } }], 'auto', true)).toBeUndefined();
  expect(format.grammar(tools, 'none', true)).toBeUndefined();
  expect(format.grammar([], 'auto', true)).toBeUndefined();
});

describe('a chat for a model without tools in its template', () => {
  const { tokenizer } = scripted([]);

  test('tells of them in the system message, with calls and results as texts', () => {
    const { text } = prepareChat(tokenizer, {
      tools,
      messages: [
        { role: 'system', content: 'Be kind.' },
        { role: 'user', content: 'Rain?' },
        {
          role: 'assistant',
          content: 'Hm.',
          tool_calls: [{ id: '1', function: { name: 'now', arguments: '{"a": 1}' } }],
        },
        { role: 'tool', tool_call_id: '1', content: '12:00' },
      ],
    });
    expect(text).toMatch(/^<\|im_start\|>system\nBe kind\.\n\nYou can call/);
    expect(text).toContain('"name":"weather"');
    expect(text).toContain(
      'assistant\nHm.\n<tool_call>\n{"name": "now", "arguments": {"a": 1}}\n</tool_call><|im_end|>',
    );
    expect(text).toContain('<|im_start|>user\n<tool_response>\n12:00\n</tool_response><|im_end|>');
  });

  test('does not tell of tools that may not be called', () => {
    const { text, constraint } = prepareChat(tokenizer, {
      tools,
      toolChoice: 'none',
      messages: [{ role: 'user', content: 'x' }],
    });
    expect(text).toBe('<|im_start|>user\nx<|im_end|>\n<|im_start|>assistant\n');
    expect(constraint).toBeUndefined();
  });

  test('begins the answer with a text that is given', () => {
    expect(
      prepareChat(tokenizer, { messages: [{ role: 'user', content: 'x' }], prefill: 'Once' }).text,
    ).toMatch(/assistant\nOnce$/);
  });

  test.each<[ToolChoice, readonly Tool[], RegExp]>([
    [{ name: 'none' }, tools, /tool "none" must be called, but the tools are "weather", "now"/],
    ['required', [], /there are no tools/],
  ])('refuses the choice %j', (toolChoice, given, message) => {
    const request = { messages: [{ role: 'user', content: 'x' } as const], tools: given, toolChoice };
    expect(() => prepareChat(tokenizer, request)).toThrow(
      expect.objectContaining({ code: 'invalid_argument', message: expect.stringMatching(message) }),
    );
  });
});

describe('a form for the answer of a model that thinks', () => {
  const format = answerFormatOf('<think></think>');
  const rest = { kind: 'literal', text: '{}' } as const;
  test.each([
    ['<|im_start|>assistant\n<think>\n', /^[\s\S]*<\/think>\n{0,2}\{\}$/],
    ['<|im_start|>assistant\n', /^(<think>[\s\S]*<\/think>\n{0,2})?\{\}$/],
    ['<|im_start|>assistant\n<think>\n\n</think>\n\n', /^\{\}$/],
  ])('holds for what follows its thoughts: %j', async (prompt, expected) => {
    for (let seed = 1; seed < 6; seed++) {
      const text = await randomText(
        format.afterReasoning(rest, prompt),
        byteVocabulary,
        seed * 31_337,
        30,
      ).catch((error: Error) => error.message);
      if (!text.includes('has no end')) expect(text).toMatch(expected);
    }
  });
});
