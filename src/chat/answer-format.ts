// How a model answers, from its chat template: the form of its tool calls and of its reasoning.

import type { ConstraintSpec } from '../generate/guided/spec.ts';
import type { AnswerFormat, CallFormat } from './format.ts';
import { hermes } from './formats/hermes.ts';
import { callFormats } from './formats/index.ts';
import type { Tool, ToolChoice } from './messages.ts';
import { answerParser, type ReasoningTags } from './parser.ts';
import { withToolPrompt } from './tool-prompt.ts';

const reasoningTags: readonly ReasoningTags[] = [
  { open: '<think>', close: '</think>' },
  { open: '[THINK]', close: '[/THINK]' },
];

/** The format of answers of a model with this template. A template that knows no tools gets them as text. */
export function answerFormatOf(template: string): AnswerFormat {
  const knowsTools = /\btools\b/.test(template);
  const calls = callFormats.find((format) => format.matches(template)) ?? hermes;
  const reasoning = reasoningTags.filter(
    ({ open, close }) => template.includes(open) || template.includes(close),
  );
  return {
    name: calls.name,
    markers: [...allMarkers(template, calls), ...reasoning.flatMap(({ open, close }) => [open, close])],
    messages: (messages, tools) => (knowsTools ? messages : withToolPrompt(messages, tools)),
    tools: (tools) => (knowsTools ? tools : []),
    parser: (options) =>
      answerParser(calls, reasoning.length > 0 ? reasoning : reasoningTags.slice(0, 1), {
        ...options,
        newId: options?.newId ?? calls.newId,
      }),
    grammar: (tools, choice, parallel, held) => callGrammar(calls, tools, { choice, parallel, held }),
    afterReasoning: (rest, prompt) => afterReasoning(reasoning, rest, prompt),
  };
}

/** Special tokens that stand in calls: the openers, and all that the template itself writes of that kind. */
function allMarkers(template: string, calls: CallFormat): readonly string[] {
  const written = template.match(/<｜[^>]*｜[^>]*>|<\|python_tag\|>|\[[A-Z_]+\]|<\/?tool_call>/g) ?? [];
  const extra = ['</tool_call>', '[ARGS]', '[CALL_ID]'];
  const kept = written.filter(
    (text) => /tool|DSML|python_tag|CALL|ARGS/i.test(text) && !/outputs?/.test(text),
  );
  return [...new Set([...calls.openers, ...kept, ...extra])];
}

function callGrammar(
  format: CallFormat,
  tools: readonly Tool[],
  { choice, parallel, held }: { choice: ToolChoice; parallel: boolean; held: boolean | undefined },
): ConstraintSpec | undefined {
  if (choice === 'none' || tools.length === 0) return undefined;
  const forced = choice !== 'auto';
  if (!forced && !tools.some((tool) => tool.function.strict)) return undefined;
  const named =
    typeof choice === 'object' ? tools.filter((tool) => tool.function.name === choice.name) : tools;
  const call: ConstraintSpec = {
    kind: 'any_of',
    options: named.map((tool) => format.call(tool.function.name, argumentsOf(tool, held ?? forced), tool)),
  };
  const several = parallel && typeof choice !== 'object';
  const calls = sequence(
    literal(format.before),
    call,
    ...(several ? [repeat(sequence(literal(format.between), call))] : []),
    literal(format.after),
  );
  return forced ? calls : textOrCalls(format, calls);
}

/** Any text, and calls after it; a format that needs no opener tells a call by its first character. */
function textOrCalls(format: CallFormat, calls: ConstraintSpec): ConstraintSpec {
  const text: ConstraintSpec = { kind: 'text', without: format.openers };
  if (!format.bare) return sequence(text, repeat(calls, 1));
  const start: ConstraintSpec = { kind: 'regex', pattern: '[^{\\s]' };
  return { kind: 'any_of', options: [calls, repeat(sequence(start, text), 1)] };
}

/** Arguments by the schema where it can be followed, which strict tools and forced calls insist on. */
const argumentsOf = ({ function: { parameters, strict } }: Tool, held: boolean): ConstraintSpec => ({
  kind: 'json_schema',
  schema: parameters ?? { type: 'object', properties: {}, additionalProperties: false },
  strict,
  mayBeAnyObject: !strict && !held,
});

function afterReasoning(
  reasoning: readonly ReasoningTags[],
  rest: ConstraintSpec,
  prompt: string,
): ConstraintSpec {
  const thought = ({ open, close }: ReasoningTags): ConstraintSpec =>
    sequence({ kind: 'text', without: [open, close] }, literal(close), {
      kind: 'regex',
      pattern: '\\n{0,2}',
    });
  const opened = reasoning.find(({ open }) => prompt.trimEnd().endsWith(open));
  if (opened) return sequence(thought(opened), rest);
  const [tags] = reasoning;
  // A template that mentions reasoning may leave it to the model, or have closed it in the prompt already.
  if (!tags || prompt.trimEnd().endsWith(tags.close)) return rest;
  return sequence(repeat(sequence(literal(tags.open), thought(tags)), 1), rest);
}

const literal = (text: string): ConstraintSpec => ({ kind: 'literal', text });
const sequence = (...parts: readonly ConstraintSpec[]): ConstraintSpec => ({ kind: 'sequence', parts });
const repeat = (part: ConstraintSpec, max?: number): ConstraintSpec => ({ kind: 'repeat', part, max });
