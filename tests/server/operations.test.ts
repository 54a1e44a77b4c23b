// What keeps a server up: who may ask, what is refused, what happens when clients leave, load and shutdown, metrics, models.

import { request } from 'node:http';
import { connect } from 'node:net';
import { describe, expect, test } from 'vitest';
import { IngotError } from '../../src/base/errors.ts';
import { ScriptedModel } from '../../src/testing/scripted-model.ts';
import { echo, startHarness, until } from './harness.ts';

const chat = (content: string, more: object = {}) => ({
  model: 'tiny',
  messages: [{ role: 'user', content }],
  ...more,
});
const slow = { tokenMs: 5, answer: () => 'x'.repeat(3000) };

describe('who may ask', () => {
  test('API keys, as bearer or x-api-key; health needs none', async () => {
    await using harness = await startHarness({ apiKeys: ['secret-1', 'secret-2'] });
    const status = async (path: string, headers: Record<string, string>) =>
      (await fetch(`${harness.url}${path}`, { headers })).status;
    expect(await status('/v1/models', {})).toBe(401);
    expect(await status('/v1/models', { authorization: 'Bearer wrong' })).toBe(401);
    expect(await status('/metrics', {})).toBe(401);
    expect(await status('/v1/models', { authorization: 'Bearer secret-2' })).toBe(200);
    expect(await status('/v1/models', { 'x-api-key': 'secret-1' })).toBe(200);
    expect(await status('/health', {})).toBe(200);
    const refused = await harness.post('/v1/messages', chat('x'));
    expect(await refused.json()).toMatchObject({ type: 'error', error: { type: 'authentication_error' } });
  });

  test('the page needs no key: it is where people enter theirs', async () => {
    await using harness = await startHarness({ apiKeys: ['secret'], pageFolder: 'web' });
    const status = async (path: string) => (await fetch(`${harness.url}${path}`)).status;
    expect(await Promise.all(['/', '/app.js', '/none', '/v1/models', '/metrics'].map(status))).toEqual([
      200, 200, 404, 401, 401,
    ]);
  });

  /** `fetch` does not let go of the Host header. */
  const raw = (url: string, headers: Record<string, string>) =>
    new Promise<number>((resolve, reject) => {
      request(`${url}/v1/models`, { headers }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      })
        .on('error', reject)
        .end();
    });

  test('pages of other origins and foreign host names are refused, CORS only where it was asked for', async () => {
    await using harness = await startHarness({});
    expect(await raw(harness.url, { origin: 'https://evil.example' })).toBe(403);
    expect(await raw(harness.url, { origin: 'null' })).toBe(403);
    expect(await raw(harness.url, { origin: harness.url })).toBe(200);
    expect(await raw(harness.url, { host: 'evil.example' })).toBe(403);
    expect(await raw(harness.url, { host: 'localhost:1234' })).toBe(200);
    await using open = await startHarness({ cors: ['https://app.example'], allowHosts: ['box.lan'] });
    expect(await raw(open.url, { origin: 'https://evil.example' })).toBe(403);
    expect(await raw(open.url, { host: 'box.lan:80' })).toBe(200);
    const preflight = await fetch(`${open.url}/v1/chat/completions`, {
      method: 'OPTIONS',
      headers: { origin: 'https://app.example', 'access-control-request-method': 'POST' },
    });
    expect([preflight.status, preflight.headers.get('access-control-allow-origin')]).toEqual([
      204,
      'https://app.example',
    ]);
  });
});

