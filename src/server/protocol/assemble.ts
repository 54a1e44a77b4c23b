// A whole message from its parts, for answers that are not streamed.

import { CollectedAnswer } from '../../chat/collect.ts';
import type { AnswerEnd, AnswerPart, ChoicePart, SpelledLogprob } from '../job.ts';

export class AnswerMessage extends CollectedAnswer {
  readonly logprobs: SpelledLogprob[] = [];
  end: AnswerEnd | undefined;

  push(part: AnswerPart): void {
    if (part.kind === 'end') {
      this.end = part;
      return;
    }
    this.logprobs.push(...part.logprobs);
    for (const event of part.events) this.add(event);
  }

  /** The messages of all choices, by number. */
  static byChoice(parts: readonly ChoicePart[]): AnswerMessage[] {
    const messages: AnswerMessage[] = [];
    for (const { choice, part } of parts) {
      messages[choice] ??= new AnswerMessage();
      messages[choice].push(part);
    }
    return messages;
  }
}
