// What clients and agents send beside the plain cases: a field that changes the answer is followed or refused, never ignored.

import Anthropic from '@anthropic-ai/sdk';
import { betaTool } from '@anthropic-ai/sdk/helpers/beta/json-schema';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Harness, startHarness } from './harness.ts';

let harness: Harness;
let openai: OpenAI;
let anthropic: Anthropic;
let ollama: Ollama;
let answers: string[] = [];
const say = (...texts: string[]): void => {
  answers = texts;
};

beforeAll(async () => {
  harness = await startHarness({
    script: { answer: () => answers.shift() ?? 'I would rather tell you a story.' },
  });
  openai = new OpenAI({ baseURL: `${harness.url}/v1`, apiKey: 'any', maxRetries: 0 });
  anthropic = new Anthropic({ baseURL: harness.url, apiKey: 'any', maxRetries: 0 });
  ollama = new Ollama({ host: harness.url });
});
afterAll(() => harness[Symbol.asyncDispose]());

const prompt = (): string => harness.model().prompts.at(-1) ?? '';
const messages = [{ role: 'user' as const, content: 'x' }];
const schema = {
  type: 'object',
  properties: { ok: { type: 'boolean' } },
  required: ['ok'],
  additionalProperties: false,
} as const;

/** The answer to a chat with further fields, as the server writes it. */
async function chat(
  more: object,
): Promise<{ status: number; body: OpenAI.ChatCompletion & { error?: unknown } }> {
  const response = await harness.post('/v1/chat/completions', { model: 'tiny', messages, ...more });
  return { status: response.status, body: (await response.json()) as never };
}

