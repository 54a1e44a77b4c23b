// A whole answer from its events: for callers that do not stream.

import type { AnswerEvent } from './answer.ts';

export interface CollectedCall {
  readonly id: string;
  readonly name: string;
  /** Arguments as JSON text. */
  json: string;
}

/** A stretch of the answer: consecutive text, consecutive reasoning, or one tool call, in the order they came. */
export type Block =
  | { readonly kind: 'text' | 'reasoning'; text: string }
  | { readonly kind: 'call'; readonly call: CollectedCall };

export class CollectedAnswer {
  readonly blocks: Block[] = [];
  readonly calls: CollectedCall[] = [];

  get text(): string {
    return this.#join('text');
  }
  get reasoning(): string {
    return this.#join('reasoning');
  }

  add(event: AnswerEvent): void {
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

  #join(kind: 'text' | 'reasoning'): string {
    return this.blocks.map((block) => (block.kind === kind ? block.text : '')).join('');
  }
}
