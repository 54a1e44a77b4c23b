// ingot eval MODEL --text FILE: perplexity of a text.

import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { IngotError } from '../../base/errors.ts';
import { type Context, printJson } from '../context.ts';
import { addModelOptions, loadOptions, type ModelFlags, positive } from '../options.ts';
import { createProgress, progressCallbacks } from '../progress.ts';

interface EvalFlags extends ModelFlags {
  readonly text: string;
  readonly window?: number;
  readonly stride?: number;
  readonly json?: boolean;
}

export function register(program: Command, context: Context): void {
  const command = program
    .command('eval')
    .description('measure the perplexity of a text under a model')
    .argument('<model>', 'short name, user/repo of the hub, or path')
    .requiredOption('--text <file>', 'UTF-8 text file')
    .option('--window <tokens>', 'tokens a prediction can see at most', positive)
    .option('--stride <tokens>', 'tokens between the starts of two windows', positive)
    .option('--json', 'print one JSON document');
  addModelOptions(command).action((name: string, flags: EvalFlags) => evaluate(context, name, flags));
}

async function evaluate(context: Context, name: string, flags: EvalFlags): Promise<void> {
  const text = await readFile(flags.text, 'utf8').catch((cause: unknown) => {
    throw new IngotError('not_found', `${flags.text} cannot be read: ${(cause as Error).message}`, { cause });
  });
  const progress = createProgress(context.stderr);
  const counter = createProgress(context.stderr, { unit: 'tokens' });
  const model = await context.engine
    .load(name, { ...loadOptions(flags, context.signal), ...progressCallbacks(progress) })
    .finally(() => progress.finish());
  try {
    const { perplexity, tokens, ms } = await model
      .perplexity(text, {
        context: flags.window,
        stride: flags.stride,
        signal: context.signal,
        onProgress: ({ tokensDone, tokensTotal }) => counter.update('Evaluating', tokensDone, tokensTotal),
      })
      .finally(() => counter.finish());
    if (flags.json === true) {
      return printJson(context.stdout, { model: model.info.name, text: flags.text, perplexity, tokens, ms });
    }
    const speed = ms > 0 ? `, ${Math.round((tokens / ms) * 1000)} tokens/s` : '';
    context.stdout.write(`perplexity ${perplexity.toFixed(4)} over ${tokens} tokens${speed}\n`);
  } finally {
    model.dispose();
  }
}
