// ingot convert MODEL --to KIND: writes a model as another kind of file, without quantising it further.

import { type Command, Option } from 'commander';
import { formatBytes } from '../../base/text.ts';
import type { ConvertOptions } from '../../engine/convert.ts';
import type { FormatChoice } from '../../engine/spend.ts';
import { type Context, printJson } from '../context.ts';
import { createProgress } from '../progress.ts';
import { formatTable } from '../table.ts';

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
  const measured = createProgress(context.stderr, { unit: 'matrices' });
  const result = await context.engine
    .convert(name, {
      ...options,
      signal: context.signal,
      onProgress: ({ phase, bytesDone, bytesTotal }) =>
        progress.update(phase === 'load' ? label : 'Downloading', bytesDone, bytesTotal),
      onMeasured: (done, total) => measured.update('Measuring', done, total),
      onNotice: (text) => progress.notice(text),
    })
    .finally(() => {
      progress.finish();
      measured.finish();
    });
  if (json) return printJson(context.stdout, { model: name, ...result });
  const bits =
    result.bitsPerWeight === undefined ? '' : `, ${result.bitsPerWeight.toFixed(2)} bits per weight`;
  const list = Object.entries(result.formats ?? {}).map(([format, count]) => `${count} ${format}`);
  const matrices = list.length === 0 ? '' : `: ${list.join(', ')}`;
  if (result.choices !== undefined) context.stdout.write(chosen(result.choices));
  context.stdout.write(`${result.path} (${formatBytes(result.bytes)}${bits}${matrices})\n`);
}

/** The formats of each kind of matrix, with the layers that have them. */
function chosen(choices: readonly FormatChoice[]): string {
  const kinds = new Map<string, Map<string, number[]>>();
  for (const { name, format } of choices) {
    const [, layer, module = name] = /^model\.layers\.(\d+)\.(.*)$/.exec(name) ?? [];
    const kind = module.replace(/\.weight$/, '');
    const formats = kinds.get(kind) ?? new Map<string, number[]>();
    formats.set(format, [...(formats.get(format) ?? []), ...(layer === undefined ? [] : [Number(layer)])]);
    kinds.set(kind, formats);
  }
  const rows = [...kinds].flatMap(([kind, formats]) =>
    [...formats].map(([format, layers], i) => [i === 0 ? kind : '', format, ranges(layers)]),
  );
  return formatTable([['matrix', 'format', 'layers'], ...rows]);
}

/** `0-3, 7` of 0, 1, 2, 3, 7. */
function ranges(numbers: readonly number[]): string {
  const found: [number, number][] = [];
  for (const n of numbers.toSorted((a, b) => a - b)) {
    const last = found.at(-1);
    if (last !== undefined && last[1] === n - 1) last[1] = n;
    else found.push([n, n]);
  }
  return found.map(([a, b]) => (a === b ? `${a}` : `${a}-${b}`)).join(', ');
}
