// Answers of every format as events: what models write, in any pieces, whole or damaged.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { AnswerEvent, AnswerParser } from './answer.ts';
import { answerFormatOf } from './answer-format.ts';
import { callFormats } from './formats/index.ts';
import type { Tool } from './messages.ts';

const tool = (name: string, properties: Record<string, unknown> = {}): Tool => ({
  type: 'function',
  function: { name, parameters: { type: 'object', properties } },
});
const tools = [
  tool('weather', { city: { type: 'string' }, days: { type: 'integer' }, tags: { type: 'array' } }),
  tool('now'),
];

/** A template's text with just what tells its format. */
const templates: Record<string, string> = {
  hermes: 'tools <tool_call> <think> </think>',
  'qwen-coder': 'tools <tool_call> <function=x> <parameter=y>',
  llama3: "tools <|start_header_id|> 'parameters'",
  mistral: 'tools [TOOL_CALLS] [THINK] [/THINK]',
  'mistral-args': 'tools [TOOL_CALLS] [ARGS]',
  deepseek: 'tools <｜tool▁call▁begin｜> <think></think>',
  'deepseek-v3.1': 'tools <｜tool▁call▁begin｜><｜tool▁sep｜>',
  'deepseek-v3.2': 'tools <｜DSML｜function_calls>',
  'deepseek-v4': 'tools <｜DSML｜tool_calls> <think></think>',
  harmony: 'tools <|channel|> <|message|>',
  glm: 'tools <tool_call> <arg_key> <think></think>',
  lfm2: 'tools <|tool_list_start|>',
  phi4: "message['tools'] <|tool|> <|/tool|>",
  granite: 'tools <|start_of_role|> <|tool_call|> <think> </think> <response> </response>',
  gemma: '<start_of_turn>',
};

function parserOf(format: string, prompt = ''): AnswerParser {
  let ids = 0;
  return answerFormatOf(templates[format] ?? '').parser({ tools, prompt, newId: () => `id${ids++}` });
}

/** Events with neighbours of one kind joined. */
function merged(events: readonly AnswerEvent[]): AnswerEvent[] {
  const result: AnswerEvent[] = [];
  for (const event of events) {
    const last = result.at(-1);
    if (last?.kind === 'toolArguments' && event.kind === 'toolArguments' && last.index === event.index) {
      result[result.length - 1] = { ...last, json: last.json + event.json };
    } else if ((last?.kind === 'text' || last?.kind === 'reasoning') && last.kind === event.kind) {
      result[result.length - 1] = { ...last, text: last.text + event.text };
    } else result.push(event);
  }
  return result;
}

const parse = (format: string, pieces: readonly string[], prompt = ''): AnswerEvent[] => {
  const parser = parserOf(format, prompt);
  return merged([...pieces.flatMap((piece) => [...parser.push(piece)]), ...parser.end()]);
};

/** Calls as [name, arguments], texts as strings, reasoning in braces. */
const brief = (events: readonly AnswerEvent[]): unknown[] =>
  events.flatMap((event): unknown[] => {
    if (event.kind === 'text') return [event.text];
    if (event.kind === 'reasoning') return [`{${event.text}}`];
    if (event.kind === 'toolArguments') return [JSON.parse(event.json)];
    return [`${event.name}()`];
  });

const call = '{"name": "weather", "arguments": {"city": "Pa\\"ris"}}';
const v3 =
  '<｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n{"city": "Paris"}\n```<｜tool▁call▁end｜>';
const v31 = '<｜tool▁call▁begin｜>now<｜tool▁sep｜>{}<｜tool▁call▁end｜>';
const dsml =
  '<｜DSML｜function_calls>\n<｜DSML｜invoke name="weather">\n<｜DSML｜parameter name="city" string="true">Paris</｜DSML｜parameter>\n<｜DSML｜parameter name="days" string="false">3</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>';

