// ingot list: models on this machine, and with --all the short names that can be pulled.

import type { Command } from 'commander';
import { formatBytes } from '../../base/text.ts';
import { type Context, printJson } from '../context.ts';
import { formatTable } from '../table.ts';

interface Row {
  readonly name: string;
  /** Undefined where only the hub knows. */
  readonly bytes: number | undefined;
  readonly downloaded: boolean;
  readonly description: string | undefined;
  readonly path: string | undefined;
}

export function register(program: Command, context: Context): void {
  program
    .command('list')
    .alias('ls')
    .description('list the models on this machine')
    .option('--all', 'also the short names that can be pulled')
    .option('--json', 'print one JSON document')
    .action((flags: { all?: boolean; json?: boolean }) =>
      list(context, flags.all === true, flags.json === true),
    );
}

async function list(context: Context, all: boolean, json: boolean): Promise<void> {
  const rows = await collect(context, all);
  if (json) return printJson(context.stdout, { cache: context.env.hfHubCache, models: rows });
  if (rows.length === 0) {
    context.stdout.write('no models yet; "ingot list --all" shows what can be pulled\n');
    return;
  }
  const body = rows.map((row) => [
    row.name,
    row.bytes === undefined ? '?' : formatBytes(row.bytes),
    row.downloaded ? (row.description ?? '') : `not downloaded: ${row.description ?? ''}`,
  ]);
  context.stdout.write(formatTable([['NAME', 'SIZE', ''], ...body], [1]));
}

async function collect(context: Context, all: boolean): Promise<Row[]> {
  const [{ listCached }, { catalog, entryOfFile, nameOfCached }, { localPresets }] = await Promise.all([
    import('../../hub/cache.ts'),
    import('../../hub/catalog.ts'),
    import('../../engine/hub.ts'),
  ]);
  const cached = await listCached(context.env.hfHubCache);
  const rows: Row[] = cached.map((model) => {
    const entry = entryOfFile(model.repo, model.commit, model.file);
    const name = nameOfCached(model);
    const path = model.file === undefined ? model.folder : `${model.folder}/${model.file}`;
    return { name, bytes: model.bytes, downloaded: true, description: entry?.description, path };
  });
  const presets = (await localPresets(context.env)).map(({ name, path, preset }): Row => {
    const bytes = rows.find((row) => row.path === path)?.bytes;
    return { name, bytes, downloaded: true, description: `preset of ${preset.from}`, path };
  });
  rows.push(...presets);
  if (!all) return rows;
  const there = new Set(rows.map(({ name }) => name));
  const missing = catalog.models.filter(({ name }) => !there.has(name));
  return [
    ...rows,
    ...missing.map(({ name, bytes, description }) => ({
      name,
      bytes,
      downloaded: false,
      description,
      path: undefined,
    })),
    ...catalog.unchecked.map(({ name, description, repo, wanted }) => ({
      name,
      bytes: undefined,
      downloaded: false,
      description: `${description} (${repo}${wanted === undefined ? '' : `:${wanted}`}, not checked)`,
      path: undefined,
    })),
  ];
}
