// ingot serve [MODEL...]: models behind the OpenAI, Anthropic and Ollama APIs.

import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Command, InvalidArgumentError } from 'commander';
import { findPreset } from '../../engine/presets/store.ts';
import type { LogRecord } from '../../server/exchange.ts';
import type { GivenModel } from '../../server/library.ts';
import type { RunningServer } from '../../server/server.ts';
import type { Context } from '../context.ts';
import {
  addModelOptions,
  addTemplateOption,
  loadOptions,
  type ModelFlags,
  number,
  port,
  positive,
  refuseUnread,
} from '../options.ts';
import { createProgress, progressCallbacks } from '../progress.ts';
import { forgetServer, newAccessKey, recordServer } from '../servers.ts';

interface ServeFlags extends ModelFlags {
  readonly host: string;
  readonly port: number;
  readonly apiKey?: readonly string[];
  readonly cors?: readonly string[];
  readonly allowHost?: readonly string[];
  readonly alias?: readonly (readonly [string, string])[];
  readonly maxModels: number;
  readonly idleMinutes: number;
  readonly maxRequests: number;
  readonly grace: number;
  readonly cached: boolean;
  readonly preload: boolean;
  readonly log?: 'json' | 'text' | 'none';
}

const collect =
  <T>(read: (text: string) => T) =>
  (text: string, before: readonly T[] = []): readonly T[] => [...before, read(text)];
const itself = (text: string): string => text;

function alias(text: string): readonly [string, string] {
  const at = text.indexOf('=');
  if (at < 1 || at === text.length - 1) throw new InvalidArgumentError('It must be NAME=MODEL.');
  return [text.slice(0, at), text.slice(at + 1)];
}

export function register(program: Command, context: Context): void {
  const command = program
    .command('serve')
    .description('serve models over HTTP: OpenAI, Anthropic and Ollama APIs, and a chat page')
    .argument('[models...]', 'loaded at once; without any, the first request loads what it names')
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('-p, --port <n>', 'port to listen on; 0 takes a free one', port, 8080)
    .option(
      '--api-key <key>',
      'ask for this key (may be repeated; INGOT_API_KEY is one, too)',
      collect(itself),
    )
    .option('--cors <origin>', "let this origin's pages call (may be repeated; * for all)", collect(itself))
    .option('--allow-host <name>', 'accept this Host header (may be repeated)', collect(itself))
    .option('--alias <name=model>', 'another name of a model; * for every unknown name', collect(alias))
    .option('--max-models <n>', 'models in memory at a time', positive, 3)
    .option('--idle-minutes <n>', 'let models that a request loaded go after this time', number, 5)
    .option('--max-requests <n>', 'answers in progress and waiting', positive, 256)
    .option('--grace <seconds>', 'how long answers may take to end when the server stops', number, 10)
    .option('--no-cached', 'offer only the models named here, not all on this machine')
    .option('--no-preload', 'load the models named here when they are first asked for')
    .option('--log <form>', 'json, text or none; default text on a terminal, else json', logForm);
  addTemplateOption(addModelOptions(command)).action((names: string[], flags: ServeFlags) =>
    serve(context, names, flags),
  );
}

function logForm(text: string): 'json' | 'text' | 'none' {
  if (text === 'json' || text === 'text' || text === 'none') return text;
  throw new InvalidArgumentError('It must be json, text or none.');
}