const answers: [format: string, text: string, expected: unknown[]][] = [
  ['hermes', 'Hello there.\n', ['Hello there.\n']],
  [
    'hermes',
    `Let me see.\n<tool_call>\n${call}\n</tool_call>`,
    ['Let me see.', 'weather()', { city: 'Pa"ris' }],
  ],
  [
    'hermes',
    `<tool_call>\n${call}\n</tool_call>\n<tool_call>{"name": "now"}</tool_call>`,
    ['weather()', { city: 'Pa"ris' }, 'now()', {}],
  ],
  [
    'hermes',
    `<tool_call>[${call}, {"name":"now","arguments":{}}]</tool_call>!`,
    ['weather()', { city: 'Pa"ris' }, 'now()', {}, '!'],
  ],
  [
    'hermes',
    '<tool_call>{"arguments": {"a": [1, -2.5e3, null, true]}, "name": "now"}</tool_call>',
    ['now()', { a: [1, -2500, null, true] }],
  ],
  ['hermes', '<tool_call>{"name": "now", "arguments": "{\\"a\\": 1}"}</tool_call>', ['now()', { a: 1 }]],
  [
    'hermes',
    '<tool_call>{"name": "now", "arguments": {"a": "two\nlines \\d"}}</tool_call>',
    ['now()', { a: 'two\nlines \\d' }],
  ],
  [
    'hermes',
    '<tool_call>{"id": "x", "type": "function", "function": {"name": "now", "arguments": {}}}</tool_call>',
    ['now()', {}],
  ],
  [
    'hermes',
    'a <tool_call> is how it is written, 1 < 2 <tool',
    ['a <tool_call> is how it is written, 1 < 2 <tool'],
  ],
  [
    'hermes',
    `<tool_call>nonsense<tool_call>${call}`,
    ['<tool_call>nonsense', 'weather()', { city: 'Pa"ris' }],
  ],
  ['hermes', '<think>\nHm, 2 < 3.\n</think>\n\nYes.', ['{Hm, 2 < 3.}', 'Yes.']],
  ['hermes', '<think>\n\n</think>\n\nYes.', ['Yes.']],
  [
    'hermes',
    `<think>a</think>\n<tool_call>\n${call}\n</tool_call>\n`,
    ['{a}', 'weather()', { city: 'Pa"ris' }],
  ],
  [
    'qwen-coder',
    '<tool_call>\n<function=weather>\n<parameter=city>\nPa"ris\n</parameter>\n<parameter=days>\n3\n</parameter>\n<parameter=tags>\n["x"]\n</parameter>\n</function>\n</tool_call>',
    ['weather()', { city: 'Pa"ris', days: 3, tags: ['x'] }],
  ],
  [
    'qwen-coder',
    '<function=weather><parameter=city>a\n<b>\n\n</parameter></function>',
    ['weather()', { city: 'a\n<b>\n' }],
  ],
  ['qwen-coder', '<function=now>\n</function> done', ['now()', {}, ' done']],
  ['qwen-coder', '<function=weather>\n<parameter=city>\nParis</function>', ['weather()', { city: 'Paris' }]],
  ['llama3', '{"name": "weather", "parameters": {"city": "Paris"}}', ['weather()', { city: 'Paris' }]],
  [
    'llama3',
    '<|python_tag|>{"name": "now", "parameters": {}}; {"name": "now", "parameters": {}}',
    ['now()', {}, 'now()', {}],
  ],
  [
    'llama3',
    '{"name": "Ada", "parameters": "none of a tool"}',
    ['{"name": "Ada", "parameters": "none of a tool"}'],
  ],
  ['llama3', '<function=now>{"a": 1}</function>', ['now()', { a: 1 }]],
  [
    'mistral',
    `[TOOL_CALLS] [${call}, {"name": "now", "arguments": {}, "id": "abcdefghi"}]`,
    ['weather()', { city: 'Pa"ris' }, 'now()', {}],
  ],
  [
    'mistral',
    'Sure. [TOOL_CALLS]weather[ARGS]{"city": "Paris"}[TOOL_CALLS]now[CALL_ID]x1[ARGS]{}',
    ['Sure.', 'weather()', { city: 'Paris' }, 'now()', {}],
  ],
  // What follows arguments and is no member of a call is text.
  [
    'mistral',
    '[TOOL_CALLS] [{"name": "now", "arguments": {}, "what[ARGS]": "is"}]',
    ['now()', {}, '"what[ARGS]": "is"}]'],
  ],
  ['mistral', '[THINK]well[/THINK]yes', ['{well}', 'yes']],
  [
    'deepseek',
    `Hm.<｜tool▁calls▁begin｜>${v3}\n${v31}<｜tool▁calls▁end｜>`,
    ['Hm.', 'weather()', { city: 'Paris' }, 'now()', {}],
  ],
  ['deepseek', dsml, ['weather()', { city: 'Paris', days: 3 }]],
  ['deepseek-v3.1', v31, ['now()', {}]],
  [
    'deepseek-v3.1',
    `Hm.<｜tool▁calls▁begin｜>${v31}${v31}<｜tool▁calls▁end｜>`,
    ['Hm.', 'now()', {}, 'now()', {}],
  ],
  ['deepseek-v3.2', dsml, ['weather()', { city: 'Paris', days: 3 }]],
  ['deepseek-v3.2', `Well.\n\n${dsml} then`, ['Well.', 'weather()', { city: 'Paris', days: 3 }, ' then']],
  ['deepseek-v4', dsml.replaceAll('function_calls', 'tool_calls'), ['weather()', { city: 'Paris', days: 3 }]],
  [
    'deepseek-v4',
    '<think>so</think><｜DSML｜tool_calls>\n<｜DSML｜invoke name="weather">\n<｜DSML｜parameter name="city" string="true">\nA "b"\n</｜DSML｜parameter>\n</｜DSML｜invoke>\n<｜DSML｜invoke name="now">\n</｜DSML｜invoke>\n</｜DSML｜tool_calls>',
    ['{so}', 'weather()', { city: '\nA "b"\n' }, 'now()', {}],
  ],
  ['mistral-args', '[TOOL_CALLS]now[ARGS]{}', ['now()', {}]],
  [
    'mistral-args',
    'So: [TOOL_CALLS]weather[CALL_ID]abcdefghi[ARGS]{"city": "Paris"}[TOOL_CALLS]now[ARGS]{}',
    ['So:', 'weather()', { city: 'Paris' }, 'now()', {}],
  ],
  ['harmony', '<|channel|>final<|message|>Hello.', ['Hello.']],
  [
    'harmony',
    '<|channel|>analysis<|message|>Hm, 2 < 3.<|end|><|start|>assistant<|channel|>final<|message|>Yes.\n<|return|>',
    ['{Hm, 2 < 3.}', 'Yes.'],
  ],
  [
    'harmony',
    '<|channel|>analysis<|message|>Look.<|end|><|start|>assistant<|channel|>commentary to=functions.weather <|constrain|>json<|message|>{"city": "Pa\\"ris"}<|call|>',
    ['{Look.}', 'weather()', { city: 'Pa"ris' }],
  ],
  [
    'harmony',
    '<|channel|>commentary<|message|>I will look.<|end|><|start|>assistant to=functions.now<|channel|>commentary json<|message|>{}<|call|><|start|>assistant<|channel|>commentary to=functions.now<|message|><|call|>',
    ['I will look.', 'now()', {}, 'now()', {}],
  ],
  [
    'harmony',
    '<|channel|>commentary<|message|>First.<|end|><|start|>assistant<|channel|>final <|constrain|>json<|message|>{"a": 1}',
    ['First.\n\n{"a": 1}'],
  ],
  // A tool that nobody offered, a channel that there is none of, no header at all.
  ['harmony', '<|channel|>analysis to=python code<|message|>1 + 1<|call|>', ['to=python 1 + 1']],
  ['harmony', '<|channel|>other<|message|>x', ['<|channel|>other<|message|>x']],
  ['harmony', 'Just so.', ['Just so.']],
  [
    'glm',
    '<think>a</think>\nSo.\n<tool_call>weather\n<arg_key>city</arg_key>\n<arg_value>Pa"ris\n</arg_value>\n<arg_key>days</arg_key>\n<arg_value>3</arg_value>\n<arg_key>tags</arg_key><arg_value>["x"]</arg_value>\n</tool_call>\n<tool_call>now\n</tool_call>',
    ['{a}', 'So.', 'weather()', { city: 'Pa"ris\n', days: 3, tags: ['x'] }, 'now()', {}],
  ],
  ['glm', '<tool_call>now</tool_call>', ['now()', {}]],
  ['glm', `<tool_call>\n${call}\n</tool_call>`, ['weather()', { city: 'Pa"ris' }]],
  [
    'lfm2',
    '<|tool_call_start|>[weather(city="Pa\\"ris", days=3, tags=[\'x\', None, True, {"a": (1, 2.5)}]), now()]<|tool_call_end|>Looking.',
    [
      'weather()',
      { city: 'Pa"ris', days: 3, tags: ['x', null, true, { a: [1, 2.5] }] },
      'now()',
      {},
      'Looking.',
    ],
  ],
  // As its own template writes a text with a quote in it; a parameter by its place; numbers that JSON has not.
  [
    'lfm2',
    "<|tool_call_start|>[weather(city='it's', days=1_000, tags=[.5, 1.])]<|tool_call_end|>",
    ['weather()', { city: "it's", days: 1000, tags: [0.5, 1] }],
  ],
  ['lfm2', '<|tool_call_start|>[weather("Par\\u0069s")]<|tool_call_end|>', ['weather()', { city: 'Paris' }]],
  ['lfm2', `<|tool_call_start|>[${call}]<|tool_call_end|>`, ['weather()', { city: 'Pa"ris' }]],
  ['lfm2', '<|tool_call_start|>nothing<|tool_call_end|>', ['<|tool_call_start|>nothing<|tool_call_end|>']],
  [
    'phi4',
    `<|tool_call|>[${call}, {"name": "now", "arguments": {}}]<|/tool_call|>`,
    ['weather()', { city: 'Pa"ris' }, 'now()', {}],
  ],
  [
    'phi4',
    '<|tool_call|>{"type": "function", "function": {"name": "now", "arguments": {}}}<|/tool_call|> ok',
    ['now()', {}, ' ok'],
  ],
  [
    'granite',
    `<|tool_call|> [{"arguments": {"city": "Oslo"}, "name": "weather"}]`,
    ['weather()', { city: 'Oslo' }],
  ],
  ['granite', '<think>a</think> <response>Yes.</response>', ['{a}', 'Yes.']],
  ['gemma', '[weather(city="Paris"), now()]', ['weather()', { city: 'Paris' }, 'now()', {}]],
  [
    'gemma',
    'I look.\n```tool_code\nweather(city="Paris")\n```\n',
    ['I look.', 'weather()', { city: 'Paris' }],
  ],
  [
    'gemma',
    '```json\n{"name": "weather", "parameters": {"city": "Paris"}}\n```',
    ['weather()', { city: 'Paris' }],
  ],
  ['gemma', '[1, 2] and print(3)', ['[1, 2] and print(3)']],
];

