// ingot ps: the servers on this machine and the models they hold in memory.

import type { Command } from 'commander';
import { formatBytes, formatDuration } from '../../base/text.ts';
import { type Context, printJson } from '../context.ts';
import { formatExpertsShort } from '../expert-stats.ts';
import { type ListedModel, loadedModels, runningServers } from '../servers.ts';
import { formatTable } from '../table.ts';

export function register(program: Command, context: Context): void {
  program
    .command('ps')
    .description('list the servers of this machine and their loaded models')
    .option('--json', 'print one JSON document')
    .action((flags: { json?: boolean }) => ps(context, flags.json === true));
}

async function ps(context: Context, json: boolean): Promise<void> {
  const running = await Promise.all(
    (await runningServers(context.env)).map(async (record) => {
      const models = await loadedModels(record);
      return models ? [{ url: record.url, pid: record.pid, models }] : [];
    }),
  );
  const servers = running.flat();
  if (json) return printJson(context.stdout, { servers });
  if (servers.length === 0) return context.stdout.write('no server is running; "ingot serve" starts one\n');
  const rows = servers.flatMap(({ url, pid, models }) =>
    (models.length > 0 ? models : [undefined]).map((model) => [
      url,
      String(pid),
      model?.name ?? 'no model is loaded',
      model ? formatBytes(model.size) : '',
      model ? kvText(model) : '',
      model ? String(model.context_length) : '',
      model?.experts === undefined ? '' : formatExpertsShort(model.experts),
      model ? untilText(model.expires_at) : '',
    ]),
  );
  context.stdout.write(
    formatTable(
      [['SERVER', 'PID', 'MODEL', 'IN USE', 'KV RESERVED', 'CONTEXT', 'EXPERTS', 'LEAVES'], ...rows],
      [1, 3, 4, 5],
    ),
  );
}

/** "256 MB", and of a tiered cache ", 1.2 GB spilled, 9.6 GB read back". */
function kvText({ kv_reserved: reserved, kv_spilled: spilled }: ListedModel): string {
  const held = reserved === undefined ? '' : formatBytes(reserved);
  if (spilled === undefined) return held;
  return `${held}, ${formatBytes(spilled.bytes_written)} spilled, ${formatBytes(spilled.bytes_read)} read back`;
}

/** "in 4 min 10 s", or "stays" for a date so far away that it means never. */
function untilText(date: string): string {
  const seconds = (Date.parse(date) - Date.now()) / 1000;
  return seconds > 1e9 ? 'stays' : `in ${formatDuration(seconds)}`;
}
