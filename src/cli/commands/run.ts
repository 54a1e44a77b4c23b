// ingot run MODEL [PROMPT...]: one answer, streamed to stdout.

import type { Command } from 'commander';
import { IngotError } from '../../base/errors.ts';
import type { Model, TextStream } from '../../engine/types.ts';
import type { ConstraintSpec } from '../../generate/guided/spec.ts';
import { type Context, printJson } from '../context.ts';
import { formatExperts } from '../expert-stats.ts';
import { formatOf } from '../format.ts';
import { readPiped } from '../input.ts';
import {
  addModelOptions,
  addSamplingOptions,
  addTemplateOption,
  integer,
  loadOptions,
  type ModelFlags,
  refuseUnread,
  type SamplingFlags,
  textOptions,
} from '../options.ts';
import { createProgress, progressCallbacks } from '../progress.ts';
import { formatStats, formatTier, statsJson } from '../stats.ts';
import { answerWriter } from '../wrap.ts';

interface RunFlags extends ModelFlags, SamplingFlags {
  readonly system?: string;
  readonly format?: string;
  readonly think?: boolean;
  readonly wordwrap: boolean;
  readonly raw?: boolean;
  readonly stats?: boolean;
  readonly json?: boolean;
  readonly logprobs?: number;
}

export function register(program: Command, context: Context): void {
  const command = program
    .command('run')
    .description('answer a prompt (from the arguments or from stdin) and exit; without a prompt, chat')
    .argument('<model>', 'preset, short name, user/repo of the hub, or path')
    .argument('[prompt...]', 'the prompt; words are joined with spaces')
    .option('--system <text>', 'system message')
    .option('--format <form>', 'of the answer: json, a JSON Schema, or a file with one')
    .option('--think', 'think first, where the model can')
    .option('--no-think', 'answer without thinking first')
    .option('--no-wordwrap', "let the terminal break words at its lines' ends")
    .option('--raw', 'continue the prompt as plain text, without the chat template')
    .option('--logprobs <n>', 'with --json: the n most likely tokens at every step', integer)
    .option('--stats', 'print speed to stderr afterwards')
    .option('--json', 'print one JSON document instead of streaming');
  addSamplingOptions(addTemplateOption(addModelOptions(command))).action(
    (name: string, words: string[], flags: RunFlags) => run(context, name, words, flags),
  );
}

async function run(context: Context, name: string, words: readonly string[], flags: RunFlags): Promise<void> {
  const { raw, json, logprobs, system, template, think } = flags;
  const prompt = words.length > 0 ? words.join(' ') : await readPiped(context.stdin, context.signal);
  if (prompt === undefined) {
    refuseUnread({ '--raw': raw, '--json': json, '--logprobs': logprobs }, 'needs a prompt');
    const { chat } = await import('./chat.ts');
    return await chat(context, name, flags);
  }
  if (raw === true) {
    const chatOnly = {
      '--system': system,
      '--template': template,
      '--think': think === undefined ? undefined : true,
    };
    refuseUnread(chatOnly, 'a raw prompt has no messages around it');
  }
  if (json !== true) refuseUnread({ '--logprobs': logprobs }, 'are printed with --json only');
  const responseFormat = flags.format === undefined ? undefined : formatOf(flags.format);
  if (prompt.trim() === '')
    throw new IngotError('invalid_argument', 'the prompt is empty; give it as arguments or on stdin');
  const progress = createProgress(context.stderr);
  const model = await context.engine
    .load(name, { ...loadOptions(flags, context.signal), ...progressCallbacks(progress) })
    .finally(() => progress.finish());
  try {
    await print(context, model, answer(model, prompt, { ...flags, responseFormat }, context.signal), flags);
  } finally {
    model.dispose();
  }
}

async function print(context: Context, model: Model, stream: TextStream, flags: RunFlags): Promise<void> {
  if (flags.json === true) return await printDocument(context, model, stream);
  const out = answerWriter(context.stdout, flags.wordwrap);
  for await (const text of stream) out.write(text);
  out.end();
  if (flags.stats !== true) return;
  context.stderr.write(`${formatStats(stream.stats)}\n`);
  const { experts } = stream.stats;
  if (experts !== undefined) context.stderr.write(`${formatExperts(experts)}\n`);
  const { kv } = stream.stats;
  if (kv !== undefined) context.stderr.write(`${formatTier(kv)}\n`);
}

type AnswerFlags = RunFlags & { readonly responseFormat: ConstraintSpec | undefined };

function answer(model: Model, prompt: string, flags: AnswerFlags, signal: AbortSignal): TextStream {
  const { logprobs, responseFormat, system, think: thinking } = flags;
  const options = { ...textOptions(flags, signal), logprobs, responseFormat };
  if (flags.raw === true) return model.complete(prompt, options);
  return model.chat([{ role: 'user', content: prompt }], { ...options, system, thinking });
}

async function printDocument(context: Context, model: Model, stream: TextStream): Promise<void> {
  let text = '';
  for await (const part of stream) text += part;
  printJson(context.stdout, {
    model: model.info.name,
    text,
    stats: statsJson(stream.stats),
  });
}
