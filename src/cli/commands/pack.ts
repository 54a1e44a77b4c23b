// ingot pack MODEL: writes the packed form, which opens by mapping.

import type { Command } from 'commander';
import { formatBytes } from '../../base/text.ts';
import { type Context, printJson } from '../context.ts';
import { createProgress } from '../progress.ts';

export function register(program: Command, context: Context): void {
  program
    .command('pack')
    .description('write a model in the form the kernels use, so that it opens at once')
    .argument('<model>', 'short name, user/repo of the hub, or path')
    .option('-o, --output <file>', "file to write (default: the model's name with .ingot)")
    .option('--json', 'print one JSON document')
    .action((name: string, flags: { output?: string; json?: boolean }) => pack(context, name, flags));
}

async function pack(
  context: Context,
  name: string,
  flags: { output?: string; json?: boolean },
): Promise<void> {
  const progress = createProgress(context.stderr);
  const result = await context.engine
    .pack(name, {
      output: flags.output,
      signal: context.signal,
      onProgress: ({ phase, bytesDone, bytesTotal }) =>
        progress.update(phase === 'load' ? 'Packing' : 'Downloading', bytesDone, bytesTotal),
      onNotice: (text) => progress.notice(text),
    })
    .finally(() => progress.finish());
  if (flags.json === true) printJson(context.stdout, { model: name, ...result });
  else context.stdout.write(`${result.path} (${formatBytes(result.bytes)})\n`);
}
