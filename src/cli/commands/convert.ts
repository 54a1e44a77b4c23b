// ingot convert MODEL --to KIND: writes a model as another kind of file, without quantising it further.

import { type Command, Option } from 'commander';
import { formatBytes } from '../../base/text.ts';
import type { ConvertOptions } from '../../engine/convert.ts';
import { type Context, printJson } from '../context.ts';
import { createProgress } from '../progress.ts';

interface ConvertFlags {
  readonly to: string;
  readonly out?: string;
  readonly json?: boolean;
}

export function register(program: Command, context: Context): void {
  program
    .command('convert')
    .description('write a model as another kind of file')
    .argument('<model>', 'short name, user/repo of the hub, or path')
    .addOption(
      new Option('--to <kind>', 'gguf: one file; mlx, safetensors: a folder; packed: as the kernels want it')
        .choices(['gguf', 'mlx', 'safetensors', 'packed'])
        .makeOptionMandatory(),
    )
    .option(
      '--out <path>',
      "file or folder to write (default: the model's name and the kind, in this folder)",
    )
    .option('--json', 'print one JSON document')
    .action((name: string, { to, out, json }: ConvertFlags) =>
      writeModel(context, name, { to, output: out }, 'Converting', json === true),
    );
}

/** Writes a model in another form, with progress, and says what came of it. */
export async function writeModel(
  context: Context,
  name: string,
  options: ConvertOptions,
  label: string,
  json: boolean,
): Promise<void> {
  const progress = createProgress(context.stderr);
  const result = await context.engine
    .convert(name, {
      ...options,
      signal: context.signal,
      onProgress: ({ phase, bytesDone, bytesTotal }) =>
        progress.update(phase === 'load' ? label : 'Downloading', bytesDone, bytesTotal),
      onNotice: (text) => progress.notice(text),
    })
    .finally(() => progress.finish());
  if (json) return printJson(context.stdout, { model: name, ...result });
  const bits =
    result.bitsPerWeight === undefined ? '' : `, ${result.bitsPerWeight.toFixed(2)} bits per weight`;
  const list = Object.entries(result.formats ?? {}).map(([format, count]) => `${count} ${format}`);
  const matrices = list.length === 0 ? '' : `: ${list.join(', ')}`;
  context.stdout.write(`${result.path} (${formatBytes(result.bytes)}${bits}${matrices})\n`);
}