describe('OpenAI chat', () => {
  test.each([
    { response_format: { type: 'json_object', schema } },
    { json_schema: schema },
    { guided_json: schema },
  ])('%j holds the answer to the schema', async (form) => {
    const { body } = await chat(form);
    expect(JSON.parse(body.choices[0]?.message.content ?? '')).toEqual({ ok: expect.any(Boolean) });
  });

  test('a grammar, a pattern and a choice hold it, and two forms are one too many', async () => {
    const { body } = await chat({ grammar: 'root ::= "yes" | "no"' });
    expect(['yes', 'no']).toContain(body.choices[0]?.message.content);
    const pattern = await chat({ guided_regex: '[0-9]{3}' });
    expect(pattern.body.choices[0]?.message.content).toMatch(/^[0-9]{3}$/);
    const choice = await chat({ guided_choice: ['red', 'green'] });
    expect(['red', 'green']).toContain(choice.body.choices[0]?.message.content);
    const both = await chat({ grammar: 'root ::= "a"', json_schema: schema });
    expect([both.status, both.body.error]).toEqual([
      400,
      expect.objectContaining({ param: 'json_schema', message: expect.stringContaining('grammar as well') }),
    ]);
    const completed = await harness.post('/v1/completions', {
      model: 'tiny',
      prompt: 'x',
      grammar: 'root ::= "yes" | "no"',
    });
    const text = ((await completed.json()) as OpenAI.Completion).choices[0]?.text;
    expect(['yes', 'no']).toContain(text);
  });

  test('functions and function_call are tools by their earlier names', async () => {
    const call = '[call f]{"a":1}[/call]';
    const request = {
      model: 'tiny',
      messages: [
        ...messages,
        { role: 'assistant' as const, content: null, function_call: { name: 'f', arguments: '{"a":0}' } },
        { role: 'function' as const, name: 'f', content: 'seen' },
      ],
      functions: [{ name: 'f', parameters: { type: 'object', properties: { a: { type: 'integer' } } } }],
    };
    say(call);
    const { choices } = await openai.chat.completions.create(request);
    expect(choices[0]).toMatchObject({
      finish_reason: 'function_call',
      message: { function_call: { name: 'f', arguments: '{"a":1}' } },
    });
    expect(choices[0]?.message.tool_calls).toBeUndefined();
    expect(prompt()).toMatch(/"name": "f", "arguments": \{"a":0\}.*seen/s);
    say(call);
    let json = '';
    for await (const { choices: deltas } of await openai.chat.completions.create({
      ...request,
      stream: true,
    }))
      json += deltas[0]?.delta.function_call?.arguments ?? '';
    expect(json).toBe('{"a":1}');
    const forced = await openai.chat.completions.create({ ...request, function_call: { name: 'f' } });
    expect(forced.choices[0]?.message.function_call?.name).toBe('f');
  });

  test('tools need not say that they are functions; others are refused by name', async () => {
    say('[call f]{}[/call]');
    const bare = await chat({ tools: [{ function: { name: 'f' } }] });
    expect(bare.body.choices[0]?.message.tool_calls).toHaveLength(1);
    const other = await chat({ tools: [{ type: 'code_interpreter' }] });
    expect([other.status, JSON.stringify(other.body)]).toEqual([
      400,
      expect.stringContaining('tools of type \\"code_interpreter\\" are not supported'),
    ]);
  });

  test('a last message of the assistant is continued, unless the request says no', async () => {
    const started = [...messages, { role: 'assistant' as const, content: 'Once upon' }];
    say(' a time', 'Fine.');
    const { choices } = await openai.chat.completions.create({ model: 'tiny', messages: started });
    expect(choices[0]?.message.content).toBe(' a time');
    expect(prompt()).toMatch(/assistant\nOnce upon$/);
    const anew = await chat({ messages: started, continue_final_message: false });
    expect(anew.body.choices[0]?.message.content).toBe('Fine.');
    expect(prompt()).toMatch(/Once upon<\|im_end\|>\n<\|im_start\|>assistant\n$/);
    expect((await chat({ continue_final_message: true })).status).toBe(400);
    const held = await chat({
      messages: [...messages, { role: 'assistant', content: '{"ok": ' }],
      json_schema: schema,
    });
    expect(JSON.parse(`{"ok": ${held.body.choices[0]?.message.content}`)).toEqual({
      ok: expect.any(Boolean),
    });
  });

  test('limits and seeds as other servers take them; what is not followed is refused', async () => {
    say('abc');
    const { body } = await chat({ max_tokens: -1, top_k: -1, seed: 2 ** 62, mirostat: 0, typical_p: 1 });
    expect(body.choices[0]?.message.content).toBe('abc');
    expect(harness.model().asked.at(-1)).toMatchObject({ topK: 0, seed: 0 });
    expect(harness.model().asked.at(-1)?.maxTokens).toBeUndefined();
    const neutral = { stop_token_ids: [], add_generation_prompt: true, documents: null, top_a: 0 };
    const other = { n_predict: 2, repeat_penalty: 1.5, random_seed: 7 };
    say('abc');
    expect((await chat({ ...neutral, ...other })).body.choices[0]?.message.content).toBe('ab');
    expect(harness.model().asked.at(-1)).toMatchObject({ maxTokens: 2, seed: 7, repetitionPenalty: 1.5 });
    const unfollowed = [
      ...[{ mirostat: 2 }, { min_tokens: 5 }, { modalities: ['text', 'audio'] }, { stop_token_ids: [3] }],
      ...[
        { chat_template: 'x' },
        { bad_words: ['x'] },
        { documents: [{ text: 'x' }] },
        { prompt_logprobs: 1 },
      ],
    ];
    for (const field of unfollowed) {
      const refused = await chat(field);
      expect([refused.status, JSON.stringify(refused.body)]).toEqual([
        400,
        expect.stringContaining(Object.keys(field)[0] ?? ''),
      ]);
    }
    expect((await chat({ messages: [{ role: 'user' }] })).body.error).toMatchObject({
      message: expect.stringContaining('messages[0].content: is missing'),
    });
  });

  test('the form of an answer as vLLM and earlier versions of the Messages API say it', async () => {
    const structured = async (form: object) =>
      (await chat({ structured_outputs: form })).body.choices[0]?.message.content;
    say('free text');
    expect(await structured({ choice: ['yes', 'no'] })).toMatch(/^(yes|no)$/);
    expect(await structured({ regex: 'a{3}' })).toBe('aaa');
    expect(await structured({ json: { const: 5 } })).toBe('5');
    expect(await structured({ grammar: 'root ::= "x"' })).toBe('x');
    expect((await chat({ structured_outputs: { regex: 'a', choice: ['b'] } })).status).toBe(400);
    const { content } = await anthropic.messages.create({
      model: 'tiny',
      max_tokens: 50,
      messages,
      output_format: { type: 'json_schema', schema: { const: [1] } },
    } as never);
    const [block] = content as readonly { readonly text?: string }[];
    expect(JSON.parse(block?.text ?? '')).toEqual([1]);
  });

  test('log probabilities that were asked for are there, also of an empty answer', async () => {
    say('', '');
    const empty = await chat({ logprobs: true });
    expect(empty.body.choices[0]?.logprobs).toEqual({ content: [], refusal: null });
    for await (const { choices } of await openai.chat.completions.create({
      model: 'tiny',
      messages,
      logprobs: true,
      stream: true,
    }))
      expect(choices[0]?.logprobs?.content).toEqual([]);
    say('', 'ab');
    const text = await openai.completions.create({ model: 'tiny', prompt: 'x', logprobs: 0 });
    expect(text.choices[0]?.logprobs).toMatchObject({ tokens: [] });
    // Without alternatives, the tokens themselves.
    expect((await chat({ logprobs: true })).body.choices[0]?.logprobs?.content).toHaveLength(2);
  });

  test('answers name what made them, and paths go without /v1', async () => {
    say('a', 'b');
    const { body } = await chat({});
    expect(body.system_fingerprint).toBe('fp_ingot_1.2.3');
    const bare = new OpenAI({ baseURL: harness.url, apiKey: 'any', maxRetries: 0 });
    const { choices } = await bare.chat.completions.create({ model: 'tiny', messages });
    expect(choices[0]?.message.content).toBe('b');
    expect((await bare.models.list()).data[0]?.id).toBe('tiny');
    expect((await bare.embeddings.create({ model: 'tiny', input: 'x' })).data).toHaveLength(1);
  });

  test('a conversation that does not fit is refused, or loses its oldest turns and says so', async () => {
    const long = Array.from({ length: 100 }, (_, i) => [
      { role: 'user', content: `question ${i} ${'.'.repeat(40)}` },
      { role: 'assistant', content: 'yes' },
    ]).flat();
    const body = { model: 'tiny', messages: [...long, { role: 'user', content: 'the last' }] };
    expect((await harness.post('/v1/chat/completions', body)).status).toBe(400);
    say('Right.');
    const response = await harness.post('/v1/chat/completions', { ...body, truncation: 'auto' });
    expect(response.status).toBe(200);
    expect(Number(response.headers.get('x-ingot-dropped-messages'))).toBeGreaterThan(10);
    expect(prompt()).toContain('the last');
  });
});

