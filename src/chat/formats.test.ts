// Formats against the templates they belong to: what a template writes of an earlier answer is what a model is trained to write, so
// it is read back as the calls, thoughts and text it was made of. The templates (tools/goldens/templates) are in the dialects of the
// families; that they render as Jinja2 does is the matter of jinja.test.ts.

import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { byteVocabulary, randomText } from '../testing/guided.ts';
import type { AnswerEvent } from './answer.ts';
import { answerFormatOf } from './answer-format.ts';
import { CollectedAnswer } from './collect.ts';
import type { Message, Tool } from './messages.ts';
import { ChatTemplate } from './template.ts';

const folder = new URL('../../tools/goldens/templates/', import.meta.url);
const sources = new Map(
  readdirSync(folder).map((file) => [
    file.replace('.jinja', ''),
    readFileSync(new URL(file, folder), 'utf8'),
  ]),
);
const sourceOf = (name: string): string => sources.get(name) ?? '';

const tools: Tool[] = [
  {
    type: 'function',
    function: {
      name: 'weather',
      description: 'Weather of a city',
      parameters: {
        type: 'object',
        properties: {
          city: { type: 'string' },
          days: { type: 'integer' },
          wet: { type: 'boolean' },
          tags: { type: 'array' },
          where: { type: 'object' },
        },
      },
    },
  },
  {
    type: 'function',
    function: { name: 'now', description: 'The time', parameters: { type: 'object', properties: {} } },
  },
];
const args = { city: 'Zürich "ZH" < 3', days: 2, wet: true, tags: ['a', 1], where: { x: 1.5, y: null } };
const question: Message = { role: 'user', content: 'Rain?' };
const call = (id: string, name: string, given: object) =>
  ({ id, type: 'function', function: { name, arguments: JSON.stringify(given) } }) as const;

function render(
  name: string,
  messages: readonly Message[],
  addGenerationPrompt: boolean,
  extra = {},
): string {
  const format = answerFormatOf(sourceOf(name));
  return new ChatTemplate(sourceOf(name)).render(format.messages(messages, tools), {
    tools: format.tools(tools),
    addGenerationPrompt,
    bosToken: '<s>',
    eosToken: '</s>',
    extra,
  });
}

/** An answer as a template writes it, without what ends the turn. */
function written(name: string, answer: Message): { readonly prompt: string; readonly text: string } {
  const prompt = render(name, [question], true);
  const whole = render(name, [question, answer], false);
  // Templates may open thoughts in the prompt, or a line, and not write them into the past.
  let common = 0;
  while (common < prompt.length && whole[common] === prompt[common]) common++;
  const text = whole
    .slice(common)
    .trimEnd()
    .replace(
      /(<\/s>|<\|im_end\|>|<\|end\|>|<\|end_of_text\|>|<\|eot_id\|>|<\|eom_id\|>|<｜end▁of▁sentence｜>|<end_of_turn>|<\|END_OF_TURN_TOKEN\|>)+$/,
      '',
    );
  return { prompt: prompt.slice(0, common), text };
}

const read = (name: string, prompt: string, pieces: readonly string[]): readonly AnswerEvent[] => {
  let ids = 0;
  const parser = answerFormatOf(sourceOf(name)).parser({ tools, prompt, newId: () => `id${ids++}` });
  return [...pieces.flatMap((piece) => [...parser.push(piece)]), ...parser.end()];
};

function collected(events: readonly AnswerEvent[]): { text: string; reasoning: string; calls: unknown[] } {
  const answer = new CollectedAnswer();
  for (const event of events) answer.add(event);
  const calls = answer.calls.map(({ name, json }) => [name, JSON.parse(json) as unknown]);
  return { text: answer.text.trim(), reasoning: answer.reasoning, calls };
}

