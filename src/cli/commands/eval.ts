// ingot eval MODEL --text FILE: perplexity of a text, and how far it is from another model's.

import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { IngotError } from '../../base/errors.ts';
import type { Model, PerplexityResult } from '../../engine/types.ts';
import { type Context, printJson } from '../context.ts';
import { addModelOptions, loadOptions, type ModelFlags, positive } from '../options.ts';
import { createProgress, progressCallbacks } from '../progress.ts';

interface EvalFlags extends ModelFlags {
  readonly text: string;
  readonly window?: number;
  readonly stride?: number;
  readonly rows?: number;
  readonly against?: string;
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
    .option('--rows <tokens>', 'tokens read at a time, 1 to 64; 1: as an answer is written', positive)
    .option(
      '--against <model>',
      'the model it was made from: also prints its perplexity, the mean KL and how often both agree',
    )
    .option('--json', 'print one JSON document');
  addModelOptions(command).action((name: string, flags: EvalFlags) => evaluate(context, name, flags));
}

async function evaluate(context: Context, name: string, flags: EvalFlags): Promise<void> {
  const text = await readFile(flags.text, 'utf8').catch((cause: unknown) => {
    throw new IngotError('not_found', `${flags.text} cannot be read: ${(cause as Error).message}`, { cause });
  });
  const counter = createProgress(context.stderr, { unit: 'tokens' });
  const load = async (path: string): Promise<Model> => {
    const progress = createProgress(context.stderr);
    const options = { ...loadOptions(flags, context.signal), ...progressCallbacks(progress) };
    return context.engine.load(path, options).finally(() => progress.finish());
  };
  const model = await load(name);
  let source: Model | undefined;
  try {
    source = flags.against === undefined ? undefined : await load(flags.against);
    const result = await model
      .perplexity(text, {
        context: flags.window,
        stride: flags.stride,
        rows: flags.rows,
        against: source,
        signal: context.signal,
        onProgress: ({ tokensDone, tokensTotal }) => counter.update('Evaluating', tokensDone, tokensTotal),
      })
      .finally(() => counter.finish());
    if (flags.json === true)
      return printJson(context.stdout, { model: model.info.name, text: flags.text, ...result });
    context.stdout.write(described(result));
  } finally {
    source?.dispose();
    model.dispose();
  }
}

function described({ perplexity, tokens, ms, substituted, against }: PerplexityResult): string {
  const speed = ms > 0 ? `, ${Math.round((tokens / ms) * 1000)} tokens/s` : '';
  const lost =
    substituted === undefined ? '' : `, ${(100 * substituted).toFixed(1)} % of the choices gave way`;
  const own = `perplexity ${perplexity.toFixed(4)} over ${tokens} tokens${speed}${lost}\n`;
  if (against === undefined) return own;
  const change = 100 * (perplexity / against.perplexity - 1);
  return (
    `${own}against ${against.perplexity.toFixed(4)} (${change >= 0 ? '+' : ''}${change.toFixed(2)} %): ` +
    `mean KL ${against.meanKl.toFixed(5)} nats, the same token first in ${(100 * against.topAgreement).toFixed(1)} %\n`
  );
}