describe('embeddings', () => {
  test('are pooled as asked for', async () => {
    const of = async (more: object) =>
      (
        (await (await harness.post('/v1/embeddings', { model: 'tiny', input: 'abc', ...more })).json()) as {
          data: unknown;
        }
      ).data;
    expect(await of({ pooling: 'mean' })).toEqual(await of({}));
    expect(await of({ pooling: 'last' })).not.toEqual(await of({}));
    expect((await harness.post('/v1/embeddings', { model: 'tiny', input: 'x', pooling: 'cls' })).status).toBe(
      400,
    );
  });
});

describe('Responses, as Codex uses them', () => {
  const files = {
    type: 'namespace' as const,
    name: 'mcp__files__',
    description: 'Files',
    tools: [{ type: 'function' as const, name: 'read', parameters: { type: 'object' } }],
  };
  const patch = {
    type: 'custom' as const,
    name: 'apply_patch',
    description: 'Applies a patch.',
    format: { type: 'grammar' as const, syntax: 'lark' as const, definition: 'start: "*** Begin"' },
  };

  test('tools of a namespace and tools that take a text are called in the words they were offered in', async () => {
    const text =
      '[call mcp__files__read]{"path":"a"}[/call]\n[call apply_patch]{"input":"*** Begin\\nx"}[/call]';
    say(text, text);
    const request = { model: 'tiny', input: 'x', tools: [files, patch, { type: 'web_search' as const }] };
    const whole = await openai.responses.create(request);
    expect(whole.output).toMatchObject([
      { type: 'function_call', name: 'read', namespace: 'mcp__files__', arguments: '{"path":"a"}' },
      { type: 'custom_tool_call', name: 'apply_patch', input: '*** Begin\nx' },
    ]);
    expect(prompt()).toContain('start: \\"*** Begin\\"');
    const types: string[] = [];
    const stream = openai.responses.stream(request).on('event', ({ type }) => types.push(type));
    expect((await stream.finalResponse()).output).toHaveLength(2);
    expect(types).toContain('response.custom_tool_call_input.done');
    const forced = await openai.responses.create({
      ...request,
      tool_choice: { type: 'function', name: 'read', namespace: 'mcp__files__' } as never,
    });
    expect(forced.output).toMatchObject([{ name: 'read', namespace: 'mcp__files__' }]);
    const date = {
      type: 'custom' as const,
      name: 'on',
      format: { type: 'grammar' as const, syntax: 'regex' as const, definition: '2024|2025' },
    };
    say('no call at all');
    const held = await openai.responses.create({
      ...{ model: 'tiny', input: 'x', tools: [date] },
      tool_choice: { type: 'custom', name: 'on' },
    });
    expect(held.output).toMatchObject([
      { type: 'custom_tool_call', name: 'on', input: expect.stringMatching(/^202[45]$/) },
    ]);
    await expect(
      openai.responses.create({ model: 'tiny', input: 'x', tools: [{ type: 'code_interpreter' } as never] }),
    ).rejects.toThrow(/tools of type "code_interpreter" are not supported/);
  });

  test('every item of a history is told to the model', async () => {
    say('ok');
    const input = [
      { type: 'compaction', encrypted_content: 'x' },
      { role: 'user', content: 'go' },
      { type: 'custom_tool_call', call_id: 'c1', name: 'apply_patch', input: '*** patch' },
      { type: 'custom_tool_call_output', call_id: 'c1', output: 'patched' },
      {
        type: 'function_call',
        call_id: 'c2',
        namespace: 'mcp__files__',
        name: 'read',
        arguments: '{"path":"b"}',
      },
      { type: 'function_call_output', call_id: 'c2', output: [{ type: 'input_text', text: 'contents' }] },
      {
        type: 'local_shell_call',
        call_id: 'c3',
        status: 'completed',
        action: { type: 'exec', command: ['ls'] },
      },
      { type: 'local_shell_call_output', id: 'c3', output: 'listing' },
      { type: 'tool_search_call', call_id: 'c4', status: 'completed', arguments: { query: 'mail' } },
      { type: 'tool_search_output', call_id: 'c4', tools: [{ type: 'function', name: 'send' }] },
      {
        type: 'apply_patch_call',
        call_id: 'c5',
        status: 'completed',
        operation: { type: 'delete_file', path: 'z' },
      },
      { type: 'apply_patch_call_output', call_id: 'c5', status: 'completed', output: 'deleted' },
      { type: 'web_search_call', id: 'w', status: 'completed', action: { type: 'search', query: 'news' } },
      { type: 'reasoning', id: 'r', summary: [], encrypted_content: 'x' },
      { type: 'additional_tools', tools: [{ type: 'function', name: 'late' }] },
      { role: 'user', content: 'and?' },
    ];
    await openai.responses.create({ model: 'tiny', input: input as never, tools: [files, patch] });
    for (const part of [
      '*** patch',
      'patched',
      '"name": "mcp__files__read"',
      'contents',
      'listing',
      '"query":"mail"',
      '"name":"send"',
      'delete_file',
      'deleted',
      'news',
      '"name":"late"',
      'summarised in a form',
      'and?',
    ])
      expect(prompt()).toContain(part);
  });

  test('a long history loses its oldest turns with truncation auto, and is refused without', async () => {
    const input = Array.from({ length: 200 }, (_, i) => ({
      role: 'user' as const,
      content: `turn ${i} ${'.'.repeat(30)}`,
    }));
    await expect(openai.responses.create({ model: 'tiny', input })).rejects.toThrow(
      /the context of tiny holds/,
    );
    say('fine');
    const cut = await openai.responses.create({ model: 'tiny', input, truncation: 'auto' });
    expect([cut.output_text, cut.truncation]).toEqual(['fine', 'auto']);
  });
});

