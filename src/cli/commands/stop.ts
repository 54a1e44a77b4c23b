// ingot stop [MODEL]: ends a server of this machine, or lets one model go. Which of several is for the user to say.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { IngotError } from '../../base/errors.ts';
import type { Context } from '../context.ts';
import { port, refuseUnread } from '../options.ts';
import { askServer, isProcess, loadedModels, runningServers, type ServerRecord } from '../servers.ts';

export function register(program: Command, context: Context): void {
  program
    .command('stop')
    .description('stop the server of this machine, or unload one model')
    .argument('[model]', 'a loaded model (as "ingot ps" names it)')
    .option('-p, --port <n>', 'only the server on this port', port)
    .option('--all', 'every server of this user')
    .action((model: string | undefined, flags: StopFlags) => stop(context, model, flags));
}

interface StopFlags {
  readonly port?: number;
  readonly all?: boolean;
}

async function stop(
  context: Context,
  model: string | undefined,
  { port, all = false }: StopFlags,
): Promise<void> {
  if (model !== undefined) refuseUnread({ '--all': all }, 'a model is let go by every server that has it');
  if (port !== undefined) refuseUnread({ '--all': all }, 'say one of --port and --all');
  const running = await runningServers(context.env);
  const servers = running.filter(({ url }) => port === undefined || Number(new URL(url).port) === port);
  if (servers.length === 0) {
    throw new IngotError('not_found', `no server is running${port === undefined ? '' : ` on port ${port}`}`);
  }
  if (model !== undefined) return await unload(context, servers, model);
  if (servers.length > 1 && !all) {
    const list = servers.map(({ url }) => `  ${url}`).join('\n');
    throw new IngotError(
      'invalid_argument',
      `${servers.length} servers are running; say which with --port, or --all:\n${list}`,
    );
  }
  await Promise.all(servers.map((server) => end(context, server)));
}

async function unload(context: Context, servers: readonly ServerRecord[], model: string): Promise<void> {
  let found = false;
  for (const server of servers) {
    const models = await loadedModels(server);
    if (!models?.some(({ name }) => name === model)) continue;
    await askServer(server, '/api/generate', { model, keep_alive: 0 });
    context.stdout.write(`${model} is unloaded from ${server.url}\n`);
    found = true;
  }
  if (!found) throw new IngotError('not_found', `no server has ${model} loaded; "ingot ps" shows what is`);
}

/** Longer than a server gives to answers in progress by default, and shorter than patience. */
const WAIT_MS = 60_000;

async function end(context: Context, { pid, url }: ServerRecord): Promise<void> {
  process.kill(pid, 'SIGTERM');
  for (const limit = performance.now() + WAIT_MS; isProcess(pid); await sleep(50)) {
    context.signal.throwIfAborted();
    if (performance.now() > limit) {
      throw new IngotError(
        'device_failed',
        `the server ${url} (process ${pid}) does not end; it was asked to`,
      );
    }
  }
  context.stdout.write(`${url} is stopped\n`);
}
