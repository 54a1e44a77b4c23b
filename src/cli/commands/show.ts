// ingot show MODEL: what a model is, from its headers.

import type { Command } from 'commander';
import { IngotError } from '../../base/errors.ts';
import { formatBytes } from '../../base/text.ts';
import type { ModelDetails } from '../../engine/inspect.ts';
import { formatModelfile, formatParameters } from '../../engine/presets/modelfile.ts';
import type { Preset } from '../../engine/presets/preset.ts';
import { findPreset } from '../../engine/presets/store.ts';
import { type Context, printJson } from '../context.ts';
import { formatFacts } from '../table.ts';

export function register(program: Command, context: Context): void {
  program
    .command('show')
    .description('show what a model is, without loading it')
    .argument('<model>', 'a model or preset on this machine: name, user/repo, or path')
    .option('--modelfile', 'only the instructions that make it')
    .option('--parameters', 'only its parameters')
    .option('--system', 'only its system message')
    .option('--template', 'only its chat template')
    .option('--json', 'print one JSON document')
    .action((name: string, flags: ShowFlags) => show(context, name, flags));
}

interface ShowFlags {
  readonly modelfile?: boolean;
  readonly parameters?: boolean;
  readonly system?: boolean;
  readonly template?: boolean;
  readonly json?: boolean;
}

async function show(context: Context, name: string, { json, ...parts }: ShowFlags): Promise<void> {
  const chosen = Object.keys(parts);
  if (chosen.length + Number(json === true) > 1)
    throw new IngotError(
      'invalid_argument',
      'say one of --modelfile, --parameters, --system, --template, --json',
    );
  const preset = await findPreset(name, context.env);
  const details = await context.engine.inspect(name);
  if (json === true) return printJson(context.stdout, { ...details, ...(preset ? { preset } : {}) });
  const whole: Preset = preset ?? { from: name, parameters: {}, messages: [] };
  const say = (text: string | undefined): void =>
    context.stdout.write(text === undefined || text === '' ? '' : `${text.trimEnd()}\n`);
  switch (chosen[0]) {
    case 'modelfile':
      return say(formatModelfile({ ...whole, template: whole.template ?? details.chatTemplate }));
    case 'parameters':
      return say(formatParameters({ ...details.sampling, ...whole.parameters }).join('\n'));
    case 'system':
      return say(whole.system);
    case 'template':
      return say(whole.template ?? details.chatTemplate);
    default:
      return context.stdout.write(formatDetails(details, preset));
  }
}

/** Counts of parameters as people say them: 134515008 -> "135 M". */
const formatCount = (n: number): string =>
  n >= 1e9 ? `${(n / 1e9).toPrecision(3)} B` : n >= 1e6 ? `${Number((n / 1e6).toPrecision(3))} M` : String(n);

/** By what keys and values are stored as: "23.0 kB (f16), 12.2 kB (q8), …". */
const formatTokenBytes = (sizes: NonNullable<ModelDetails['kvToken']>): string =>
  Object.entries(sizes)
    .map(([stored, bytes]) => `${formatBytes(bytes)} (${stored})`)
    .join(', ');

/** What is told of a model, and of the preset that was asked for. */
export function formatDetails(model: ModelDetails, preset?: Preset): string {
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
    [
      'predicts further',
      model.further &&
        `${model.further.modules} module${model.further.modules === 1 ? '' : 's'} (${model.further.tensors} tensors, ${formatBytes(model.further.bytes)}), not used`,
    ],
    ['width', model.hiddenSize],
    ['vocabulary', model.vocabSize],
    ['context', model.contextLength === undefined ? undefined : `${model.contextLength} tokens`],
    [
      'memory',
      model.sequence &&
        `${formatBytes(model.sequence.bytes)} for ${model.sequence.tokens.toLocaleString('en-US')} tokens`,
    ],
    ['memory of a token', model.kvToken && formatTokenBytes(model.kvToken)],
    ['weights', `${formatBytes(model.weightBytes)}: ${formats.join(', ')}`],
    ['tokenizer', tokenizer],
    ['preset of', preset?.from],
    ['sampling', (preset && formatParameters(preset.parameters).join(', ')) || undefined],
    ['system', preset?.system?.trim().replace(/\s+/g, ' ')],
    ['messages', preset && preset.messages.length > 0 ? preset.messages.length : undefined],
  ]);
}