async function serve(context: Context, names: readonly string[], flags: ServeFlags): Promise<void> {
  if (names.length === 0) {
    const unread = { '--no-preload': !flags.preload, '--no-cached': !flags.cached };
    refuseUnread(unread, 'no model is named here');
  }
  const configured = await resolveAll(context, names);
  const accessKey = newAccessKey();
  const keys = [...(flags.apiKey ?? []), ...(context.env.apiKey === undefined ? [] : [context.env.apiKey])];
  const { memoryLimit, ...model } = loadOptions(flags, context.signal);
  const server = await context.engine.serve({
    configured,
    cacheDir: flags.cached ? context.env.hfHubCache : undefined,
    others: flags.cached ? () => presetsOf(context) : undefined,
    aliases: new Map(flags.alias ?? []),
    load: (path, options) => context.engine.load(path, { ...model, ...options, signal: undefined }),
    host: flags.host,
    port: flags.port,
    // `ingot ps` and `ingot stop` of the same user have a key of their own.
    apiKeys: keys.length === 0 ? [] : [...keys, accessKey],
    cors: flags.cors,
    allowHosts: flags.allowHost,
    limits: { requests: flags.maxRequests },
    memoryLimit,
    maxModels: Math.max(flags.maxModels, 1),
    idleMs: flags.idleMinutes * 60_000,
    pageFolder: pageFolder(),
    version: context.version,
    log: logger(context, flags.log),
  });
  const record = { pid: process.pid, url: server.url, instance: server.instance, key: accessKey };
  await recordServer(context.env, record);
  try {
    await greet(context, server, configured, flags);
    await aborted(context.signal);
  } finally {
    await forgetServer(context.env, record);
    if (flags.log !== 'none') context.stderr.write('stopping\n');
    await server.close(flags.grace * 1000);
  }
}

/** Models for a server by their names, pulled where they must be. */
export async function resolveAll(context: Context, names: readonly string[]): Promise<readonly GivenModel[]> {
  const progress = createProgress(context.stderr);
  const { onProgress, onNotice } = progressCallbacks(progress);
  const resolved: GivenModel[] = [];
  try {
    for (const name of names) {
      const path = await context.engine.resolve(name, { signal: context.signal, onProgress, onNotice });
      const preset = await findPreset(name, context.env);
      resolved.push({ name: nameFor(name), path, loads: preset && name });
    }
  } finally {
    progress.finish();
  }
  return resolved;
}

const presetsOf = async (context: Context): Promise<readonly GivenModel[]> => {
  const { localPresets } = await import('../../engine/hub.ts');
  return (await localPresets(context.env)).map(({ name, path }) => ({ name, path, loads: name }));
};

/** What clients call a model: the name that was given, or the end of a path without its ending. */
const nameFor = (given: string): string =>
  existsSync(given) ? basename(given).replace(/\.(gguf|ingot)$/i, '') : given.replace(/^hf:/, '');

async function greet(
  context: Context,
  server: RunningServer,
  configured: readonly { readonly name: string }[],
  flags: ServeFlags,
): Promise<void> {
  for (const { name } of flags.preload ? configured : []) {
    context.stderr.write(`loading ${name}\n`);
    await server.preload(name, context.signal);
  }
  const open =
    flags.host !== '127.0.0.1' && (flags.apiKey ?? []).length === 0 && context.env.apiKey === undefined;
  if (open && !/^(localhost|::1|127\..*)$/.test(flags.host)) {
    context.stderr.write(
      'warning: everyone who reaches this address may use the server; --api-key asks for a key\n',
    );
  }
  context.stdout.write(
    `listening on ${server.url}\n  chat page             ${server.url}/\n  OpenAI and Responses  ${server.url}/v1\n  Anthropic, Ollama     ${server.url}\n`,
  );
}

/** Resolves when it is. */
export const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });

/** The page's files: beside the sources in a checkout, beside the bundle in the package. */
function pageFolder(): string | undefined {
  const candidates = ['../../../web', '../../web', '../web', './web'].map((path) =>
    fileURLToPath(new URL(path, import.meta.url)),
  );
  return candidates.find((folder) => existsSync(`${folder}/index.html`));
}

function logger(context: Context, form: ServeFlags['log']): (record: LogRecord) => void {
  const chosen = form ?? (context.stderr.isTTY ? 'text' : 'json');
  if (chosen === 'none') return () => {};
  if (chosen === 'json') return (record) => context.stderr.write(`${JSON.stringify(record)}\n`);
  return ({ time, level, event, ...fields }) => {
    const rest = Object.entries(fields)
      .filter(([key]) => key !== 'id')
      .map(([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
    const mark = level === 'info' ? '' : `${level}: `;
    context.stderr.write(`${time.slice(11, 19)} ${mark}${event} ${rest.join(' ')}\n`);
  };
}