describe('Anthropic', () => {
  const base = { model: 'tiny', max_tokens: 300, messages };

  test('its tool runner works without the thread that it asks for first', async () => {
    const asked: unknown[] = [];
    const weather = betaTool({
      name: 'weather',
      description: 'Weather of a city',
      inputSchema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
      run: (input) => {
        asked.push(input);
        return 'sunny';
      },
    });
    say('[call weather]{"city":"Oslo"}[/call]', 'It is sunny.');
    const last = await anthropic.beta.messages.toolRunner({ ...base, tools: [weather] });
    expect(last.content).toMatchObject([{ type: 'text', text: 'It is sunny.' }]);
    expect(asked).toEqual([{ city: 'Oslo' }]);
  });

  test.each([{ type: 'create' }, { type: 'continue', thread_id: 't' }])(
    'a thread (%j) is refused in words that clients act on',
    async (thread) => {
      const response = await harness.post('/v1/messages', { ...base, thread });
      expect([response.status, await response.json()]).toEqual([
        400,
        expect.objectContaining({
          error: expect.objectContaining({
            type: 'invalid_request_error',
            details: { error_code: 'thread_unsupported_request', unsupported: ['thread'] },
          }),
        }),
      ]);
    },
  );

  test('documents, search results and what a service did earlier are told to the model', async () => {
    say('ok');
    await anthropic.messages.create({
      ...base,
      messages: [
        {
          role: 'user',
          content: [
            {
              type: 'document',
              title: 'Notes',
              source: { type: 'text', media_type: 'text/plain', data: 'the notes' },
            },
            {
              type: 'search_result',
              title: 'Page',
              source: 'https://a.example',
              content: [{ type: 'text', text: 'found it' }],
            },
            { type: 'text', text: 'so?' },
          ],
        },
        {
          role: 'assistant',
          content: [
            { type: 'server_tool_use', id: 's1', name: 'web_search', input: { query: 'news' } },
            {
              type: 'web_search_tool_result',
              tool_use_id: 's1',
              content: [
                {
                  type: 'web_search_result',
                  title: 'News',
                  url: 'https://b.example',
                  encrypted_content: 'x',
                },
              ],
            },
            { type: 'text', text: 'Here.' },
            { type: 'tool_use', id: 't1', name: 'read', input: {} },
          ],
        },
        {
          role: 'user',
          content: [
            {
              type: 'tool_result',
              tool_use_id: 't1',
              content: [
                { type: 'search_result', title: 'R', source: 'r', content: [{ type: 'text', text: 'row' }] },
              ],
            },
          ],
        },
      ],
    });
    for (const part of [
      'title: Notes',
      'the notes',
      'https://a.example',
      'found it',
      'so?',
      '"query":"news"',
      'https://b.example',
      'Here.',
      'row',
    ])
      expect(prompt()).toContain(part);
    await expect(
      anthropic.messages.create({
        ...base,
        messages: [
          {
            role: 'user',
            content: [
              { type: 'document', source: { type: 'base64', media_type: 'application/pdf', data: 'aGk=' } },
            ],
          },
        ],
      }),
    ).rejects.toThrow(/documents of application\/pdf are not supported/);
  });

  test('tools and servers that would be missed are refused by name', async () => {
    await expect(
      anthropic.messages.create({ ...base, tools: [{ type: 'bash_20250124', name: 'bash' }] }),
    ).rejects.toThrow(/tools of type .{1,2}bash_20250124.{1,2} are not supported/);
    const servers = await harness.post('/v1/messages', {
      ...base,
      mcp_servers: [{ type: 'url', url: 'https://x', name: 'x' }],
    });
    expect([servers.status, JSON.stringify(await servers.json())]).toEqual([
      400,
      expect.stringContaining('mcp_servers'),
    ]);
  });
});

