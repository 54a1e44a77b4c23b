// Ten thousand hostile requests: afterwards the server serves, runs nothing, holds nothing, and has not failed once.

import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { type Harness, startHarness, until } from './harness.ts';

const COUNT = Number(process.env.FUZZ ?? 10_000);
const PARALLEL = 32;

/** Mulberry32: the same requests in every run. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
type Random = () => number;
const pick = <T>(random: Random, list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;

const messages = [{ role: 'user', content: 'hi' }];
const tools = [{ type: 'function', function: { name: 'f', parameters: { type: 'object' } } }];
const bodies: readonly (readonly [string, Record<string, unknown>])[] = [
  [
    '/v1/chat/completions',
    {
      model: 'tiny',
      messages,
      tools,
      stream: true,
      n: 2,
      stop: ['x'],
      logprobs: true,
      max_tokens: 9,
      response_format: { type: 'text' },
      stream_options: { include_usage: true },
    },
  ],
  ['/v1/completions', { model: 'tiny', prompt: 'hi', max_tokens: 9, echo: true, stream: true }],
  [
    '/v1/responses',
    {
      model: 'tiny',
      input: [
        { role: 'user', content: [{ type: 'input_text', text: 'hi' }] },
        { type: 'function_call_output', call_id: 'c', output: 'o' },
      ],
      tools: [{ type: 'function', name: 'f' }],
      stream: true,
    },
  ],
  ['/v1/embeddings', { model: 'tiny', input: ['a', 'b'], encoding_format: 'float' }],
  [
    '/v1/messages',
    {
      model: 'tiny',
      max_tokens: 9,
      system: [{ type: 'text', text: 's' }],
      messages: [
        ...messages,
        { role: 'assistant', content: [{ type: 'tool_use', id: 'i', name: 'f', input: {} }] },
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'i', content: 'r' }] },
      ],
      tools: [{ name: 'f', input_schema: {} }],
      stream: true,
    },
  ],
  ['/v1/messages/count_tokens', { model: 'tiny', messages }],
  ['/api/chat', { model: 'tiny', messages, tools, options: { temperature: 0, seed: 1 }, keep_alive: '5m' }],
  ['/api/generate', { model: 'tiny', prompt: 'hi', system: 's', stream: false }],
  ['/api/show', { model: 'tiny' }],
  ['/api/embed', { model: 'tiny', input: 'x' }],
];

const oddities: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -1,
  1e308,
  -0.5,
  2 ** 53,
  '',
  'x',
  '\u0000',
  '\ud800',
  'a'.repeat(5000),
  '<|im_end|>',
  '../../etc/passwd',
  [],
  {},
  [[]],
  [null],
  { __proto__: null },
  { constructor: 1 },
  { type: 'x' },
  [[[[[[]]]]]],
  Array(300).fill(0),
];

/** A valid body with something in it replaced, removed, added or repeated. */
function mutate(random: Random, value: unknown): unknown {
  if (random() < 0.15) return pick(random, oddities);
  if (Array.isArray(value)) {
    if (value.length === 0 || random() < 0.2) return [...value, pick(random, oddities)];
    const at = Math.floor(random() * value.length);
    return value.map((each, i) => (i === at ? mutate(random, each) : each));
  }
  if (typeof value !== 'object' || value === null) return pick(random, oddities);
  const keys = Object.keys(value);
  const key = pick(random, [
    ...keys,
    '__proto__',
    'constructor',
    'n',
    'temperature',
    'tool_choice',
    'stop',
    'logit_bias',
    'seed',
  ]);
  const copy: Record<string, unknown> = { ...value };
  if (random() < 0.1) delete copy[key];
  else
    Object.defineProperty(copy, key, {
      value: mutate(random, copy[key]),
      enumerable: true,
      configurable: true,
      writable: true,
    });
  return copy;
}

const bytes = (random: Random, length: number): Buffer =>
  Buffer.from(Array.from({ length }, () => Math.floor(random() * 256)));

function bodyOf(random: Random, valid: object): string | Buffer {
  const kind = random();
  if (kind < 0.6) return JSON.stringify(mutate(random, valid)) ?? '';
  if (kind < 0.7) return JSON.stringify(valid).slice(0, Math.floor(random() * 60));
  if (kind < 0.76) return '[{"a":'.repeat(2000);
  if (kind < 0.8) return `{"messages":[${'{},'.repeat(3000)}{}]}`;
  if (kind < 0.86) return Buffer.concat([Buffer.from('{"model":"'), bytes(random, 40), Buffer.from('"}')]);
  if (kind < 0.87) return 'x'.repeat(60_000);
  return bytes(random, 200);
}

interface Tally {
  statuses: Map<number, number>;
  dropped: number;
}