describe('limits', () => {
  test('bodies: size, depth, values, encoding, JSON, UTF-8', async () => {
    await using harness = await startHarness({ limits: { bodyBytes: 10_000, jsonValues: 500 } });
    const refused = async (body: string | Uint8Array<ArrayBuffer>, headers = {}) => {
      const response = await fetch(`${harness.url}/v1/chat/completions`, { method: 'POST', body, headers });
      const { error } = (await response.json()) as { error: { message: string } };
      return [response.status, error.message];
    };
    expect(await refused('x'.repeat(10_001))).toEqual([413, 'the body is larger than 10000 bytes']);
    expect(await refused('['.repeat(101))).toEqual([400, 'the body is nested deeper than 100 levels']);
    expect(await refused(`[${'1,'.repeat(600)}1]`)).toEqual([400, 'the body has more than 500 values']);
    expect(await refused('{"a":', {})).toEqual([400, expect.stringMatching(/^the body is not valid JSON/)]);
    expect(await refused('', {})).toEqual([400, expect.stringMatching(/^the body is not valid JSON/)]);
    expect(await refused('[]')).toEqual([400, 'the body must be a JSON object']);
    expect(await refused(Uint8Array.of(0x22, 0xff, 0x22))).toEqual([400, 'the body is not valid UTF-8']);
    expect(await refused('{}', { 'content-encoding': 'gzip' })).toEqual([
      400,
      expect.stringContaining('gzip'),
    ]);
  });

  test('a full queue is 429 with a time to come back', async () => {
    await using harness = await startHarness({ script: slow, limits: { requests: 2 } });
    const controller = new AbortController();
    const busy = [1, 2].map(() =>
      fetch(`${harness.url}/v1/chat/completions`, {
        method: 'POST',
        body: JSON.stringify(chat('x')),
        signal: controller.signal,
      }).catch(() => undefined),
    );
    await until(() => harness.loaded[0]?.running === 2, 'both run');
    const refused = await harness.post('/v1/messages', { ...chat('x'), max_tokens: 5 });
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await refused.json()).toMatchObject({ error: { type: 'rate_limit_error' } });
    // More than there are places at all: coming back would not help.
    const never = await harness.post('/v1/chat/completions', chat('x', { n: 3 }));
    expect([never.status, never.headers.get('retry-after')]).toEqual([400, null]);
    expect(await never.json()).toMatchObject({
      error: { message: expect.stringMatching(/asks for 3 answers, and this server gives 2/), param: 'n' },
    });
    controller.abort();
    await Promise.all(busy);
    await until(() => harness.model().running === 0, 'nothing runs');
    expect((await harness.post('/v1/chat/completions', chat('x', { max_tokens: 1 }))).status).toBe(200);
  });

  test('a client that sends slowly is cut off, and others are served meanwhile', async () => {
    await using harness = await startHarness({ limits: { headersMs: 300, requestMs: 600 } });
    const socket = connect(harness.server.port, '127.0.0.1');
    const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()));
    socket.on('error', () => undefined).resume();
    socket.write('POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n');
    const drip = setInterval(() => socket.write('x-a: b\r\n'), 100);
    expect((await harness.post('/v1/chat/completions', chat('hi'))).status).toBe(200);
    await closed;
    clearInterval(drip);
    const body = connect(harness.server.port, '127.0.0.1');
    const gone = new Promise<void>((resolve) => body.on('close', () => resolve()));
    body.on('error', () => undefined).resume();
    body.write('POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{"a":');
    await gone;
  });
});

test('an idle connection is closed after its time', async () => {
  await using harness = await startHarness({ limits: { keepAliveMs: 100 } });
  const socket = connect(harness.server.port, '127.0.0.1');
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk;
  });
  const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()));
  socket.write('GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await closed;
  expect(text).toMatch(/^HTTP\/1.1 200/);
});

describe('clients that leave', () => {
  test.each([
    ['/v1/chat/completions', chat('x', { stream: true })],
    ['/v1/chat/completions', chat('x')],
    ['/v1/messages', { ...chat('x'), max_tokens: 4000 }],
    ['/v1/messages', { ...chat('x'), max_tokens: 4000, stream: true }],
    ['/v1/responses', { model: 'tiny', input: 'x', stream: true }],
    ['/api/chat', chat('x')],
    ['/api/generate', { model: 'tiny', prompt: 'x', stream: false }],
  ])('%s %j: the generation ends', async (path, body) => {
    await using harness = await startHarness({ script: slow });
    const controller = new AbortController();
    const init = { method: 'POST', body: JSON.stringify(body), signal: controller.signal };
    const gone = fetch(`${harness.url}${path}`, init)
      .then((r) => r.text())
      .catch((error) => error.name);
    await until(() => (harness.loaded[0]?.running ?? 0) === 1, 'it runs');
    controller.abort();
    expect(await gone).toBe('AbortError');
    await until(() => harness.model().running === 0, 'it has ended');
    await until(
      () => harness.log.some(({ event, status }) => event === 'request' && status === 499),
      'it is logged',
    );
  });

  test('a stream that nobody reads is held back, and given up after a while', async () => {
    await using harness = await startHarness({
      script: { answer: () => 'y'.repeat(60_000), contextLength: 100_000 },
      limits: { stallMs: 300 },
    });
    const body = JSON.stringify(chat('x', { stream: true, logprobs: true, top_logprobs: 20 }));
    const socket = connect(harness.server.port, '127.0.0.1');
    socket.on('error', () => undefined).pause();
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    await until(() => harness.loaded[0]?.running === 1, 'it runs');
    await until(() => harness.model().running === 0, 'it was given up');
    await until(() => harness.log.some(({ status }) => status === 499), 'it is logged');
    socket.destroy();
  });
});

