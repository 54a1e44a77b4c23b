// A server over scripted models, as the tests of all protocols use it.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
    load: async (path) => {
      const name = names.find((known) => path.endsWith(`/${known}.gguf`));
      const model = new ScriptedModel({
        name,
        ...script,
        answer: (prompt) => spoken((script?.answer ?? echo)(prompt)),
      });
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

/** `[think]…[/think]` as reasoning and `[call NAME]{…}[/call]` as a tool call, in the words of the model's format. */
export const spoken = (text: string): string =>
  text
    .replace(/\[(\/?think)\]/g, '<$1>')
    .replace(
      /\[call ([\w-]+)\](.*?)\[\/call\]/g,
      '<tool_call>\n{"name": "$1", "arguments": $2}\n</tool_call>',
    );

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
