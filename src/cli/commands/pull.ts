// ingot pull MODEL: downloads a model and prints where it lies.

import type { Command } from 'commander';
import { type Context, printJson } from '../context.ts';
import { createProgress, progressCallbacks } from '../progress.ts';

export function register(program: Command, context: Context): void {
  program
    .command('pull')
    .description('download a model; goes on where an interrupted download stopped')
    .argument('<model>', 'short name or user/repo[:file-or-quant] of the hub')
    .option('--json', 'print one JSON document')
    .action((name: string, flags: { json?: boolean }) => pull(context, name, flags.json === true));
}

async function pull(context: Context, name: string, json: boolean): Promise<void> {
  const progress = createProgress(context.stderr);
  const path = await context.engine
    .resolve(name, { signal: context.signal, env: context.env, ...progressCallbacks(progress) })
    .finally(() => progress.finish());
  if (json) printJson(context.stdout, { model: name, path });
  else context.stdout.write(`${path}\n`);
}