/** Template, its format, and whether an answer may hold text before a call. */
const cases: [template: string, format: string, options?: { single?: true; noText?: true }][] = [
  ['qwen-like', 'hermes'],
  ['qwen-coder-like', 'qwen-coder'],
  ['llama-like', 'llama3', { single: true, noText: true }],
  ['mistral-like', 'mistral', { noText: true }],
  ['mistral-args-like', 'mistral-args'],
  ['mistral-ids-like', 'mistral-args'],
  ['deepseek-r1-like', 'deepseek'],
  ['deepseek-like', 'deepseek-v3.1'],
  ['deepseek-v32-like', 'deepseek-v3.2'],
  ['deepseek-v4-like', 'deepseek-v4'],
  ['harmony-like', 'harmony', { single: true, noText: true }],
  ['glm-like', 'glm'],
  ['lfm-like', 'lfm2'],
  ['lfm-calls-like', 'lfm2'],
  ['phi-like', 'phi4'],
  ['granite-like', 'granite'],
  ['gemma-like', 'gemma', { noText: true }],
  ['smol-like', 'hermes'],
];

describe.each(cases)('%s', (name, format, { single, noText } = {}) => {
  const calls = [call('abcdefgh1', 'weather', args), ...(single ? [] : [call('abcdefgh2', 'now', {})])];
  const expected = [['weather', args], ...(single ? [] : [['now', {}]])];
  const said = noText ? '' : 'I will look.';

  test(`is ${format}`, () => {
    expect(answerFormatOf(sourceOf(name)).name).toBe(format);
  });

  test('calls of an earlier answer are read back', () => {
    const { prompt, text } = written(name, { role: 'assistant', content: said, tool_calls: calls });
    expect(collected(read(name, prompt, [text]))).toEqual({ text: said, reasoning: '', calls: expected });
  });

  test('in whatever two pieces they come', () => {
    const { prompt, text } = written(name, { role: 'assistant', content: said, tool_calls: calls });
    const whole = collected(read(name, prompt, [text]));
    for (let at = 1; at < text.length; at++) {
      expect(collected(read(name, prompt, [text.slice(0, at), text.slice(at)]))).toEqual(whole);
    }
  });

  test('a conversation with results is rendered whole', () => {
    const messages: Message[] = [
      { role: 'system', content: 'Be kind.' },
      question,
      {
        role: 'assistant',
        content: null,
        tool_calls: [call('abcdefgh1', 'weather', args), call('abcdefgh2', 'now', {})],
      },
      { role: 'tool', tool_call_id: 'abcdefgh1', content: 'RESULT1' },
      { role: 'tool', tool_call_id: 'abcdefgh2', content: 'RESULT2' },
      { role: 'assistant', content: 'ANSWER' },
      { role: 'user', content: 'THANKS' },
    ];
    if (name === 'llama-like') return;
    const text = render(name, messages, true);
    for (const part of ['Be kind.', 'Rain?', 'weather', 'now', 'RESULT1', 'RESULT2', 'ANSWER', 'THANKS'])
      expect(text).toContain(part);
    if (name !== 'deepseek-r1-like') expect(text).toContain('Weather of a city');
  });
});

test('harmony: calls and their results are told one by one, and thoughts stay with the first', () => {
  const messages: Message[] = [
    question,
    {
      role: 'assistant',
      content: 'Two things.',
      reasoning_content: 'Hm.',
      tool_calls: [call('a', 'weather', { city: 'Oslo' }), call('b', 'now', {})],
    },
    { role: 'tool', tool_call_id: 'b', content: 'noon' },
    { role: 'tool', tool_call_id: 'a', content: 'rain' },
  ];
  const text = render('harmony-like', messages, true);
  expect(text.slice(text.indexOf('<|start|>user'))).toBe(
    '<|start|>user<|message|>Rain?<|end|>' +
      '<|start|>assistant<|channel|>analysis<|message|>Hm.\n\nTwo things.<|end|>' +
      '<|start|>assistant to=functions.weather<|channel|>commentary json<|message|>{"city": "Oslo"}<|call|>' +
      '<|start|>functions.weather to=assistant<|channel|>commentary<|message|>"rain"<|end|>' +
      '<|start|>assistant to=functions.now<|channel|>commentary json<|message|>{}<|call|>' +
      '<|start|>functions.now to=assistant<|channel|>commentary<|message|>"noon"<|end|><|start|>assistant',
  );
});

