// The commands of `ingot chat`, which begin with a slash; their names are those of Ollama's.

import { IngotError } from '../base/errors.ts';
import { formatModelfile, formatParameters, withParameter } from '../engine/presets/modelfile.ts';
import { formatDetails } from './commands/show.ts';
import type { Context } from './context.ts';
import type { Conversation } from './conversation.ts';
import { formatOf } from './format.ts';

// biome-ignore lint/suspicious/noConfusingVoidType: most commands return nothing
type Done = 'leave' | void;

interface Command {
  readonly names: readonly string[];
  readonly takes?: string;
  readonly does: string;
  run(context: Context, talk: Conversation, rest: string): Promise<Done> | Done;
}

const wrong = (message: string): never => {
  throw new IngotError('invalid_argument', message);
};

const commands: readonly Command[] = [
  {
    names: ['/set'],
    takes: 'WHAT',
    does: 'change a setting; /set alone lists them',
    run: (context, talk, rest) => set(context, talk, rest),
  },
  {
    names: ['/show'],
    takes: 'WHAT',
    does: 'info, modelfile, parameters, system or template',
    run: (context, talk, rest) => show(context, talk, rest),
  },
  {
    names: ['/load'],
    takes: 'NAME',
    does: 'go on with another model, or with a conversation that was saved',
    run: async (context, talk, rest) => {
      await talk.load(rest || wrong('/load needs the name of a model or preset'));
      context.stdout.write(`${talk.name}\n`);
    },
  },
  {
    names: ['/save'],
    takes: 'NAME',
    does: 'keep model, settings and what was said as a preset',
    run: async (context, talk, rest) => {
      await talk.save(rest || wrong('/save needs a name'));
      context.stdout.write(`saved as ${rest}\n`);
    },
  },
  {
    names: ['/reset', '/clear'],
    does: 'forget what was said',
    run: (_, talk) => {
      talk.messages = [];
    },
  },
  {
    names: ['/system'],
    takes: 'TEXT',
    does: 'set the system message and start anew',
    run: (_, talk, rest) => {
      talk.messages = [];
      talk.system = rest || undefined;
    },
  },
  {
    names: ['/stats'],
    does: 'show or hide the speed of answers',
    run: (_, talk) => {
      talk.stats = !talk.stats;
    },
  },
  {
    names: ['/help', '/?'],
    does: 'this list',
    run: (context) => {
      context.stdout.write(help());
    },
  },
  { names: ['/exit', '/bye', '/quit'], does: 'leave (also Ctrl-D, or Ctrl-C twice)', run: () => 'leave' },
];

const row = (name: string, text: string): string => `  ${name.padEnd(20)} ${text}\n`;

const help = (): string =>
  commands.map(({ names, takes = '', does }) => row(`${names.join(', ')} ${takes}`.trim(), does)).join('') +
  row('"""', 'begins and ends a text of several lines');

/** Anything that begins with a slash, except for a path or a comment. */
export const isCommand = (text: string): boolean => /^\/(\w+|\?)(\s|$)/.test(text);

/** @throws IngotError for what the user got wrong. */
export async function runCommand(context: Context, talk: Conversation, text: string): Promise<Done> {
  const [, name = '', rest = ''] = /^(\S+)\s*([\s\S]*?)\s*$/.exec(text) ?? [];
  const command = commands.find(({ names }) => names.includes(name));
  if (command) return await command.run(context, talk, rest);
  context.stdout.write(`${name} is not a command; /help lists them\n`);
}

interface Setting {
  readonly takes?: string;
  readonly does: string;
  apply(talk: Conversation, rest: string): Promise<void> | void;
}

const settings: Readonly<Record<string, Setting>> = {
  parameter: {
    takes: 'NAME VALUE',
    does: 'temperature, top_k, top_p, min_p, repeat_penalty, seed, num_predict, num_ctx, stop …',
    apply: async (talk, rest) => {
      const before = talk.parameters;
      // A list of stop texts is said anew.
      const base = /^stop\b/.test(rest) && before.stop === undefined ? { ...before, stop: [] } : before;
      talk.parameters = withParameter(base, rest);
      if (talk.parameters.contextLength === before.contextLength) return;
      try {
        await talk.reload();
      } catch (error) {
        talk.parameters = before;
        throw error;
      }
    },
  },
  system: {
    takes: 'TEXT',
    does: 'system message of the next answers',
    apply: (talk, rest) => {
      talk.system = rest || undefined;
    },
  },
  format: {
    takes: 'json|SCHEMA|FILE',
    does: 'form that answers must have',
    apply: (talk, rest) => {
      talk.format = formatOf(rest || wrong('/set format needs json, a JSON Schema, or a file with one'));
    },
  },
  noformat: {
    does: 'any form',
    apply: (talk) => {
      talk.format = undefined;
    },
  },
  think: {
    does: 'think before answering',
    apply: (talk) => {
      talk.think = true;
    },
  },
  nothink: {
    does: 'answer without thinking',
    apply: (talk) => {
      talk.think = false;
    },
  },
  history: {
    does: 'keep what is typed for the next time',
    apply: (talk) => {
      talk.history = true;
    },
  },
  nohistory: {
    does: 'do not keep it',
    apply: (talk) => {
      talk.history = false;
    },
  },
  wordwrap: {
    does: 'break lines between words',
    apply: (talk) => {
      talk.wordwrap = true;
    },
  },
  nowordwrap: {
    does: 'leave it to the terminal',
    apply: (talk) => {
      talk.wordwrap = false;
    },
  },
  verbose: {
    does: 'show the speed of answers',
    apply: (talk) => {
      talk.stats = true;
    },
  },
  quiet: {
    does: 'do not',
    apply: (talk) => {
      talk.stats = false;
    },
  },
};

async function set(context: Context, talk: Conversation, rest: string): Promise<void> {
  const [, name = '', value = ''] = /^(\S*)\s*([\s\S]*)$/.exec(rest) ?? [];
  const setting = Object.hasOwn(settings, name) ? settings[name] : undefined;
  if (setting) {
    if (setting.takes === undefined && value !== '') wrong(`/set ${name} takes no value`);
    return await setting.apply(talk, value);
  }
  if (name !== '') context.stdout.write(`there is no setting ${name}; there are:\n`);
  for (const [each, { takes = '', does }] of Object.entries(settings))
    context.stdout.write(row(`${each} ${takes}`.trim(), does));
}

async function show(context: Context, talk: Conversation, rest: string): Promise<void> {
  const preset = await talk.preset();
  const say = (text: string): void => context.stdout.write(`${text.trimEnd()}\n`);
  switch (rest) {
    case '':
    case 'info':
      return say(formatDetails(await context.engine.inspect(talk.name)));
    case 'modelfile':
      return say(formatModelfile(preset));
    case 'parameters':
      return say(
        formatParameters({ ...talk.model.info.sampling, ...preset.parameters }).join('\n') || 'none',
      );
    case 'system':
      return say(preset.system ?? 'none');
    case 'template':
      return say((talk.model.hasTokenizer ? talk.model.tokenizer.chatTemplate : undefined) ?? 'none');
    default:
      return wrong(`/show ${rest}: there are info, modelfile, parameters, system and template`);
  }
}