describe('shutdown', () => {
  test('answers in progress end well within the grace', async () => {
    const harness = await startHarness({ script: { tokenMs: 2, answer: () => 'z'.repeat(100) } });
    const pending = harness.post('/v1/chat/completions', chat('x'));
    await until(() => harness.loaded[0]?.running === 1, 'it runs');
    await harness.server.close(5000);
    expect(await (await pending).json()).toMatchObject({
      choices: [{ message: { content: 'z'.repeat(100) } }],
    });
    expect(harness.model().disposed).toBe(true);
    await expect(fetch(harness.url)).rejects.toThrow();
    await harness[Symbol.asyncDispose]();
  });

  test('longer ones are cut off with an error that says so', async () => {
    const harness = await startHarness({ script: slow });
    const stream = await harness.post('/v1/chat/completions', chat('x', { stream: true }));
    const text = stream.text();
    const whole = harness.post('/v1/messages', { ...chat('x'), max_tokens: 4000 });
    await until(() => harness.model().running === 2, 'both run');
    // The model would talk for a quarter of a minute: it is cut off, not waited for.
    await harness.server.close(100);
    expect(harness.model().aborted).toBe(2);
    expect(await text).toMatch(/"error":{"message":"the server is shutting down".*}\n\n$/);
    expect((await whole).status).toBe(503);
    await harness[Symbol.asyncDispose]();
  });
});

