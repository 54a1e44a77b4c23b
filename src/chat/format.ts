// What tells one model's answers from another's: how it writes tool calls and reasoning, and what grammar holds it to them.

import type { ConstraintSpec } from '../generate/guided/spec.ts';
import type { AnswerParser } from './answer.ts';
import type { Tool, ToolChoice } from './messages.ts';

export interface ParserOptions {
  /** Tools of the request; formats without types in their text read arguments by the tools' schemas. */
  readonly tools?: readonly Tool[] | undefined;
  /** The end of the rendered prompt: a template may have opened the reasoning there. */
  readonly prompt?: string | undefined;
  /** Ids for calls; default random. */
  readonly newId?: (() => string) | undefined;
}

export interface AnswerFormat {
  readonly name: string;
  /** Texts of special tokens that the parser must see: the detokeniser keeps those. */
  readonly markers: readonly string[];
  parser(options?: ParserOptions): AnswerParser;
  /** The grammar of an answer under `choice`; undefined when nothing is forced (auto or none, and no strict tool). */
  grammar(tools: readonly Tool[], choice: ToolChoice, parallel: boolean): ConstraintSpec | undefined;
}
