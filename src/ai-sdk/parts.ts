// From the events of an answer to the AI SDK's stream parts.

import type {
  LanguageModelV3FinishReason,
  LanguageModelV3StreamPart,
  LanguageModelV3Usage,
} from '@ai-sdk/provider';
import type { AnswerEvent } from '../chat/answer.ts';
import type { AnswerStream } from '../engine/answer.ts';

interface OpenCall {
  readonly id: string;
  readonly name: string;
  input: string;
}

/** Opens and closes the blocks that the SDK wants around texts, reasoning and calls. */
export class PartWriter {
  #block: { readonly kind: 'text' | 'reasoning'; readonly id: string } | undefined;
  #blocks = 0;
  #call: OpenCall | undefined;

  parts(event: AnswerEvent): LanguageModelV3StreamPart[] {
    switch (event.kind) {
      case 'text':
      case 'reasoning': {
        const parts = this.#block?.kind === event.kind ? [] : this.end();
        if (parts.length > 0 || !this.#block) {
          this.#block = { kind: event.kind, id: String(this.#blocks++) };
          parts.push({ type: `${event.kind}-start`, id: this.#block.id });
        }
        return [...parts, { type: `${event.kind}-delta`, id: this.#block.id, delta: event.text }];
      }
      case 'toolCall': {
        const before = this.end();
        this.#call = { id: event.id, name: event.name, input: '' };
        return [...before, { type: 'tool-input-start', id: event.id, toolName: event.name }];
      }
      case 'toolArguments':
        if (!this.#call) return [];
        this.#call.input += event.json;
        return [{ type: 'tool-input-delta', id: this.#call.id, delta: event.json }];
    }
  }

  /** Closes what is open. */
  end(): LanguageModelV3StreamPart[] {
    const parts: LanguageModelV3StreamPart[] = [];
    if (this.#block) parts.push({ type: `${this.#block.kind}-end`, id: this.#block.id });
    if (this.#call) {
      const { id, name, input } = this.#call;
      parts.push(
        { type: 'tool-input-end', id },
        { type: 'tool-call', toolCallId: id, toolName: name, input },
      );
    }
    this.#block = undefined;
    this.#call = undefined;
    return parts;
  }
}

const reasons = { end: 'stop', stopText: 'stop', length: 'length', toolCalls: 'tool-calls' } as const;

export const finishOf = ({ endReason }: AnswerStream): LanguageModelV3FinishReason => ({
  unified: reasons[endReason],
  raw: endReason,
});

export function usageOf({ stats, reasoningTokens }: AnswerStream): LanguageModelV3Usage {
  const { promptTokens, cachedTokens, generatedTokens } = stats;
  return {
    inputTokens: {
      total: promptTokens,
      noCache: promptTokens - cachedTokens,
      cacheRead: cachedTokens,
      cacheWrite: undefined,
    },
    outputTokens: {
      total: generatedTokens,
      text: generatedTokens - reasoningTokens,
      reasoning: reasoningTokens,
    },
  };
}