describe('Ollama', () => {
  test('vectors as long as asked for, of texts cut to the context, and in the earlier form', async () => {
    const { embeddings } = await ollama.embed({ model: 'tiny', input: 'abc', dimensions: 4 });
    expect(embeddings[0]).toHaveLength(4);
    expect(Math.hypot(...(embeddings[0] ?? []))).toBeCloseTo(1, 5);
    await expect(ollama.embed({ model: 'tiny', input: 'x'.repeat(5000) })).rejects.toThrow(/holds 4096/);
    const cut = await ollama.embed({ model: 'tiny', input: 'x'.repeat(5000), truncate: true });
    expect(cut.prompt_eval_count).toBe(4096);
    const { embedding } = await ollama.embeddings({ model: 'tiny', prompt: 'abc' });
    expect(embedding).toEqual((await ollama.embed({ model: 'tiny', input: 'abc' })).embeddings[0]);
  });

  test('log probabilities, whole and streamed', async () => {
    say('ab', 'ab');
    const body = { model: 'tiny', messages, logprobs: true, top_logprobs: 2 };
    const whole = (await (await harness.post('/api/chat', { ...body, stream: false })).json()) as {
      logprobs: { token: string; top_logprobs: unknown[] }[];
    };
    expect(whole.logprobs.map(({ token, top_logprobs: top }) => [token, top.length])).toEqual([
      ['a', 2],
      ['b', 2],
    ]);
    const lines = (await (await harness.post('/api/chat', body)).text()).trim().split('\n');
    expect(lines.flatMap((line) => JSON.parse(line).logprobs ?? [])).toEqual(whole.logprobs);
  });

  test('a pull of what is there succeeds, of anything else says what there is', async () => {
    expect(await ollama.pull({ model: 'tiny' })).toMatchObject({ status: 'success' });
    const states: string[] = [];
    for await (const { status } of await ollama.pull({ model: 'tiny', stream: true })) states.push(status);
    expect(states.at(-1)).toBe('success');
    await expect(ollama.pull({ model: 'huge' })).rejects.toThrow(/there are: tiny/);
  });

  test('a last message of the assistant is continued, and a long chat loses turns when it may', async () => {
    say(' a time', 'ok');
    const started = [...messages, { role: 'assistant', content: 'Once upon' }];
    expect((await ollama.chat({ model: 'tiny', messages: started })).message.content).toBe(' a time');
    expect(prompt()).toMatch(/assistant\nOnce upon$/);
    const long = Array.from({ length: 200 }, (_, i) => ({
      role: 'user',
      content: `turn ${i} ${'.'.repeat(30)}`,
    }));
    await expect(ollama.chat({ model: 'tiny', messages: long })).rejects.toThrow(/holds 4096/);
    const response = await harness.post('/api/chat', {
      model: 'tiny',
      messages: long,
      truncate: true,
      stream: false,
    });
    expect(response.status).toBe(200);
  });
});

describe('the sampling that a model was made for', () => {
  test('is what happens where a request says nothing, in every API', async () => {
    await using advised = await startHarness({
      script: { answer: () => 'x', sampling: { temperature: 0.6, topK: 20, topP: 0.95 } },
    });
    const ask = async (path: string, body: object) => {
      expect((await advised.post(path, { model: 'tiny', ...body })).status).toBe(200);
      const { temperature, topK, topP } = advised.model().asked.at(-1) ?? {};
      return [temperature, topK, topP];
    };
    const own = [0.6, 20, 0.95];
    expect(await ask('/v1/chat/completions', { messages })).toEqual(own);
    expect(await ask('/v1/messages', { messages, max_tokens: 5 })).toEqual(own);
    expect(await ask('/v1/responses', { input: 'x' })).toEqual(own);
    expect(await ask('/api/chat', { messages, stream: false })).toEqual(own);
    expect(await ask('/v1/chat/completions', { messages, temperature: 0 })).toEqual([0, 20, 0.95]);
    expect(await ask('/api/chat', { messages, stream: false, options: { top_k: 5 } })).toEqual([
      0.6, 5, 0.95,
    ]);
  });
});
