// A whole message from its parts, for answers that are not streamed.

import type { AnswerEnd, AnswerPart, ChoicePart, TokenLogprob } from '../job.ts';

export interface AssembledCall {
  readonly id: string;
  readonly name: string;
  /** Arguments as JSON text. */
  json: string;
}

/** A stretch of the message: consecutive text, consecutive reasoning, or one tool call, in the order they came. */
export type Block =
  | { readonly kind: 'text' | 'reasoning'; text: string }
  | { readonly kind: 'call'; readonly call: AssembledCall };

export class Message {
  readonly blocks: Block[] = [];
  readonly calls: AssembledCall[] = [];
  readonly logprobs: TokenLogprob[] = [];
  end: AnswerEnd | undefined;

  get text(): string {
    return this.#join('text');
  }
  get reasoning(): string {
    return this.#join('reasoning');
  }

  push(part: AnswerPart): void {
    if (part.kind === 'end') {
      this.end = part;
      return;
    }
    this.logprobs.push(...part.logprobs);
    for (const event of part.events) {
      if (event.kind === 'toolCall') {
        const call = { id: event.id, name: event.name, json: '' };
        this.calls[event.index] = call;
        this.blocks.push({ kind: 'call', call });
      } else if (event.kind === 'toolArguments') {
        const call = this.calls[event.index];
        if (call) call.json += event.json;
      } else {
        const last = this.blocks.at(-1);
        if (last?.kind === event.kind) last.text += event.text;
        else this.blocks.push({ kind: event.kind, text: event.text });
      }
    }
  }

  #join(kind: 'text' | 'reasoning'): string {
    return this.blocks.map((block) => (block.kind === kind ? block.text : '')).join('');
  }

  /** The messages of all choices, by number. */
  static byChoice(parts: readonly ChoicePart[]): Message[] {
    const messages: Message[] = [];
    for (const { choice, part } of parts) {
      messages[choice] ??= new Message();
      messages[choice].push(part);
    }
    return messages;
  }
}
