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
    .option(
      '--experts',
      'write experts so that one is read with one request, for models larger than memory: alone, beside the model, or in [file] with everything else',
    )
    .option('--json', 'print one JSON document')
    .action((name: string, file: string | undefined, flags: PackFlags) => pack(context, name, file, flags));
}

interface PackFlags {
  readonly experts?: boolean;
  readonly json?: boolean;
}

async function pack(
  context: Context,
  name: string,
  file: string | undefined,
  { experts, json = false }: PackFlags,
): Promise<void> {
  const progress = createProgress(context.stderr);
  const result = await context.engine
    .pack(name, {
      output: file,
      experts,
      signal: context.signal,
      onProgress: ({ phase, bytesDone, bytesTotal }) =>
        progress.update(phase === 'load' ? 'Packing' : 'Downloading', bytesDone, bytesTotal),
      onNotice: (text) => progress.notice(text),
    })
    .finally(() => progress.finish());
  if (json) printJson(context.stdout, { model: name, ...result });
  else context.stdout.write(`${result.path} (${formatBytes(result.bytes)})\n`);
}
