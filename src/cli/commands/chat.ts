// ingot chat MODEL: a conversation in the terminal. Ctrl-C stops the answer, a second one leaves.

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import type { Message } from '../../chat/messages.ts';
import type { Model } from '../../engine/types.ts';
import { type Context, harmless } from '../context.ts';
import {
  addModelOptions,
  addSamplingOptions,
  loadOptions,
  type ModelFlags,
  type SamplingFlags,
  textOptions,
} from '../options.ts';
import { createProgress, progressCallbacks } from '../progress.ts';
import { Prompt } from '../prompt.ts';
import { formatStats } from '../stats.ts';

export interface ChatFlags extends ModelFlags, SamplingFlags {
  readonly system?: string;
  readonly stats?: boolean;
}

const historySize = 500;

const help = `  /reset          forget the conversation
  /system TEXT    set the system message and start anew
  /stats          show or hide the speed of answers
  /exit           leave (also Ctrl-D, or Ctrl-C twice)
  """             begins and ends a text of several lines
`;

export function register(program: Command, context: Context): void {
  const command = program
    .command('chat')
    .description('talk with a model')
    .argument('<model>', 'short name, user/repo of the hub, or path')
    .option('--system <text>', 'system message')
    .option('--stats', 'print speed after every answer');
  addSamplingOptions(addModelOptions(command)).action((name: string, flags: ChatFlags) =>
    chat(context, name, flags),
  );
}

/** Loads the model and talks until the input ends. */
export async function chat(context: Context, name: string, flags: ChatFlags): Promise<void> {
  const progress = createProgress(context.stderr);
  const model = await context.engine
    .load(name, { ...loadOptions(flags, context.signal), ...progressCallbacks(progress) })
    .finally(() => progress.finish());
  const file = join(context.env.cacheDir, 'history');
  const prompt = new Prompt(context.stdin, context.stdout, await readHistory(file));
  if (prompt.interactive) context.stdout.write(`${model.info.name}. /help lists the commands.\n`);
  try {
    await converse(context, model, prompt, flags);
  } finally {
    if (prompt.interactive) await writeHistory(file, prompt.history);
    prompt.close();
    model.dispose();
  }
}

async function converse(context: Context, model: Model, prompt: Prompt, flags: ChatFlags): Promise<void> {
  let messages: Message[] = [];
  let system = flags.system;
  let stats = flags.stats === true;
  for (;;) {
    const text = await prompt.ask('>>> ');
    if (text === undefined || text === '/exit' || text === '/quit') return;
    if (text === '/help') context.stdout.write(help);
    else if (text === '/stats') stats = !stats;
    else if (text === '/reset' || text.startsWith('/system ')) {
      messages = [];
      if (text !== '/reset') system = text.slice('/system '.length).trim() || undefined;
    } else if (text.startsWith('/'))
      context.stdout.write(`${text.split(' ')[0]} is not a command; /help lists them\n`);
    else if (text.trim() !== '') {
      const question: Message = { role: 'user', content: text };
      const answer = await reply(context, model, prompt, [...messages, question], {
        ...flags,
        system,
        stats,
      });
      if (answer !== undefined) messages.push(question, { role: 'assistant', content: answer });
    }
  }
}

type ReplyFlags = SamplingFlags & { readonly system: string | undefined; readonly stats: boolean };

/** Streams one answer; what came before a Ctrl-C counts as the answer. Undefined after an error, which is shown. */
async function reply(
  context: Context,
  model: Model,
  prompt: Prompt,
  messages: readonly Message[],
  flags: ReplyFlags,
): Promise<string | undefined> {
  const stop = prompt.interruptible();
  const signal = AbortSignal.any([stop.signal, context.signal]);
  const clean = context.stdout.isTTY ? harmless : (text: string) => text;
  let answer = '';
  try {
    const options = {
      ...textOptions(flags, signal),
      system: flags.system,
      fullContext: 'dropOldest' as const,
    };
    const stream = model.chat(messages, options);
    for await (const part of stream) {
      answer += part;
      context.stdout.write(clean(part));
    }
    context.stdout.write('\n');
    if (stream.dropped > 0)
      context.stderr.write(
        `(the conversation is longer than the context: its oldest ${stream.dropped} messages were left out)\n`,
      );
    if (flags.stats) context.stderr.write(`${formatStats(stream.stats)}\n`);
  } catch (error) {
    context.signal.throwIfAborted();
    if (!stop.signal.aborted) {
      context.stderr.write(`\nerror: ${error instanceof Error ? error.message : String(error)}\n`);
      return undefined;
    }
    context.stdout.write('\n');
  } finally {
    stop.release();
  }
  return answer;
}

const readHistory = async (file: string): Promise<string[]> =>
  (await readFile(file, 'utf8').catch(() => '')).split('\n').filter((line) => line !== '');

/** What was typed is kept for the next time, readable by this user only. A history that cannot be written is not worth an error. */
async function writeHistory(file: string, lines: readonly string[]): Promise<void> {
  try {
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, `${lines.slice(0, historySize).join('\n')}\n`, { mode: 0o600 });
  } catch {}
}
