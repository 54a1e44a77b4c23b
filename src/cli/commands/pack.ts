// ingot pack MODEL [FILE]: writes the packed form, which opens by mapping.

import type { Command } from 'commander';
import { formatBytes } from '../../base/text.ts';
import { type Context, printJson } from '../context.ts';
import { createProgress } from '../progress.ts';

export function register(program: Command, context: Context): void {
  program
    .command('pack')
    .description('write a model in the form the kernels use, so that it opens at once')
    .argument('<model>', 'short name, user/repo of the hub, or path')
    .argument('[file]', "file to write (default: the model's name with .ingot, in this folder)")
    .option('--json', 'print one JSON document')
    .action((name: string, file: string | undefined, flags: { json?: boolean }) =>
      pack(context, name, file, flags.json === true),
    );
}

async function pack(context: Context, name: string, file: string | undefined, json: boolean): Promise<void> {
  const progress = createProgress(context.stderr);
  const result = await context.engine
    .pack(name, {
      output: file,
      signal: context.signal,
      onProgress: ({ phase, bytesDone, bytesTotal }) =>
        progress.update(phase === 'load' ? 'Packing' : 'Downloading', bytesDone, bytesTotal),
      onNotice: (text) => progress.notice(text),
    })
    .finally(() => progress.finish());
  if (json) printJson(context.stdout, { model: name, ...result });
  else context.stdout.write(`${result.path} (${formatBytes(result.bytes)})\n`);
}
