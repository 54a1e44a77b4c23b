// ingot embed MODEL [TEXT...]: vectors of texts, one JSON array a line.

import type { Command } from 'commander';
import { Option } from 'commander';
import { IngotError } from '../../base/errors.ts';
import type { Pooling } from '../../engine/types.ts';
import { type Context, printJson } from '../context.ts';
import { readPiped } from '../input.ts';
import { addModelOptions, loadOptions, type ModelFlags } from '../options.ts';
import { createProgress, progressCallbacks } from '../progress.ts';

interface EmbedFlags extends ModelFlags {
  readonly pooling?: Pooling;
  readonly json?: boolean;
}

export function register(program: Command, context: Context): void {
  const command = program
    .command('embed')
    .description('print vectors of texts, one JSON array a line')
    .argument('<model>', 'preset, short name, user/repo of the hub, or path')
    .argument('[texts...]', 'a vector for each; without any, for each line of stdin')
    .addOption(
      new Option('--pooling <name>', 'of the rows of the final hidden state').choices(['mean', 'last']),
    )
    .option('--json', 'print one JSON document');
  addModelOptions(command).action((name: string, texts: string[], flags: EmbedFlags) =>
    embed(context, name, texts, flags),
  );
}

async function embed(
  context: Context,
  name: string,
  words: readonly string[],
  flags: EmbedFlags,
): Promise<void> {
  const piped = words.length > 0 ? undefined : await readPiped(context.stdin, context.signal);
  const texts = words.length > 0 ? words : (piped ?? '').split(/\r?\n/).filter((line) => line.trim() !== '');
  if (texts.length === 0)
    throw new IngotError('invalid_argument', 'there is no text; give some as arguments, or lines on stdin');
  const progress = createProgress(context.stderr);
  const model = await context.engine
    .load(name, { ...loadOptions(flags, context.signal), ...progressCallbacks(progress) })
    .finally(() => progress.finish());
  try {
    const embeddings: number[][] = [];
    for (const text of texts) {
      const vector = await model.embed(text, { pooling: flags.pooling, signal: context.signal });
      if (flags.json === true) embeddings.push([...vector]);
      else printJson(context.stdout, [...vector]);
    }
    if (flags.json === true) printJson(context.stdout, { model: model.info.name, embeddings });
  } finally {
    model.dispose();
  }
}