/** A whole request over a kept connection; one in eight goes away while it waits. */
function overHttp(harness: Harness, agent: Agent, random: Random, tally: Tally): Promise<void> {
  const [path, valid] = pick(random, bodies);
  const body = bodyOf(random, valid);
  const leaves = random() < 0.125 ? Math.floor(random() * 8) : undefined;
  const method = random() < 0.05 ? pick(random, ['PUT', 'DELETE', 'GET', 'OPTIONS', 'PATCH']) : 'POST';
  const headers: Record<string, string | number> = {
    'content-length': Buffer.byteLength(body),
    'x-odd': pick(random, ['a', 'é', '"', '%00']),
  };
  if (random() < 0.05)
    headers['content-type'] = pick(random, ['text/plain', 'multipart/form-data', 'a/b; charset=utf-16', '']);
  if (random() < 0.02) headers['content-encoding'] = 'br';
  return new Promise((resolve) => {
    const call = request(
      `${harness.url}${path}${random() < 0.03 ? '/../x?y=%' : ''}`,
      { method, headers, agent },
      (response) => {
        const status = response.statusCode ?? 0;
        tally.statuses.set(status, (tally.statuses.get(status) ?? 0) + 1);
        response
          .on('error', () => undefined)
          .on('close', resolve)
          .resume();
      },
    );
    call.on('error', () => {
      tally.dropped++;
      resolve();
    });
    if (leaves !== undefined) setTimeout(() => call.destroy(), leaves);
    call.end(body);
  });
}

/** Bytes on a socket that are no whole request, or end in the middle of one. */
function overSocket(harness: Harness, random: Random, tally: Tally): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(harness.server.port, '127.0.0.1');
    socket
      .on('error', () => undefined)
      .on('close', () => resolve())
      .resume();
    tally.dropped++;
    const [path, valid] = pick(random, bodies);
    const body = JSON.stringify(valid);
    const head = `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n`;
    const kind = random();
    if (kind < 0.2) socket.end(bytes(random, 300));
    else if (kind < 0.35) socket.end(head + body.slice(0, 20));
    else if (kind < 0.5)
      socket.end(head + body); // half closed: it still may read
    else if (kind < 0.6) socket.write(head + body, () => socket.destroy());
    else if (kind < 0.7) socket.write(head + body, () => socket.resetAndDestroy());
    else if (kind < 0.8) socket.end(`GET /${'a'.repeat(20_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    else if (kind < 0.9)
      socket.end(`${head.replace('Content-Length', 'Transfer-Encoding: chunked\r\nX')}zz\r\nnot a chunk\r\n`);
    else socket.end('POST /v1/messages HTTP/1.1\r\nHost: \u0000\r\nContent-Length: -5\r\n\r\n');
    setTimeout(() => socket.destroy(), 2000).unref();
  });
}

/** Opens a connection and sends a header now and then, until it is cut off. */
async function loris(harness: Harness): Promise<void> {
  const socket = connect(harness.server.port, '127.0.0.1');
  const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()));
  socket.on('error', () => undefined).resume();
  socket.write('POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n');
  const drip = setInterval(() => socket.write('x-slow: 1\r\n'), 200);
  await closed;
  clearInterval(drip);
}

test(`${COUNT} hostile requests leave the server serving`, { timeout: 600_000 }, async () => {
  await using harness = await startHarness({
    limits: { bodyBytes: 50_000, jsonValues: 2000, headersMs: 1500, requestMs: 3000, requests: 1000 },
    script: { answer: () => '[think]a[/think]some words[call f]{"a":1}[/call]' },
  });
  const agent = new Agent({ keepAlive: true, maxSockets: PARALLEL });
  const tally: Tally = { statuses: new Map(), dropped: 0 };
  const slow = Array.from({ length: 50 }, () => loris(harness));
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let i = next++; i < COUNT; i = next++) {
      const random = generator(i);
      await (random() < 0.9 ? overHttp(harness, agent, random, tally) : overSocket(harness, random, tally));
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
  agent.destroy();
  await Promise.all(slow);

  await until(() => harness.model().running === 0, 'nothing runs any more');
  await until(
    async () => /ingot_answers_active 0\n/.test(await (await fetch(`${harness.url}/metrics`)).text()),
    'all places are free',
  );
  const answer = await harness.post('/v1/chat/completions', { model: 'tiny', messages, max_tokens: 3 });
  expect(answer.status).toBe(200);
  const failures = harness.log.filter(
    ({ event, status }) => event === 'failure' || (Number(status) >= 500 && status !== 499),
  );
  expect(failures.slice(0, 5)).toEqual([]);
  const known = [200, 204, 400, 401, 403, 404, 413, 429];
  expect([...tally.statuses.keys()].filter((status) => !known.includes(status))).toEqual([]);
  expect(tally.statuses.get(200)).toBeGreaterThan(COUNT / 20);
  expect(tally.statuses.get(400)).toBeGreaterThan(COUNT / 5);
  await sleep(0);
});