test('harmony: effort is what there is to say of thinking, and an answer may be begun', () => {
  const format = answerFormatOf(sourceOf('harmony-like'));
  expect(format.variables({}, undefined)).toEqual({});
  expect(format.variables({}, false)).toEqual({ reasoning_effort: 'low' });
  expect(format.variables({ reasoning_effort: 'none' }, false)).toEqual({ reasoning_effort: 'low' });
  expect(format.variables({ reasoning_effort: 'xhigh', a: 1 }, undefined)).toEqual({
    reasoning_effort: 'high',
    a: 1,
  });
  const begun = format.beginning('Once');
  expect(begun).toBe('<|channel|>final<|message|>Once');
  expect(collected(read('harmony-like', `<|start|>assistant${begun}`, [' upon<|return|>'])).text).toBe(
    'upon',
  );
});

test('harmony: the form of an answer holds for its final text, whatever was thought before', async () => {
  const format = answerFormatOf(sourceOf('harmony-like'));
  const spec = format.afterReasoning(
    format.answerText({ kind: 'choice', choices: ['yes', 'no'] }),
    '<|start|>assistant',
  );
  for (let seed = 1; seed < 6; seed++) {
    const text = await randomText(spec, byteVocabulary, seed * 7717, 60).catch(
      (error: Error) => error.message,
    );
    if (text.includes('has no end')) continue;
    expect(['yes', 'no']).toContain(collected(read('harmony-like', '', [text])).text);
  }
});

test('phi: tools go into the system message, which is made where there is none', () => {
  const functions = JSON.stringify(tools.map((tool) => tool.function));
  expect(render('phi-like', [question], true)).toBe(
    `<|system|><|tool|>${functions}<|/tool|><|end|><|user|>Rain?<|end|><|assistant|>`,
  );
  expect(render('phi-like', [{ role: 'system', content: 'S' }, question], true)).toContain(
    `<|system|>S<|tool|>${functions}<|/tool|><|end|>`,
  );
});

test('gemma: tools are told in words, results are turns of the user, turns alternate', () => {
  const text = render(
    'gemma-like',
    [
      question,
      {
        role: 'assistant',
        content: '',
        tool_calls: [call('a', 'weather', { city: 'Oslo', wet: false }), call('b', 'now', {})],
      },
      { role: 'tool', tool_call_id: 'a', content: 'rain' },
      { role: 'tool', tool_call_id: 'b', content: 'noon' },
      { role: 'user', content: 'So?' },
    ],
    true,
  );
  expect(text).toContain('<start_of_turn>model\n[weather(city="Oslo", wet=False), now()]<end_of_turn>\n');
  expect(text).toContain(
    '<start_of_turn>user\n```tool_output\nrain\n```\n```tool_output\nnoon\n```\nSo?<end_of_turn>\n<start_of_turn>model\n',
  );
});

test('thoughts of the last answer are read back where a template writes them', () => {
  for (const name of ['qwen-like', 'glm-like', 'lfm-calls-like', 'mistral-args-like', 'harmony-like']) {
    const answer: Message = {
      role: 'assistant',
      content: '',
      reasoning_content: 'Hm.',
      tool_calls: [call('abcdefgh1', 'now', {})],
    };
    const { prompt, text } = written(name, answer);
    expect({ name, ...collected(read(name, prompt, [text])) }).toEqual({
      name,
      text: '',
      reasoning: 'Hm.',
      calls: [['now', {}]],
    });
  }
});
