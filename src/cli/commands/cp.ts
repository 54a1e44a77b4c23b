// ingot cp SOURCE NAME: another name of a model or preset, so that clients that insist on one find it.

import type { Command } from 'commander';
import { writePreset } from '../../engine/presets/store.ts';
import { type Context, printJson } from '../context.ts';
import { settled } from './create.ts';

export function register(program: Command, context: Context): void {
  program
    .command('cp')
    .description('give a model or preset another name; its weights are not copied')
    .argument('<source>', 'a preset, short name, user/repo of the hub, or path')
    .argument('<name>', 'the other name')
    .option('--json', 'print one JSON document')
    .action(async (source: string, name: string, flags: { json?: boolean }) => {
      const preset = await settled(context, { from: source, parameters: {}, messages: [] });
      await writePreset(name, preset, context.env);
      if (flags.json === true) printJson(context.stdout, { name, ...preset });
      else context.stdout.write(`${name} is a preset of ${preset.from} now\n`);
    });
}
