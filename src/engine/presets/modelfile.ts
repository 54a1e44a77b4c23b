// Presets as text, in the form that Ollama's users know: instructions FROM, PARAMETER, SYSTEM, TEMPLATE, MESSAGE and LICENSE,
// one a line, values of several lines between two """. https://github.com/ollama/ollama/blob/main/docs/modelfile.mdx

import { FileFormatError, IngotError } from '../../base/errors.ts';
import type { Message } from '../../chat/messages.ts';
import { ChatTemplate } from '../../chat/template.ts';
import { resolveSampling } from '../../generate/sampling.ts';
import type { Preset, PresetParameters } from './preset.ts';

type ParameterName = keyof PresetParameters;

/** A parameter's name here, by the one that files have. */
const parameterNames = {
  temperature: 'temperature',
  top_k: 'topK',
  top_p: 'topP',
  min_p: 'minP',
  repeat_penalty: 'repetitionPenalty',
  presence_penalty: 'presencePenalty',
  frequency_penalty: 'frequencyPenalty',
  seed: 'seed',
  num_predict: 'maxTokens',
  num_ctx: 'contextLength',
  stop: 'stop',
} as const satisfies Readonly<Record<string, ParameterName>>;

const known = ['FROM', 'PARAMETER', 'SYSTEM', 'TEMPLATE', 'MESSAGE', 'LICENSE', 'ADAPTER'];

const fence = '"""';

interface Instruction {
  readonly line: number;
  readonly name: string;
  readonly value: string;
}

/**
 * Reads a file of instructions. `resolveFrom` makes what `FROM` names independent of the folder that the file is in.
 * @throws FileFormatError that names `path` and the line.
 */
export function parseModelfile(
  text: string,
  path: string,
  resolveFrom: (from: string) => string = (from) => from,
): Preset {
  let from: string | undefined;
  let system: string | undefined;
  let template: string | undefined;
  let license: string | undefined;
  let parameters: PresetParameters = {};
  const messages: Message[] = [];
  for (const { line, name, value } of instructions(text, path)) {
    const wrong = (problem: string): never => {
      throw new FileFormatError(path, `line ${line}`, problem);
    };
    const checked = <T>(make: () => T): T => {
      try {
        return make();
      } catch (error) {
        return wrong(error instanceof Error ? error.message : String(error));
      }
    };
    if (value.trim() === '' && known.includes(name) && name !== 'SYSTEM') wrong(`${name} has no value`);
    switch (name) {
      case 'FROM':
        if (from !== undefined) wrong('FROM stands here a second time');
        from = resolveFrom(value.trim());
        break;
      case 'SYSTEM':
        system = value;
        break;
      case 'TEMPLATE':
        template = checked(() => checkTemplate(value));
        break;
      case 'LICENSE':
        license = value;
        break;
      case 'MESSAGE':
        messages.push(checked(() => messageOf(value)));
        break;
      case 'PARAMETER':
        parameters = checked(() => withParameter(parameters, value));
        break;
      case 'ADAPTER':
        wrong('ADAPTER is not supported: merge the adapter into the model first');
        break;
      default:
        wrong(`${name} is no instruction; there are FROM, PARAMETER, SYSTEM, TEMPLATE, MESSAGE and LICENSE`);
    }
  }
  if (from === undefined) throw new FileFormatError(path, 'FROM', 'is missing: it names the model');
  return { from, parameters, system, template, license, messages };
}

/** A preset as such a file. */
export function formatModelfile({ from, parameters, system, template, license, messages }: Preset): string {
  const lines = [`FROM ${from}`];
  if (template !== undefined) lines.push(`TEMPLATE ${quoted(template)}`);
  if (system !== undefined) lines.push(`SYSTEM ${quoted(system)}`);
  lines.push(...formatParameters(parameters).map((line) => `PARAMETER ${line}`));
  for (const { role, content } of messages) lines.push(`MESSAGE ${role} ${quoted(String(content))}`);
  if (license !== undefined) lines.push(`LICENSE ${quoted(license)}`);
  return `${lines.join('\n')}\n`;
}

/** Lines `name value` of the parameters that are set. */
export const formatParameters = (parameters: PresetParameters): readonly string[] =>
  Object.entries(parameterNames).flatMap(([name, own]) => {
    const value = parameters[own];
    if (value === undefined) return [];
    return Array.isArray(value)
      ? value.map((text) => `${name} ${JSON.stringify(text)}`)
      : [`${name} ${String(value)}`];
  });

