// ingot show MODEL: what a model is, from its headers.

import type { Command } from 'commander';
import { formatBytes } from '../../base/text.ts';
import type { ModelDetails } from '../../engine/inspect.ts';
import { type Context, printJson } from '../context.ts';
import { formatFacts } from '../table.ts';

export function register(program: Command, context: Context): void {
  program
    .command('show')
    .description('show what a model is, without loading it')
    .argument('<model>', 'a model on this machine: short name, user/repo, or path')
    .option('--json', 'print one JSON document')
    .action(async (name: string, flags: { json?: boolean }) => {
      const details = await context.engine.inspect(name);
      if (flags.json === true) printJson(context.stdout, details);
      else context.stdout.write(formatDetails(details));
    });
}

/** Counts of parameters as people say them: 134515008 -> "135 M". */
const formatCount = (n: number): string =>
  n >= 1e9 ? `${(n / 1e9).toPrecision(3)} B` : n >= 1e6 ? `${Number((n / 1e6).toPrecision(3))} M` : String(n);

function formatDetails(model: ModelDetails): string {
  const formats = model.formats.map(
    ({ name, tensors, bytes }) => `${name} (${tensors} tensors, ${formatBytes(bytes)})`,
  );
  const tokenizer =
    model.tokenizer === undefined
      ? `none: token ids only${model.refusedTokenizer === undefined ? '' : ` (${model.refusedTokenizer})`}`
      : `${model.tokenizer.vocabSize} tokens${model.tokenizer.chatTemplate ? ', chat template' : ''}`;
  return formatFacts([
    ['model', model.name],
    ['path', model.path],
    ['family', model.family],
    ['cannot run', model.unsupported],
    ['parameters', formatCount(model.parameters)],
    ['layers', model.layers],
    ['width', model.hiddenSize],
    ['vocabulary', model.vocabSize],
    ['context', model.contextLength === undefined ? undefined : `${model.contextLength} tokens`],
    [
      'memory',
      model.sequence &&
        `${formatBytes(model.sequence.bytes)} for ${model.sequence.tokens.toLocaleString('en-US')} tokens`,
    ],
    ['weights', `${formatBytes(model.weightBytes)}: ${formats.join(', ')}`],
    ['tokenizer', tokenizer],
  ]);
}
