// ingot launch AGENT MODEL: starts a coding agent on a model, behind a server of its own that ends with it.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants as fsConstants, statSync } from 'node:fs';
import { constants } from 'node:os';
import { delimiter, join } from 'node:path';
import type { Command } from 'commander';
import { Argument } from 'commander';
import { environmentWith } from '../../base/env.ts';
import { IngotError } from '../../base/errors.ts';
import { type Agent, type AgentName, type AgentServer, agents } from '../agents.ts';
import type { Context } from '../context.ts';
import { addModelOptions, addTemplateOption, loadOptions, type ModelFlags } from '../options.ts';
import { forgetServer, loadedModels, newAccessKey, recordServer } from '../servers.ts';
import { resolveAll } from './serve.ts';

export function register(program: Command, context: Context): void {
  const command = program
    .command('launch')
    .description('start a coding agent on a model of this machine; its own settings stay as they are')
    .addArgument(new Argument('<agent>', 'the program to start').choices(Object.keys(agents)))
    .argument('<model>', 'preset, short name, user/repo of the hub, or path')
    .argument('[arguments...]', "the agent's own, after --");
  addTemplateOption(addModelOptions(command)).action(
    (agent: AgentName, name: string, args: string[], flags: ModelFlags) =>
      launch(context, agent, name, args, flags),
  );
}

async function launch(
  context: Context,
  agent: AgentName,
  name: string,
  args: readonly string[],
  flags: ModelFlags,
): Promise<void> {
  const program = findProgram(agents[agent].command);
  if (program === undefined) {
    const { command, install } = agents[agent];
    throw new IngotError('not_found', `${command} is not on the PATH; "${install}" installs it`);
  }
  const configured = await resolveAll(context, [name]);
  const model = configured[0]?.name ?? name;
  const key = newAccessKey();
  const { memoryLimit, ...options } = loadOptions(flags, context.signal);
  const server = await context.engine.serve({
    configured,
    cacheDir: undefined,
    // Whatever an agent calls its models: this is the one there is.
    aliases: new Map([['*', model]]),
    load: (path, more) => context.engine.load(path, { ...options, ...more, signal: undefined }),
    port: 0,
    apiKeys: [key],
    memoryLimit,
    version: context.version,
  });
  const record = { pid: process.pid, url: server.url, instance: server.instance, key };
  try {
    await recordServer(context.env, record);
    context.stderr.write(`loading ${model}\n`);
    await server.preload(model, context.signal);
    const [loaded] = (await loadedModels(record)) ?? [];
    const known = { url: server.url, key, model, contextLength: loaded?.context_length ?? 8192 };
    process.exitCode = await runAgent(context, { program, agent: agents[agent], args, server: known });
  } finally {
    await forgetServer(context.env, record);
    await server.close(0);
  }
  context.signal.throwIfAborted();
}

interface Run {
  readonly program: string;
  readonly agent: Agent;
  readonly args: readonly string[];
  readonly server: AgentServer;
}

/** Runs an agent in this terminal until it ends; its exit code, or 128 and the number of the signal that ended it. */
async function runAgent(context: Context, { program, agent, args, server }: Run): Promise<number> {
  const child = spawn(program, [...agent.args(server), ...args], {
    stdio: 'inherit',
    env: environmentWith(agent.environment(server)),
  });
  // A terminal tells both of a Ctrl-C; it is the agent's.
  const back = context.leaveInterrupts?.();
  const end = (): void => void child.kill('SIGTERM');
  context.signal.addEventListener('abort', end, { once: true });
  try {
    const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
    return code ?? 128 + constants.signals[signal ?? 'SIGTERM'];
  } finally {
    context.signal.removeEventListener('abort', end);
    back?.();
  }
}

/** Where a program lies on the PATH. */
function findProgram(command: string): string | undefined {
  const { PATH = '', PATHEXT } = environmentWith({});
  const endings = PATHEXT === undefined ? [''] : PATHEXT.split(';');
  return PATH.split(delimiter)
    .flatMap((folder) => endings.map((ending) => join(folder, command + ending)))
    .find((path) => {
      try {
        accessSync(path, fsConstants.X_OK);
        return statSync(path).isFile();
      } catch {
        return false;
      }
    });
}