/**
 * `parameters` with one more, written as "name value".
 * @throws IngotError `invalid_argument` for names that nobody reads and values out of range.
 */
export function withParameter(parameters: PresetParameters, text: string): PresetParameters {
  const [, name = '', value = ''] = /^\s*(\S+)\s*([\s\S]*?)\s*$/.exec(text) ?? [];
  const own = Object.hasOwn(parameterNames, name.toLowerCase())
    ? parameterNames[name.toLowerCase() as keyof typeof parameterNames]
    : Object.values(parameterNames).find((each) => each === name);
  if (own === undefined) {
    throw new IngotError(
      'invalid_argument',
      `there is no parameter "${name}"; there are ${Object.keys(parameterNames).join(', ')}`,
      { details: { name } },
    );
  }
  if (own === 'stop') return { ...parameters, stop: [...(parameters.stop ?? []), stopText(value)] };
  const number = Number(value);
  if (value === '' || !Number.isFinite(number))
    throw new IngotError('invalid_argument', `${name} must be a number, got "${value}"`);
  // Below zero there is no limit of the answer's length.
  if (own === 'maxTokens' && number < 0) return { ...parameters, maxTokens: undefined };
  if (own === 'maxTokens' || own === 'contextLength') {
    if (!Number.isSafeInteger(number) || number < 1)
      throw new IngotError('invalid_argument', `${name} must be an integer of at least 1, got ${value}`);
  } else resolveSampling({ [own]: number }, 1);
  return { ...parameters, [own]: number };
}

/** A text as it stands, or in double quotes as JSON has it. */
function stopText(value: string): string {
  if (!value.startsWith('"')) return value;
  try {
    return String(JSON.parse(value));
  } catch {
    return value.replace(/^"|"$/g, '');
  }
}

function messageOf(value: string): Message {
  const [, role = '', rest = ''] = /^\s*(\S+)\s*([\s\S]*)$/.exec(value) ?? [];
  const name = role.toLowerCase();
  if (name !== 'system' && name !== 'user' && name !== 'assistant')
    throw new IngotError('invalid_argument', `MESSAGE ${role}: roles are system, user and assistant`);
  return { role: name, content: unquoted(rest) };
}

/**
 * The template, when it is one of Jinja.
 * @throws IngotError `unsupported` for one in the language that Ollama's files have, `bad_file` for what cannot be read.
 */
export function checkTemplate(source: string): string {
  if (/\{\{-?\s*(\.|\$|(if|range|else|end|with)\b)/.test(source)) {
    throw new IngotError(
      'unsupported',
      "the template is in Go's language, as Ollama has them; templates here are Jinja. Leave it out: the model brings its own",
    );
  }
  return new ChatTemplate(source).source;
}

function* instructions(text: string, path: string): Generator<Instruction> {
  const lines = text.replace(/^\uFEFF/, '').split(/\r?\n/);
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i] ?? '';
    if (/^\s*(#|$)/.test(line)) continue;
    const start = i;
    const [, name = '', first = ''] = /^\s*(\S+)\s*(.*)$/.exec(line) ?? [];
    let value = first;
    // The fence may stand behind a role.
    const open = value.indexOf(fence);
    if (open >= 0) {
      while (value.indexOf(fence, open + fence.length) < 0) {
        i++;
        if (i >= lines.length)
          throw new FileFormatError(path, `line ${start + 1}`, `${fence} is opened and never closed`);
        value += `\n${lines[i]}`;
      }
    }
    const upper = name.toUpperCase();
    yield { line: start + 1, name: upper, value: upper === 'MESSAGE' ? value : unquoted(value) };
  }
}

/** What stands between fences, or between double quotes that are the first and the last character. */
function unquoted(value: string): string {
  const text = value.trim();
  if (text.startsWith(fence) && text.endsWith(fence) && text.length >= 2 * fence.length)
    return text.slice(fence.length, -fence.length);
  if (text.length >= 2 && text.startsWith('"') && text.endsWith('"')) return text.slice(1, -1);
  return text;
}

/** A text as a value: between fences. Fences inside it would end it. */
function quoted(text: string): string {
  if (text.includes(fence))
    throw new IngotError('unsupported', `a text with ${fence} in it cannot be written to a preset`);
  return `${fence}${text}${fence}`;
}
