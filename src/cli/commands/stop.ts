// ingot stop [MODEL]: ends the servers of this machine, or lets one model go.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { IngotError } from '../../base/errors.ts';
import type { Context } from '../context.ts';
import { positive } from '../options.ts';
import { askServer, isProcess, loadedModels, runningServers, type ServerRecord } from '../servers.ts';

export function register(program: Command, context: Context): void {
  program
    .command('stop')
    .description('stop the servers of this machine, or unload one model from them')
    .argument('[model]', 'a loaded model (as "ingot ps" names it)')
    .option('-p, --port <n>', 'only the server on this port', positive)
    .action((model: string | undefined, flags: { port?: number }) => stop(context, model, flags.port));
}

async function stop(context: Context, model: string | undefined, port: number | undefined): Promise<void> {
  const all = await runningServers(context.env);
  const servers = all.filter(({ url }) => port === undefined || Number(new URL(url).port) === port);
  if (servers.length === 0) {
    throw new IngotError('not_found', `no server is running${port === undefined ? '' : ` on port ${port}`}`);
  }
  if (model === undefined) await Promise.all(servers.map((server) => end(context, server)));
  else await unload(context, servers, model);
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
