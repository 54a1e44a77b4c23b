// From a request to all that a generation needs: the prompt's text, which special tokens to keep, the parser, the grammar.

import { IngotError } from '../base/errors.ts';
import type { TokenConstraint } from '../generate/constraint.ts';
import { compileConstraint } from '../generate/guided/compile.ts';
import type { ConstraintSpec } from '../generate/guided/spec.ts';
import type { TextSpan, Tokenizer } from '../tokenizer/tokenizer.ts';
import type { AnswerParser } from './answer.ts';
import { answerFormatOf } from './answer-format.ts';
import type { AnswerFormat } from './format.ts';
import { LiteralTokens } from './literal-tokens.ts';
import type { Message, Tool, ToolChoice } from './messages.ts';
import { type ChatTemplate, templateOf } from './template.ts';

export interface ChatRequest {
  readonly messages: readonly Message[];
  readonly tools?: readonly Tool[] | undefined;
  /** Default `auto`. */
  readonly toolChoice?: ToolChoice | undefined;
  /** More than one call in an answer. Default true. */
  readonly parallelToolCalls?: boolean | undefined;
  /** What the text of the answer must look like; reasoning before it is free. */
  readonly responseFormat?: ConstraintSpec | undefined;
  /** Think before answering, where the model's template can switch it. Default: the template's own. */
  readonly thinking?: boolean | undefined;
  /** The answer begins with this text, which becomes part of the prompt. */
  readonly prefill?: string | undefined;
  /** Special tokens in what users and tools say: text like any other (`text`, the default), or the tokens (`match`). */
  readonly specialTokens?: 'text' | 'match' | undefined;
  /** Further variables for the template. */
  readonly templateVariables?: Readonly<Record<string, unknown>> | undefined;
}

export interface PreparedChat {
  /** The prompt, to be encoded without added special tokens. */
  readonly text: string;
  /** What of the answer the prompt has already. */
  readonly beginning: string;
  /** Parts of the text in which special tokens are text, for `encode`. */
  readonly literal: readonly TextSpan[];
  /** Special tokens that the parser must see, for `Tokenizer.stream`. */
  readonly keep: ReadonlySet<number>;
  /** A parser of one answer. */
  parser(): AnswerParser;
  /** A constraint of one answer; undefined when its form is free. */
  readonly constraint: ((signal?: AbortSignal) => Promise<TokenConstraint>) | undefined;
}

interface Style {
  readonly template: ChatTemplate;
  readonly format: AnswerFormat;
  readonly literalTokens: LiteralTokens;
}

const styles = new WeakMap<Tokenizer, Style>();

function styleOf(tokenizer: Tokenizer): Style {
  let style = styles.get(tokenizer);
  if (!style) {
    const template = templateOf(tokenizer);
    style = {
      template,
      format: answerFormatOf(template.source),
      literalTokens: new LiteralTokens(tokenizer),
    };
    styles.set(tokenizer, style);
  }
  return style;
}

/**
 * Renders a chat by the model's own template.
 * @throws IngotError `unsupported` for a model without a template, `invalid_argument` for messages that the template refuses
 *   and for a choice of a tool that is not there.
 */
export function prepareChat(tokenizer: Tokenizer, request: ChatRequest): PreparedChat {
  const { template, format, literalTokens } = styleOf(tokenizer);
  const { messages, thinking, prefill = '', toolChoice: choice = 'auto', parallelToolCalls = true } = request;
  const tools = choice === 'none' ? [] : (request.tools ?? []);
  checkChoice(tools, choice);
  const rendered = template.renderChat(format.messages(messages, tools), {
    tools: format.tools(tools),
    bosToken: tokenizer.bosToken,
    eosToken: tokenizer.eosToken,
    literalTokens: request.specialTokens === 'match' ? undefined : literalTokens,
    extra: {
      ...(thinking === undefined ? {} : { enable_thinking: thinking, thinking }),
      ...format.variables(request.templateVariables ?? {}, thinking),
    },
  });
  const beginning = format.beginning(prefill);
  const text = rendered.text + beginning;
  const spec = answerSpec(format, tools, choice, parallelToolCalls, request.responseFormat);
  const keep = new Set(
    format.markers.map((marker) => tokenizer.idOf(marker)).filter((id) => id !== undefined),
  );
  return {
    text,
    beginning,
    literal: rendered.literal,
    keep,
    parser: () => {
      const parser = format.parser({ tools, prompt: text });
      return choice === 'auto' || choice === 'none' ? parser : withoutText(parser);
    },
    constraint:
      spec && ((signal) => compileConstraint(format.afterReasoning(spec, text), tokenizer, { keep, signal })),
  };
}

/** An answer that must be calls has no text: what looks like it is a call that was cut off in the middle of its markup. */
const withoutText = (parser: AnswerParser): AnswerParser => ({
  push: (text) => parser.push(text).filter(({ kind }) => kind !== 'text'),
  end: () => parser.end().filter(({ kind }) => kind !== 'text'),
});

/** A prescribed form holds for the text of an answer; with tools at hand an answer may be calls instead. */
function answerSpec(
  format: AnswerFormat,
  tools: readonly Tool[],
  choice: ToolChoice,
  parallel: boolean,
  responseFormat: ConstraintSpec | undefined,
): ConstraintSpec | undefined {
  if (!responseFormat || (choice !== 'auto' && choice !== 'none'))
    return format.grammar(tools, choice, parallel);
  const calls = format.grammar(tools, 'required', parallel, false);
  const text = format.answerText(responseFormat);
  return calls && choice === 'auto' ? { kind: 'any_of', options: [calls, text] } : text;
}

function checkChoice(tools: readonly Tool[], choice: ToolChoice): void {
  if (choice === 'auto' || choice === 'none') return;
  const names = tools.map((tool) => tool.function.name);
  if (names.length === 0)
    throw new IngotError('invalid_argument', 'a tool must be called, but there are no tools');
  if (choice !== 'required' && !names.includes(choice.name)) {
    throw new IngotError(
      'invalid_argument',
      `tool "${choice.name}" must be called, but the tools are ${names.map((name) => `"${name}"`).join(', ')}`,
      { details: { name: choice.name, names } },
    );
  }
}
