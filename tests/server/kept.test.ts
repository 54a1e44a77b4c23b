// Nothing of an answered request is kept: neither by listeners on the signals of clients, nor by what computes the answer.

import { rmSync } from 'node:fs';
import { Agent, IncomingMessage, request, ServerResponse } from 'node:http';
import { queryObjects } from 'node:v8';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { load } from '../../src/engine/load.ts';
import { Job } from '../../src/generate/job.ts';
import { Answering } from '../../src/server/answering.ts';
import { Exchange } from '../../src/server/exchange.ts';
import { ScriptedModel } from '../../src/testing/scripted-model.ts';
import { tinyChatModel } from '../tiny-chat.ts';
import { type Harness, type HarnessOptions, startHarness, until } from './harness.ts';

/** What lives as long as one request. */
const classes = { Request, Response, AbortSignal, IncomingMessage, ServerResponse, Exchange, Answering, Job };

/** Classes of which there are more than a few, after full collections of garbage: signals need several. */
async function kept({ url, loaded }: Harness): Promise<readonly string[]> {
  const metrics = async () => (await fetch(`${url}/metrics`)).text();
  await until(async () => /^ingot_answers_active 0$/m.test(await metrics()), 'all answers have ended');
  // The scripted model remembers what it was asked, for other tests.
  for (const { asked } of loaded) asked.length = 0;
  let found: string[] = [];
  for (let i = 0; i < 10; i++) {
    found = Object.entries(classes).flatMap(([name, each]) => {
      const count = queryObjects(each, { format: 'count' });
      return count > 20 ? [`${count} of ${name}`] : [];
    });
    if (found.length === 0) break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return found;
}

const agent = new Agent({ keepAlive: false });

/** Sends a request and reads its answer, up to `bytes` when given: then the client goes away. */
const send = (url: string, body: object, bytes = Number.POSITIVE_INFINITY): Promise<void> =>
  new Promise((resolve) => {
    const sent = request(url, { method: 'POST', agent }, (response) => {
      let read = 0;
      response.on('data', (chunk: Buffer) => {
        read += chunk.length;
        if (read >= bytes) response.destroy();
      });
      response.on('error', () => undefined).on('close', resolve);
    });
    sent.on('error', () => resolve());
    sent.end(JSON.stringify(body));
    if (bytes === 0) setTimeout(() => sent.destroy(), 3);
  });

const messages = [{ role: 'user', content: 'Say something.' }];
const schema = { type: 'object', properties: { a: { type: 'boolean' } }, required: ['a'] };
const format = { type: 'json_schema', json_schema: { name: 'x', schema } };
const requests: readonly [path: string, body: object][] = [
  ['/v1/chat/completions', { messages, n: 2, max_tokens: 40 }],
  ['/v1/chat/completions', { messages, response_format: format, max_tokens: 40 }],
  ['/v1/chat/completions', { messages: [] }],
  ['/v1/completions', { prompt: ['a', 'b'], max_tokens: 40, logprobs: 2 }],
  ['/v1/responses', { input: 'x', max_output_tokens: 40 }],
  ['/v1/messages', { messages, max_tokens: 40 }],
  ['/v1/messages/count_tokens', { messages }],
  ['/v1/embeddings', { input: 'x' }],
  ['/api/chat', { model: 'tiny', messages, options: { num_predict: 40 } }],
];

/** Each request streamed, not streamed, left at its first byte and left before that. */
async function round(url: string): Promise<void> {
  for (const [path, body] of requests) {
    for (const [stream, bytes] of [[true], [false], [true, 1], [false, 0]] as const) {
      await send(`${url}${path}`, { model: 'tiny', ...body, stream }, bytes);
    }
  }
}

let folder: string;
let path: string;
beforeAll(async () => {
  ({ folder, path } = await tinyChatModel());
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const models: [string, () => HarnessOptions][] = [
  ['a scripted model', () => ({ script: { answer: () => 'x'.repeat(100) } })],
  ['the engine', () => ({ load: () => load(path, { threads: 1, contextLength: 512 }) })],
];

test.each(models)('140 requests leave nothing behind, answered by %s', async (_, options) => {
  await using harness = await startHarness(options());
  for (let i = 0; i < 5; i++) await round(harness.url);
  expect(await kept(harness)).toEqual([]);
  expect(harness.log.filter(({ status }) => status === 200).length).toBeGreaterThan(50);
});

test('an answer that waits holds nothing of the tokens that others of its request get', async () => {
  let release = (): void => undefined;
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  const model = new ScriptedModel({ answer: () => 'x'.repeat(20_000), contextLength: 30_000 });
  const generate = model.generate.bind(model);
  model.generate = (tokens, options) => {
    const stream = generate(tokens, options);
    if (model.tokenizer.decode(tokens) !== 'wait') return stream;
    return {
      stats: stream.stats,
      async *[Symbol.asyncIterator]() {
        await gate;
        yield* stream;
      },
    };
  };
  await using harness = await startHarness({ load: async () => model });
  const before = queryObjects(Promise, { format: 'count' });
  const answer = harness.post('/v1/completions', { prompt: ['wait', 'go'], max_tokens: 20_000 });
  await until(() => model.prompts.length === 1 && model.running === 0, 'one of the two has its answer');
  const during = queryObjects(Promise, { format: 'count' });
  release();
  expect(await (await answer).json()).toMatchObject({ usage: { completion_tokens: 40_000 } });
  expect(during - before).toBeLessThan(1000);
});
