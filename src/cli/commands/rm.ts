// ingot rm MODEL...: deletes downloaded models from the cache.

import type { Command } from 'commander';
import { IngotError } from '../../base/errors.ts';
import { formatBytes } from '../../base/text.ts';
import { type Context, printJson } from '../context.ts';

export function register(program: Command, context: Context): void {
  program
    .command('rm')
    .description('delete downloaded models and presets')
    .argument('<models...>', 'short names or user/repo[:file-or-quant]')
    .option('--json', 'print one JSON document')
    .action((names: string[], flags: { json?: boolean }) => remove(context, names, flags.json === true));
}

async function remove(context: Context, names: readonly string[], json: boolean): Promise<void> {
  const [{ listCached, removeCached }, { findLocal }, { parseName }, { removePreset }] = await Promise.all([
    import('../../hub/cache.ts'),
    import('../../hub/resolve.ts'),
    import('../../hub/names.ts'),
    import('../../engine/presets/store.ts'),
  ]);
  const cache = context.env.hfHubCache;
  const removed: { model: string; bytes: number }[] = [];
  for (const name of names) {
    if (await removePreset(name, context.env)) {
      removed.push({ model: name, bytes: 0 });
      if (!json) context.stdout.write(`removed the preset ${name}\n`);
      continue;
    }
    if (parseName(name).kind === 'path') {
      throw new IngotError(
        'invalid_argument',
        `${name} is a file of yours, not a download; delete it with your system's tools`,
      );
    }
    const path = await findLocal(name, context.env);
    const model = (await listCached(cache)).find(
      ({ folder, file }) => path === (file === undefined ? folder : `${folder}/${file}`),
    );
    if (!model)
      throw new IngotError('not_found', `${name} is not on this machine; "ingot list" shows what is`);
    const bytes = await removeCached(cache, model);
    removed.push({ model: name, bytes });
    if (!json) context.stdout.write(`removed ${name} (${formatBytes(bytes)})\n`);
  }
  if (json) printJson(context.stdout, { removed });
}