describe('answers', () => {
  test.each(answers)('%s: %s', (format, text, expected) => {
    expect(brief(parse(format, [text]))).toEqual(expected);
    expect(brief(parse(format, [...text]))).toEqual(expected);
  });

  test('every format is there', () => {
    for (const { name } of callFormats) {
      expect(answerFormatOf(templates[name] ?? '').name).toBe(name);
      expect(answers.filter(([format]) => format === name).length).toBeGreaterThan(1);
    }
  });

  test('reasoning that the template opened goes on', () => {
    expect(
      brief(parse('hermes', ['so be it</think>', '\n\nYes'], '<|im_start|>assistant\n<think>\n')),
    ).toEqual(['{so be it}', 'Yes']);
    expect(brief(parse('hermes', ['never closed '], '<think>'))).toEqual(['{never closed }']);
  });

  test('without tools, markup is text and reasoning is still reasoning', () => {
    const parser = answerFormatOf(templates.hermes ?? '').parser({});
    const text = `<tool_call>${call}</tool_call>`;
    const events = merged([...parser.push(`<think>x</think>${text}`), ...parser.end()]);
    expect(events).toEqual([
      { kind: 'reasoning', text: 'x' },
      { kind: 'text', text },
    ]);
  });

  test('arguments come as they are written, not at the end', () => {
    const parser = parserOf('hermes');
    expect(parser.push('<tool_call>{"name": "weather", "arguments":')).toEqual([]);
    expect(parser.push(' {"city": "Par')).toEqual([
      { kind: 'toolCall', index: 0, id: 'id0', name: 'weather' },
      { kind: 'toolArguments', index: 0, json: '{"city": "Par' },
    ]);
    expect(parser.push('is')).toEqual([{ kind: 'toolArguments', index: 0, json: 'is' }]);
  });

  test('text is not held back longer than it may be markup', () => {
    const parser = parserOf('hermes');
    expect(parser.push('a <tool')).toEqual([{ kind: 'text', text: 'a' }]);
    expect(parser.push('box')).toEqual([{ kind: 'text', text: ' <toolbox' }]);
  });

  test('ids are random and of the length that templates ask for', () => {
    const idOf = (format: string, text: string): unknown => {
      const events = answerFormatOf(templates[format] ?? '')
        .parser({ tools })
        .push(text);
      return events.find((event) => event.kind === 'toolCall')?.id;
    };
    expect(idOf('hermes', `<tool_call>${call}`)).toMatch(/^call_[A-Za-z0-9]{24}$/);
    expect(idOf('mistral', `[TOOL_CALLS][${call}`)).toMatch(/^[A-Za-z0-9]{9}$/);
  });
});