describe('models', () => {
  test('one is loaded once for many requests, another takes its place when there is no room', async () => {
    await using harness = await startHarness({ names: ['tiny', 'other'], maxModels: 1 });
    await Promise.all([1, 2, 3].map(() => harness.post('/v1/chat/completions', chat('x'))));
    expect(harness.loaded).toHaveLength(1);
    expect((await harness.post('/v1/chat/completions', chat('x', { model: 'other' }))).status).toBe(200);
    expect(harness.loaded.map(({ info, disposed }) => [info.name, disposed])).toEqual([
      ['tiny', true],
      ['other', false],
    ]);
  });

  test('no room while the other is in use is 503', async () => {
    await using harness = await startHarness({ names: ['tiny', 'other'], maxModels: 1, script: slow });
    const controller = new AbortController();
    const init = { method: 'POST', body: JSON.stringify(chat('x')), signal: controller.signal };
    const busy = fetch(`${harness.url}/v1/chat/completions`, init).catch(() => undefined);
    await until(() => harness.loaded[0]?.running === 1, 'it runs');
    const refused = await harness.post('/v1/chat/completions', chat('x', { model: 'other' }));
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '5']);
    controller.abort();
    await busy;
  });

  test('an unused model that a request loaded is let go after its time, one that was given at the start stays', async () => {
    await using harness = await startHarness({ names: ['tiny', 'other'], idleMs: 50 });
    await harness.post('/api/generate', { model: 'other', prompt: 'x', stream: false, keep_alive: '0.1s' });
    await harness.post('/v1/chat/completions', chat('x'));
    const [other, tiny] = harness.loaded;
    await until(() => other?.disposed === true, 'the model is let go');
    expect(tiny?.disposed).toBe(false);
    expect(harness.log).toContainEqual(
      expect.objectContaining({ event: 'model let go', model: 'other', why: 'idle' }),
    );
    const metrics = await (await fetch(`${harness.url}/metrics`)).text();
    expect(metrics).toContain('ingot_model_unloads_total{model="other",why="idle"} 1');
  });

  test('a memory limit holds for all models: the least recently used makes room, what fits nowhere is refused', async () => {
    const loaded: ScriptedModel[] = [];
    const limits: (number | undefined)[] = [];
    const sizes: Record<string, number> = { one: 400, two: 500, three: 300, huge: 2000 };
    await using harness = await startHarness({
      names: Object.keys(sizes),
      memoryLimit: 1000,
      maxModels: 10,
      load: async (path, options) => {
        const name = path.replace(/.*\/(\w+)\.gguf$/, '$1');
        const weightBytes = sizes[name] ?? 0;
        limits.push(options?.memoryLimit);
        if (weightBytes > (options?.memoryLimit ?? 0)) throw new IngotError('out_of_memory', 'too large');
        loaded.push(new ScriptedModel({ name, weightBytes, answer: () => 'x' }));
        return loaded.at(-1) as ScriptedModel;
      },
    });
    const ask = async (model: string) =>
      (await harness.post('/v1/chat/completions', chat('x', { model }))).status;
    for (const model of ['one', 'two', 'one', 'three']) expect(await ask(model)).toBe(200);
    expect(limits).toEqual([1000, 600, 100, 600]);
    expect(loaded.map(({ info, disposed }) => [info.name, disposed])).toEqual([
      ['one', false],
      ['two', true],
      ['three', false],
    ]);
    expect(await ask('huge')).toBe(503);
    expect(await ask('one')).toBe(200);
  });

  test('a model whose file or device is gone is loaded anew by who asks next; another failure lets it stay', async () => {
    let failure: IngotError | undefined;
    const answer = (prompt: string): string => {
      if (failure) throw failure;
      return echo(prompt);
    };
    await using harness = await startHarness({ script: { answer } });
    const status = async (): Promise<number> =>
      (await harness.post('/v1/chat/completions', chat('x'))).status;
    expect([await status(), harness.loaded.length]).toEqual([200, 1]);
    failure = new IngotError('device_failed', 'a kernel failed');
    expect([await status(), await status(), harness.loaded.length]).toEqual([500, 500, 1]);
    failure = new IngotError('bad_file', 'the file became shorter');
    expect(await status()).toBe(500);
    failure = undefined;
    expect([await status(), harness.loaded.length]).toEqual([200, 2]);
    expect(harness.loaded.map(({ disposed }) => disposed)).toEqual([true, false]);
  });

  test('a failing load is told to all who wait, and tried again by the next', async () => {
    let loads = 0;
    await using harness = await startHarness({
      load: async () => {
        loads++;
        await new Promise((resolve) => setTimeout(resolve, 100));
        throw new Error('disk on fire');
      },
    });
    const answers = await Promise.all([1, 2].map(() => harness.post('/v1/chat/completions', chat('x'))));
    expect(answers.map(({ status }) => status)).toEqual([500, 500]);
    expect(JSON.stringify(await answers[0]?.json())).not.toContain('fire');
    expect(JSON.stringify(harness.log)).toContain('disk on fire');
    await harness.post('/v1/chat/completions', chat('x'));
    expect(loads).toBe(2);
  });
});

test('metrics and the log tell what happened, and no text', async () => {
  await using harness = await startHarness({ script: { answer: echo } });
  await harness.post('/v1/chat/completions', chat('private words'));
  await harness.post('/v1/chat/completions', chat('private words'));
  await fetch(`${harness.url}/no/such/path`);
  const text = await (await fetch(`${harness.url}/metrics`)).text();
  expect(text).toContain('ingot_requests_total{route="/v1/chat/completions",status="200"} 2');
  expect(text).toContain('ingot_requests_total{route="other",status="404"} 1');
  expect(text).toContain('ingot_generated_tokens_total{model="tiny"} 46');
  expect(text).toMatch(/ingot_cached_tokens_total{model="tiny"} [1-9]/);
  for (const name of [
    'first_token_seconds_count',
    'token_seconds_count',
    'model_bytes',
    'sequences_running',
  ]) {
    expect(text).toContain(`ingot_${name}{model="tiny"}`);
  }
  expect(text).toMatch(/process_resident_memory_bytes|nodejs_eventloop_lag_p99_seconds/);
  const request = harness.log.find(({ event }) => event === 'request');
  expect(request).toMatchObject({
    level: 'info',
    method: 'POST',
    path: '/v1/chat/completions',
    status: 200,
    model: 'tiny',
  });
  expect(JSON.stringify(harness.log)).not.toContain('private');
});
