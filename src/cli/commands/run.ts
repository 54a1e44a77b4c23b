// ingot run MODEL [PROMPT...]: one answer, streamed to stdout.

import type { Command } from 'commander';
import { IngotError } from '../../base/errors.ts';
import type { Model, TextStream } from '../../engine/types.ts';
import { type Context, harmless, printJson } from '../context.ts';
import {
  addModelOptions,
  addSamplingOptions,
  integer,
  loadOptions,
  type ModelFlags,
  type SamplingFlags,
  textOptions,
} from '../options.ts';
import { createProgress, progressCallbacks } from '../progress.ts';
import { formatStats, statsJson } from '../stats.ts';

interface RunFlags extends ModelFlags, SamplingFlags {
  readonly system?: string;
  readonly raw?: boolean;
  readonly stats?: boolean;
  readonly json?: boolean;
  readonly logprobs?: number;
}

export function register(program: Command, context: Context): void {
  const command = program
    .command('run')
    .description('answer a prompt (from the arguments or from stdin) and exit; without a prompt, chat')
    .argument('<model>', 'short name, user/repo of the hub, or path')
    .argument('[prompt...]', 'the prompt; words are joined with spaces')
    .option('--system <text>', 'system message')
    .option('--raw', 'continue the prompt as plain text, without the chat template')
    .option('--logprobs <n>', 'with --json: the n most likely tokens at every step', integer)
    .option('--stats', 'print speed to stderr afterwards')
    .option('--json', 'print one JSON document instead of streaming');
  addSamplingOptions(addModelOptions(command)).action((name: string, words: string[], flags: RunFlags) =>
    run(context, name, words, flags),
  );
}

async function run(context: Context, name: string, words: readonly string[], flags: RunFlags): Promise<void> {
  const prompt = words.length > 0 ? words.join(' ') : await readStdin(context);
  if (prompt === undefined) {
    const { chat } = await import('./chat.ts');
    return await chat(context, name, flags);
  }
  if (prompt.trim() === '')
    throw new IngotError('invalid_argument', 'the prompt is empty; give it as arguments or on stdin');
  const progress = createProgress(context.stderr);
  const model = await context.engine
    .load(name, { ...loadOptions(flags, context.signal), ...progressCallbacks(progress) })
    .finally(() => progress.finish());
  try {
    await print(context, model, answer(model, prompt, flags, context.signal), flags);
  } finally {
    model.dispose();
  }
}

async function print(context: Context, model: Model, stream: TextStream, flags: RunFlags): Promise<void> {
  if (flags.json === true) return await printDocument(context, model, stream);
  const clean = context.stdout.isTTY ? harmless : (text: string) => text;
  for await (const text of stream) context.stdout.write(clean(text));
  context.stdout.write('\n');
  if (flags.stats === true) context.stderr.write(`${formatStats(stream.stats)}\n`);
}

function answer(model: Model, prompt: string, flags: RunFlags, signal: AbortSignal): TextStream {
  const options = { ...textOptions(flags, signal), logprobs: flags.logprobs };
  if (flags.raw === true) return model.complete(prompt, options);
  return model.chat([{ role: 'user', content: prompt }], { ...options, system: flags.system });
}

async function printDocument(context: Context, model: Model, stream: TextStream): Promise<void> {
  let text = '';
  for await (const part of stream) text += part;
  printJson(context.stdout, { model: model.info.name, text, stats: statsJson(stream.stats) });
}

/** Everything on stdin; undefined when stdin is a terminal. */
async function readStdin(context: Context): Promise<string | undefined> {
  if (context.stdin.isTTY === true) return undefined;
  let text = '';
  context.stdin.setEncoding('utf8');
  for await (const part of context.stdin) text += String(part);
  return text;
}