/** A text cut at random places. */
const cut = (text: string): fc.Arbitrary<string[]> =>
  fc.array(fc.nat(text.length), { maxLength: 12 }).map((places) => {
    const at = [0, ...places.sort((a, b) => a - b), text.length];
    return at.slice(1).map((end, i) => text.slice(at[i], end));
  });

test.each(answers)('%s: any pieces of %s give the same events', (format, text) => {
  const whole = parse(format, [text]);
  for (let at = 1; at < text.length; at++)
    expect(parse(format, [text.slice(0, at), text.slice(at)])).toEqual(whole);
  fc.assert(
    fc.property(cut(text), (pieces) => {
      expect(parse(format, pieces)).toEqual(whole);
    }),
    { numRuns: 60 },
  );
});

/** Pieces of markup of all formats, and numbered words that must come out again wherever they stand. */
const markup = [
  ...[
    '<tool_call>',
    '</tool_call>',
    '<function=',
    '<parameter=',
    '>',
    '</parameter>',
    '</function>',
    '\n',
    ' ',
  ],
  ...['{"name": "', '", "arguments": ', '{"city": "', '"}', '}', '{', '[', ']', ',', ':', '"', '\\', '; '],
  ...['[TOOL_CALLS]', '[ARGS]', '[CALL_ID]', '<|python_tag|>', '<think>', '</think>', '[THINK]', '[/THINK]'],
  ...[
    '<｜tool▁calls▁begin｜>',
    '<｜tool▁call▁begin｜>',
    '<｜tool▁sep｜>',
    '\n```json\n',
    '\n```',
    '<｜tool▁call▁end｜>',
  ],
  ...[
    '<｜DSML｜function_calls>',
    '<｜DSML｜invoke name="',
    '">',
    '<｜DSML｜parameter name="',
    '" string="true">',
  ],
  ...['</｜DSML｜parameter>', '</｜DSML｜invoke>', '<', '</', '1', 'null', '\u{1f600}'],
  ...[
    '<|channel|>',
    '<|message|>',
    '<|start|>assistant',
    '<|end|>',
    '<|call|>',
    'final',
    'analysis',
    ' to=functions.',
    'json',
  ],
  ...[
    '<arg_key>',
    '</arg_key>',
    '<arg_value>',
    '</arg_value>',
    '<|tool_call_start|>[',
    '<|tool_call_end|>',
    'weather(',
    'city=',
  ],
  ...[
    "'",
    ')',
    '(',
    '<|tool_call|>',
    '<|/tool_call|>',
    '<response>',
    '```tool_code\n',
    '```',
    '<｜DSML｜tool_calls>',
    '\\x',
  ],
];

