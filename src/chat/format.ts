// What tells one model's answers from another's: how it writes tool calls, and what grammar holds it to them.

import type { ConstraintSpec } from '../generate/guided/spec.ts';
import type { AnswerParser } from './answer.ts';
import type { Message, PromptMessage, Tool, ToolChoice } from './messages.ts';
import type { CallSyntax, ReasoningTags } from './parser.ts';
import type { ToolTexts, WrittenCall } from './tool-prompt.ts';

export interface ParserOptions {
  /** Tools of the request; without any, nothing in the text is a call. */
  readonly tools?: readonly Tool[] | undefined;
  /** The rendered prompt: a template may have opened the reasoning at its end. */
  readonly prompt?: string | undefined;
  /** Ids for calls; default random. */
  readonly newId?: (() => string) | undefined;
}

/** A way to write tool calls, one file in `formats/` each. */
export interface CallFormat extends CallSyntax {
  readonly name: string;
  /** Whether a template writes calls in this way. */
  matches(template: string): boolean;
  /** A call of a tool whose arguments follow `args`, and what stands before, between and after several. */
  call(name: string, args: ConstraintSpec, tool: Tool): ConstraintSpec;
  readonly before: string;
  readonly between: string;
  readonly after: string;
  /** An answer has one call at most. */
  readonly single?: boolean;
  /** Further special tokens that stand in answers. */
  readonly markers?: readonly string[];
  /** Ids of calls, where the model's template asks for a form of its own. */
  newId?(): string;
  /** Reasoning, where the format has its own way to write it. */
  readonly reasoning?: ReasoningTags;
  /** What stands before the text of an answer. */
  readonly textOpen?: string;
  /** The grammar of an answer that is text or `calls`. Default: text without openers, then calls. */
  textOrCalls?(calls: ConstraintSpec): ConstraintSpec;
  /** Earlier calls as part of an answer's text, for templates that know of tools and not of calls. Default: as Hermes. */
  history?(calls: readonly WrittenCall[]): string;
  /** How tools, calls and results are told where the template knows none of them. Default: as Hermes. */
  readonly texts?: ToolTexts;
  /** Messages as templates of this format take them. */
  messages?(
    messages: readonly PromptMessage[],
    tools: readonly Tool[],
    template: string,
  ): readonly PromptMessage[];
  /** Variables of the template, for a request with these that does or does not want the model to think. */
  variables?(
    given: Readonly<Record<string, unknown>>,
    thinking: boolean | undefined,
  ): Readonly<Record<string, unknown>>;
}

/** How a model answers. */
export interface AnswerFormat {
  readonly name: string;
  /** Texts of special tokens that the parser must see: the detokeniser keeps those. */
  readonly markers: readonly string[];
  /** Messages for the model's template: with tools, calls and results as texts where it knows none. */
  messages(messages: readonly Message[], tools: readonly Tool[]): readonly PromptMessage[];
  /** Tools that the template is given. */
  tools(tools: readonly Tool[]): readonly Tool[];
  /** Variables of the template. */
  variables(
    given: Readonly<Record<string, unknown>>,
    thinking: boolean | undefined,
  ): Readonly<Record<string, unknown>>;
  /** What an answer begins with whose text begins with `prefill`. */
  beginning(prefill: string): string;
  parser(options?: ParserOptions): AnswerParser;
  /** The grammar of an answer whose text is `text`. */
  answerText(text: ConstraintSpec): ConstraintSpec;
  /**
   * The grammar of an answer under `choice`; undefined when nothing is forced: auto or none, and no strict tool. `held`: arguments
   * keep to the schemas of all tools, also those that cannot be followed, which is an error. Default: when a call is forced.
   */
  grammar(
    tools: readonly Tool[],
    choice: ToolChoice,
    parallel: boolean,
    held?: boolean,
  ): ConstraintSpec | undefined;
  /** The grammar of an answer of which `rest` comes after the reasoning, if any. */
  afterReasoning(rest: ConstraintSpec, prompt: string): ConstraintSpec;
}
