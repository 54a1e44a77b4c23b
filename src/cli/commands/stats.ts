// ingot stats MODEL [--text FILE]: which experts a model uses, layer by layer.

import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { IngotError } from '../../base/errors.ts';
import type { StatisticsReport } from '../../engine/routing-statistics.ts';
import { type Context, printJson } from '../context.ts';
import { addModelOptions, loadOptions, type ModelFlags } from '../options.ts';
import { createProgress, progressCallbacks } from '../progress.ts';
import { formatTable } from '../table.ts';

interface StatsFlags extends ModelFlags {
  readonly text?: string;
  readonly json?: boolean;
}

export function register(program: Command, context: Context): void {
  const command = program
    .command('stats')
    .description(
      'show which experts of a model are busiest, as recorded beside it; --text adds to the record',
    )
    .argument('<model>', 'preset, short name, user/repo of the hub, or path')
    .option('--text <file>', 'UTF-8 text that the model reads, its choices counted')
    .option('--json', 'print one JSON document');
  addModelOptions(command).action((name: string, flags: StatsFlags) => stats(context, name, flags));
}

async function stats(context: Context, name: string, flags: StatsFlags): Promise<void> {
  const progress = createProgress(context.stderr);
  const counter = createProgress(context.stderr, { unit: 'tokens' });
  const report = await context.engine
    .routingStatistics(name, {
      ...loadOptions(flags, context.signal),
      ...progressCallbacks(progress),
      text: flags.text === undefined ? undefined : await readText(flags.text),
      onTokens: (done, total) => counter.update('Counting', done, total),
    })
    .finally(() => {
      progress.finish();
      counter.finish();
    });
  if (flags.json === true) printJson(context.stdout, { model: name, ...report });
  else context.stdout.write(formatStatistics(report));
}

const readText = (path: string): Promise<string> =>
  readFile(path, 'utf8').catch((cause: unknown) => {
    throw new IngotError('not_found', `${path} cannot be read: ${(cause as Error).message}`, { cause });
  });

function formatStatistics({ path, tokens, layers }: StatisticsReport): string {
  const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
  const rows = layers.map(({ name, experts, unused, busiest10, busiest20, busiest50 }) => [
    name,
    String(experts),
    String(unused),
    ...[busiest10, busiest20, busiest50].map(percent),
  ]);
  const header = ['LAYER', 'EXPERTS', 'UNUSED', 'BUSIEST 10 %', 'BUSIEST 20 %', 'BUSIEST 50 %'];
  return `${path}: ${tokens.toLocaleString('en-US')} tokens\n${formatTable([header, ...rows], [1, 2, 3, 4, 5])}`;
}