const contentOf = (events: readonly AnswerEvent[]): string =>
  events
    .map((event) => {
      if (event.kind === 'toolCall') return event.name;
      return event.kind === 'toolArguments' ? event.json : event.text;
    })
    .join('\n');

test('10,000 damaged answers never throw, lose no word, and give the same events in any pieces', () => {
  const piece = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(...markup) },
    { weight: 1, arbitrary: fc.constant('WORD') },
  );
  const damaged = fc
    .tuple(fc.constantFrom(...answers), fc.array(fc.tuple(fc.nat(400), fc.nat(3), piece), { maxLength: 6 }))
    .map(([[, text], edits]) => {
      let result = text;
      for (const [place, length, inserted] of edits) {
        const at = place % (result.length + 1);
        result = result.slice(0, at) + inserted + result.slice(at + length);
      }
      return result;
    });
  const random = fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join(''));
  fc.assert(
    fc.property(
      fc.constantFrom(...Object.keys(templates)),
      fc.oneof(damaged, random),
      fc.nat(30),
      (format, raw, every) => {
        let count = 0;
        const text = raw.replaceAll('WORD', () => `w${count++}w`);
        const events = parse(format, [text]);
        // Ids that a model gives its calls are markup.
        const content = contentOf(events);
        const kept = text.replace(/"(id|type|call_id)": *"[^"]*"|\[CALL_ID\]\w*/g, '');
        for (const word of kept.match(/w\d+w/g) ?? []) {
          if (!content.includes(word)) throw new Error(`${word} is lost in ${format}: ${text}`);
        }
        const size = every + 1;
        const pieces = Array.from({ length: Math.ceil(text.length / size) }, (_, i) =>
          text.slice(i * size, (i + 1) * size),
        );
        expect(parse(format, pieces)).toEqual(events);
      },
    ),
    { numRuns: 10_000 },
  );
});

test('half a surrogate pair waits for its other half, and stays when there is none', () => {
  const pair = '<function=weather>\n<parameter=city>😀\nParis</parameter>\n</function>';
  expect(
    parse(
      'qwen-coder',
      [...pair].flatMap((c) => c.split('')),
    ),
  ).toEqual(parse('qwen-coder', [pair]));
  const half = parse('qwen-coder', [
    `<function=weather>\n<parameter=city>a${'😀'[0]}</parameter>\n</function>`,
  ]);
  expect(contentOf(half)).toContain('"a\\ud83d"');
});
