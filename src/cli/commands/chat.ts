// ingot chat MODEL: a conversation in the terminal. Ctrl-C stops the answer, a second one leaves.

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import { IngotError } from '../../base/errors.ts';
import type { Message } from '../../chat/messages.ts';
import { isCommand, runCommand } from '../chat-commands.ts';
import type { Context } from '../context.ts';
import { type ChatFlags, Conversation } from '../conversation.ts';
import { addModelOptions, addSamplingOptions, addTemplateOption, textOptions } from '../options.ts';
import { Prompt } from '../prompt.ts';
import { formatStats } from '../stats.ts';
import { answerWriter } from '../wrap.ts';

const historySize = 500;

export function register(program: Command, context: Context): void {
  const command = program
    .command('chat')
    .description('talk with a model')
    .argument('<model>', 'preset, short name, user/repo of the hub, or path')
    .option('--system <text>', 'system message')
    .option('--format <form>', 'of the answers: json, a JSON Schema, or a file with one')
    .option('--think', 'think first, where the model can')
    .option('--no-think', 'answer without thinking first')
    .option('--no-wordwrap', "let the terminal break words at its lines' ends")
    .option('--stats', 'print speed after every answer');
  addSamplingOptions(addTemplateOption(addModelOptions(command))).action((name: string, flags: ChatFlags) =>
    chat(context, name, flags),
  );
}

/** Loads the model and talks until the input ends. */
export async function chat(context: Context, name: string, flags: ChatFlags): Promise<void> {
  const talk = new Conversation(context, flags);
  await talk.load(name);
  const file = join(context.env.cacheDir, 'history');
  const prompt = new Prompt(context.stdin, context.stdout, await readHistory(file));
  // Asked to end: there is no next question.
  context.signal.addEventListener('abort', () => prompt.close(), { once: true });
  if (prompt.interactive) context.stdout.write(`${talk.name}. /help lists the commands.\n`);
  try {
    await converse(context, talk, prompt);
  } finally {
    if (prompt.interactive && talk.history) await writeHistory(file, prompt.history);
    prompt.close();
    talk.dispose();
  }
  context.signal.throwIfAborted();
}

async function converse(context: Context, talk: Conversation, prompt: Prompt): Promise<void> {
  for (;;) {
    const text = await prompt.ask('>>> ');
    if (text === undefined) return;
    if (isCommand(text)) {
      if ((await tried(context, () => runCommand(context, talk, text))) === 'leave') return;
    } else if (text.trim() !== '') {
      const question: Message = { role: 'user', content: text };
      const answer = await reply(context, talk, prompt, [...talk.messages, question]);
      if (answer !== undefined) talk.messages.push(question, { role: 'assistant', content: answer });
    }
  }
}

/** What a user got wrong is told, and the talk goes on. */
async function tried<T>(context: Context, action: () => Promise<T>): Promise<T | undefined> {
  try {
    return await action();
  } catch (error) {
    context.signal.throwIfAborted();
    if (!(error instanceof IngotError)) throw error;
    context.stderr.write(`error: ${error.message}\n`);
    return undefined;
  }
}

/** Streams one answer; what came before a Ctrl-C counts as the answer. Undefined after an error, which is shown. */
async function reply(
  context: Context,
  talk: Conversation,
  prompt: Prompt,
  messages: readonly Message[],
): Promise<string | undefined> {
  const stop = prompt.interruptible();
  const signal = AbortSignal.any([stop.signal, context.signal]);
  const out = answerWriter(context.stdout, talk.wordwrap);
  let answer = '';
  try {
    const stream = talk.model.chat(messages, {
      ...textOptions(talk.sampling, signal),
      system: talk.system,
      thinking: talk.think,
      responseFormat: talk.format,
      fullContext: 'dropOldest',
    });
    for await (const part of stream) {
      answer += part;
      out.write(part);
    }
    out.end();
    if (stream.dropped > 0)
      context.stderr.write(
        `(the conversation is longer than the context: its oldest ${stream.dropped} messages were left out)\n`,
      );
    if (talk.stats) context.stderr.write(`${formatStats(stream.stats)}\n`);
  } catch (error) {
    context.signal.throwIfAborted();
    if (!stop.signal.aborted) {
      context.stderr.write(`\nerror: ${error instanceof Error ? error.message : String(error)}\n`);
      return undefined;
    }
    out.end();
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
