// A server over scripted models, as the tests of all protocols use it. Tool calls and thinking come in a plain format.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AnswerEvent, AnswerParser } from '../../src/chat/answer.ts';
import { type Backend, realBackend } from '../../src/server/backend.ts';
import type { LogRecord } from '../../src/server/exchange.ts';
import { type RunningServer, type ServerOptions, startServer } from '../../src/server/server.ts';
import { ScriptedModel, type ScriptedOptions } from '../../src/testing/scripted-model.ts';

export interface Harness extends AsyncDisposable {
  readonly server: RunningServer;
  readonly url: string;
  readonly log: LogRecord[];
  /** The models that were loaded, in that order. */
  readonly loaded: ScriptedModel[];
  readonly model: () => ScriptedModel;
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Response>;
}

export interface HarnessOptions extends Partial<ServerOptions> {
  readonly script?: Partial<ScriptedOptions>;
  /** Names of the models; default `tiny`. */
  readonly names?: readonly string[];
}

/** What the model says: the last message, unless a test scripts something else. */
export const echo = (prompt: string): string => {
  const turns = prompt.split('<|im_start|>');
  return `You said: ${turns
    .at(-2)
    ?.replace(/^\w+\n/, '')
    .replace('<|im_end|>\n', '')}`;
};

export async function startHarness({
  script,
  names = ['tiny'],
  ...options
}: HarnessOptions = {}): Promise<Harness> {
  const folder = await mkdtemp(join(tmpdir(), 'ingot-serve-'));
  const configured = await Promise.all(
    names.map(async (name) => {
      const path = join(folder, `${name}.gguf`);
      await writeFile(path, 'scripted');
      return { name, path };
    }),
  );
  const log: LogRecord[] = [];
  const loaded: ScriptedModel[] = [];
  const server = await startServer({
    configured,
    cacheDir: undefined,
    aliases: new Map([['gpt-4o', 'tiny']]),
    port: 0,
    version: '1.2.3',
    log: (record) => log.push(record),
    backend: tagBackend,
    load: async (path) => {
      const name = names.find((known) => path.endsWith(`/${known}.gguf`));
      const model = new ScriptedModel({ name, answer: echo, ...script });
      loaded.push(model);
      return model;
    },
    ...options,
  });
  const { url } = server;
  return {
    server,
    url,
    log,
    loaded,
    model: () => {
      const last = loaded.at(-1);
      if (!last) throw new Error('no model was loaded');
      return last;
    },
    post: (path, body, headers = {}) =>
      fetch(`${url}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      }),
    async [Symbol.asyncDispose]() {
      await server.close(0);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** `[think]…[/think]` is reasoning, `[call NAME]{…}[/call]` a tool call; everything else is text. */
export class TagParser implements AnswerParser {
  #mode: 'text' | 'reasoning' | 'call' = 'text';
  #held = '';
  #calls = 0;

  push(text: string): AnswerEvent[] {
    this.#held += text;
    const events: AnswerEvent[] = [];
    for (;;) {
      const tag = /\[(?:\/?think|call [\w-]+|\/call)\]/.exec(this.#held);
      if (tag) {
        events.push(...this.#plain(this.#held.slice(0, tag.index)), ...this.#tag(tag[0]));
        this.#held = this.#held.slice(tag.index + tag[0].length);
        continue;
      }
      const open = this.#held.lastIndexOf('[');
      const safe = open >= 0 && this.#held.length - open < 40 ? open : this.#held.length;
      events.push(...this.#plain(this.#held.slice(0, safe)));
      this.#held = this.#held.slice(safe);
      return events;
    }
  }
  end(): AnswerEvent[] {
    const events = this.#plain(this.#held);
    this.#held = '';
    return events;
  }
  #plain(text: string): AnswerEvent[] {
    if (text === '') return [];
    return this.#mode === 'call'
      ? [{ kind: 'toolArguments', index: this.#calls - 1, json: text }]
      : [{ kind: this.#mode, text }];
  }
  #tag(tag: string): AnswerEvent[] {
    if (tag === '[think]') this.#mode = 'reasoning';
    else if (!tag.startsWith('[call ')) this.#mode = 'text';
    else {
      this.#mode = 'call';
      const index = this.#calls++;
      return [{ kind: 'toolCall', index, id: `call_${index}`, name: tag.slice(6, -1) }];
    }
    return [];
  }
}

const tagBackend: Backend = {
  ...realBackend,
  chat: async (model, job, signal) => ({
    ...(await realBackend.chat(model, job, signal)),
    parser: () => new TagParser(),
  }),
};

/** Ids of calls are random: two answers are alike without them. */
export const withoutIds = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value ?? null).replaceAll(/call_\w+/g, 'call'));

/** Waits until `ready` holds; fails after half a minute. */
export async function until(ready: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (const end = Date.now() + 30_000; Date.now() < end; ) {
    if (await ready()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`timed out waiting until ${what}`);
}
