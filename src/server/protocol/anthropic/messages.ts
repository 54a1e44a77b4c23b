// Answers of the Anthropic Messages API: the stream's events, and the whole message.
// https://docs.anthropic.com/en/docs/build-with-claude/streaming

import type { AnswerEvent } from '../../../chat/answer.ts';
import type { Block } from '../../../chat/collect.ts';
import type { EndReason } from '../../../engine/types.ts';
import type { AnswerEnd, AnswerHead, AnswerPart, Usage } from '../../job.ts';
import { AnswerMessage } from '../assemble.ts';
import { expertUsage } from '../experts.ts';
import { inputOf } from '../fields.ts';

export interface MessageEvent {
  readonly type: string;
  readonly [field: string]: unknown;
}

const stopReasons: Readonly<Record<EndReason, string>> = {
  end: 'end_turn',
  stopText: 'stop_sequence',
  length: 'max_tokens',
  toolCalls: 'tool_use',
};

/** The API counts tokens read from the cache apart from the others. */
const usageOf = (usage: Usage) => ({
  input_tokens: usage.promptTokens - usage.cachedTokens,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: usage.cachedTokens,
  output_tokens: usage.generatedTokens,
  ...expertUsage(usage.experts),
});

const unknownUsage = (promptTokens: number): Usage => ({
  promptTokens,
  cachedTokens: 0,
  generatedTokens: 0,
  reasoningTokens: 0,
});

/** Thinking is signed by the service whose API this is; clients send the signature back and do not read it. */
const SIGNATURE = 'ingot';

const messageOf = (head: AnswerHead, content: readonly object[], end: AnswerEnd | undefined) => ({
  id: head.id,
  type: 'message',
  role: 'assistant',
  model: head.model,
  content,
  stop_reason: end ? stopReasons[end.reason] : null,
  stop_sequence: end?.stopText ?? null,
  usage: usageOf(end?.usage ?? unknownUsage(head.promptTokens)),
});

type BlockKind = 'text' | 'thinking' | 'tool';

export class MessageEvents {
  readonly #head: AnswerHead;
  #index = -1;
  #open: BlockKind | undefined;
  /** Number of the call that is being written; the API has one block open at a time. */
  #call: number | undefined;

  constructor(head: AnswerHead) {
    this.#head = head;
  }

  begin(): MessageEvent[] {
    return [{ type: 'message_start', message: messageOf(this.#head, [], undefined) }, { type: 'ping' }];
  }

  push(part: AnswerPart): MessageEvent[] {
    return part.kind === 'end' ? this.#finish(part) : part.events.flatMap((event) => this.#event(event));
  }

  #event(event: AnswerEvent): MessageEvent[] {
    switch (event.kind) {
      case 'text':
        return this.#delta('text', { type: 'text', text: '' }, { type: 'text_delta', text: event.text });
      case 'reasoning':
        return this.#delta(
          'thinking',
          { type: 'thinking', thinking: '', signature: '' },
          { type: 'thinking_delta', thinking: event.text },
        );
      case 'toolCall': {
        const start = { type: 'tool_use', id: event.id, name: event.name, input: {} };
        const events = this.#start('tool', start);
        this.#call = event.index;
        return events;
      }
      case 'toolArguments':
        if (event.index !== this.#call || this.#open !== 'tool' || event.json === '') return [];
        return [this.#blockDelta({ type: 'input_json_delta', partial_json: event.json })];
    }
  }

  #delta(kind: BlockKind, start: object, delta: object): MessageEvent[] {
    const events = this.#open === kind ? [] : this.#start(kind, start);
    return [...events, this.#blockDelta(delta)];
  }

  #blockDelta(delta: object): MessageEvent {
    return { type: 'content_block_delta', index: this.#index, delta };
  }

  #start(kind: BlockKind, block: object): MessageEvent[] {
    const events = this.#close();
    this.#index++;
    this.#open = kind;
    return [...events, { type: 'content_block_start', index: this.#index, content_block: block }];
  }

  #close(): MessageEvent[] {
    if (this.#open === undefined) return [];
    const signature =
      this.#open === 'thinking' ? [this.#blockDelta({ type: 'signature_delta', signature: SIGNATURE })] : [];
    this.#open = undefined;
    return [...signature, { type: 'content_block_stop', index: this.#index }];
  }

  #finish(end: AnswerEnd): MessageEvent[] {
    return [
      ...this.#close(),
      {
        type: 'message_delta',
        delta: { stop_reason: stopReasons[end.reason], stop_sequence: end.stopText ?? null },
        usage: usageOf(end.usage),
      },
      { type: 'message_stop' },
    ];
  }
}

/** The whole message of a request that does not stream. */
export function messageBody(head: AnswerHead, parts: readonly AnswerPart[]): object {
  const message = new AnswerMessage();
  for (const part of parts) message.push(part);
  return messageOf(head, message.blocks.map(contentOf), message.end);
}

function contentOf(block: Block): object {
  switch (block.kind) {
    case 'text':
      return { type: 'text', text: block.text };
    case 'reasoning':
      return { type: 'thinking', thinking: block.text, signature: SIGNATURE };
    case 'call':
      return { type: 'tool_use', id: block.call.id, name: block.call.name, input: inputOf(block.call.json) };
  }
}
