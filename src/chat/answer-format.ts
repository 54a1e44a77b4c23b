// How a model answers, from its chat template: the form of its tool calls and of its reasoning.

import type { ConstraintSpec } from '../generate/guided/spec.ts';
import type { AnswerFormat, CallFormat } from './format.ts';
import { hermes } from './formats/hermes.ts';
import { callFormats } from './formats/index.ts';
import type { Message, PromptMessage, Tool, ToolChoice } from './messages.ts';
import { answerParser, type ReasoningTags } from './parser.ts';
import { hermesTexts, withCallTexts, withToolPrompt } from './tool-prompt.ts';

const reasoningTags: readonly ReasoningTags[] = [
  { open: '<think>', close: '</think>' },
  { open: '[THINK]', close: '[/THINK]' },
];
/** Granite puts its answer between these when it thinks. */
const frames: readonly string[] = ['<response>', '</response>'];

/** The format of answers of a model with this template. A template that knows no tools gets them as text. */
export function answerFormatOf(template: string): AnswerFormat {
  const knowsTools = /\btools\b/.test(template);
  const calls = callFormats.find((format) => format.matches(template)) ?? hermes;
  const found = reasoningTags.filter(
    ({ open, close }) => template.includes(open) || template.includes(close),
  );
  const reasoning = calls.reasoning ? [calls.reasoning] : found;
  const frame = frames.filter((mark) => template.includes(mark));
  const [textOpen = ''] = [calls.textOpen];
  return {
    name: calls.name,
    markers: [
      ...allMarkers(template, calls),
      ...reasoning.flatMap(({ open, close }) => [open, close]),
      ...frame,
    ],
    messages: (messages, tools) => promptMessages(calls, template, messages, tools),
    tools: (tools) => (knowsTools ? tools : []),
    variables: (given, thinking) => calls.variables?.(given, thinking) ?? given,
    beginning: (prefill) => (prefill === '' ? '' : textOpen + prefill),
    parser: (options) =>
      answerParser(calls, reasoning.length > 0 ? reasoning : reasoningTags.slice(0, 1), {
        ...options,
        newId: options?.newId ?? calls.newId,
        frame,
      }),
    answerText: (text) => (textOpen === '' ? text : sequence(literal(textOpen), text)),
    grammar: (tools, choice, parallel, held) => callGrammar(calls, tools, { choice, parallel, held }),
    afterReasoning: (rest, prompt) => afterReasoning(reasoning, frame, rest, prompt),
  };
}

/** Messages for a template, which may know tools and calls, tools only, or neither. */
function promptMessages(
  format: CallFormat,
  template: string,
  messages: readonly Message[],
  tools: readonly Tool[],
): readonly PromptMessage[] {
  if (!/\btools\b/.test(template)) return withToolPrompt(messages, tools, format.texts);
  const written = template.includes('tool_calls')
    ? messages
    : withCallTexts(messages, format.history ?? hermesTexts.calls);
  return format.messages?.(written, tools, template) ?? written;
}

/** Special tokens that stand in calls: the openers, and all that the template itself writes of that kind. */
function allMarkers(template: string, calls: CallFormat): readonly string[] {
  const written = template.match(/<｜[^>]*｜[^>]*>|<\|python_tag\|>|\[[A-Z_]+\]|<\/?tool_call>/g) ?? [];
  const extra = ['</tool_call>', '[ARGS]', '[CALL_ID]'];
  const kept = written.filter(
    (text) => /tool|DSML|python_tag|CALL|ARGS/i.test(text) && !/outputs?/.test(text),
  );
  return [...new Set([...calls.openers, ...(calls.markers ?? []), ...kept, ...extra])];
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
  const several = parallel && typeof choice !== 'object' && !format.single;
  const calls = sequence(
    literal(format.before),
    call,
    ...(several ? [repeat(sequence(literal(format.between), call))] : []),
    literal(format.after),
  );
  if (forced) return calls;
  return format.textOrCalls?.(calls) ?? textOrCalls(format, calls);
}

/** Any text, and calls after it; a format that needs no opener tells a call by its first character. */
function textOrCalls(format: CallFormat, calls: ConstraintSpec): ConstraintSpec {
  const text: ConstraintSpec = { kind: 'text', without: format.openers };
  if (!format.bare) return sequence(text, repeat(calls, 1));
  const start: ConstraintSpec = {
    kind: 'regex',
    pattern: format.before === '[' ? '[^\\[{\\s]' : '[^{\\s]',
  };
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
  frame: readonly string[],
  rest: ConstraintSpec,
  prompt: string,
): ConstraintSpec {
  const [begin] = frame;
  const framed = begin === undefined ? rest : sequence(repeat(literal(begin), 1), rest);
  const thought = ({ open, close, without, after }: ReasoningTags): ConstraintSpec =>
    sequence({ kind: 'text', without: without ?? [open, close] }, literal(close), {
      kind: 'regex',
      pattern: after ?? '\\n{0,2}',
    });
  const opened = reasoning.find(({ open }) => prompt.trimEnd().endsWith(open));
  if (opened) return sequence(thought(opened), framed);
  const [tags] = reasoning;
  // A template that mentions reasoning may leave it to the model, or have closed it in the prompt already.
  if (!tags || prompt.trimEnd().endsWith(tags.close)) return framed;
  return sequence(repeat(sequence(literal(tags.open), thought(tags)), 1), framed);
}

const literal = (text: string): ConstraintSpec => ({ kind: 'literal', text });
const sequence = (...parts: readonly ConstraintSpec[]): ConstraintSpec => ({ kind: 'sequence', parts });
const repeat = (part: ConstraintSpec, max?: number): ConstraintSpec => ({ kind: 'repeat', part, max });
