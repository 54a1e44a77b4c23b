// Chat templates: from messages to the text a model was trained to continue.
// https://huggingface.co/docs/transformers/chat_templating

import { IngotError } from '../base/errors.ts';
import type { TextSpan } from '../tokenizer/tokenizer.ts';
import { JinjaTemplate } from './jinja/environment.ts';
import { type LiteralTokens, withoutMarks } from './literal-tokens.ts';
import type { PromptMessage, Tool } from './messages.ts';
import { normaliseMessages } from './normalise.ts';

export interface RenderOptions {
  /** End with the opening of an assistant's turn. Default true. */
  readonly addGenerationPrompt?: boolean | undefined;
  readonly tools?: readonly Tool[] | undefined;
  readonly bosToken?: string | undefined;
  readonly eosToken?: string | undefined;
  /** What users and tools say has special tokens as text. */
  readonly literalTokens?: LiteralTokens | undefined;
  /** Further variables a template knows, such as `enable_thinking`. */
  readonly extra?: Readonly<Record<string, unknown>> | undefined;
}

/** ChatML, for models that have its tokens but came without a template. */
export const chatMl =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

export interface RenderedChat {
  readonly text: string;
  /** Parts of `text` in which special tokens are text, in order. */
  readonly literal: readonly TextSpan[];
}

/** A parsed template. */
export class ChatTemplate {
  readonly source: string;
  readonly #template: JinjaTemplate;

  /** Throws bad_file with the parser's message when the source is not valid Jinja. */
  constructor(source: string) {
    this.source = source;
    try {
      this.#template = new JinjaTemplate(source);
    } catch (cause) {
      throw new IngotError('bad_file', `the chat template cannot be read: ${reasonOf(cause)}`, { cause });
    }
  }

  /** The text of `renderChat`. */
  render(messages: readonly PromptMessage[], options: RenderOptions = {}): string {
    return this.renderChat(messages, options).text;
  }

  /**
   * Throws invalid_argument when the template refuses the messages, for example because roles do not alternate, and bad_file
   * when it does not come to an end.
   */
  renderChat(messages: readonly PromptMessage[], options: RenderOptions = {}): RenderedChat {
    const { addGenerationPrompt = true, tools, bosToken, eosToken, literalTokens, extra } = options;
    const normal = normaliseMessages(messages, this.source);
    const marked = literalTokens?.mark(normal) ?? { messages: normal, mark: undefined };
    const variables = {
      ...extra,
      messages: marked.messages,
      tools: tools && tools.length > 0 ? tools : null,
      documents: null,
      add_generation_prompt: addGenerationPrompt,
      bos_token: bosToken,
      eos_token: eosToken,
    };
    try {
      return withoutMarks(this.#template.render(variables), marked.mark);
    } catch (cause) {
      if (cause instanceof IngotError) throw cause;
      throw new IngotError(
        'invalid_argument',
        `the model's chat template refused the messages: ${reasonOf(cause)}`,
        {
          cause,
          details: { roles: messages.map(({ role }) => role) },
        },
      );
    }
  }
}

const reasonOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));

/** The template of a tokenizer. Without one: ChatML when the vocabulary has its tokens, else unsupported. */
export function templateOf(tokenizer: {
  readonly chatTemplate: string | undefined;
  idOf(token: string): number | undefined;
}): ChatTemplate {
  if (tokenizer.chatTemplate !== undefined) return new ChatTemplate(tokenizer.chatTemplate);
  if (tokenizer.idOf('<|im_start|>') !== undefined && tokenizer.idOf('<|im_end|>') !== undefined) {
    return new ChatTemplate(chatMl);
  }
  throw new IngotError(
    'unsupported',
    'this model has no chat template, so it cannot chat; use complete() or "ingot run --raw" to continue a text',
  );
}
