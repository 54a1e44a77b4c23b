// How a chat becomes a prompt and a model's text an answer: the model's own template and format.

import type { AnswerParser } from '../chat/answer.ts';
import { templateOf } from '../chat/template.ts';
import type { Model } from '../engine/types.ts';
import type { TokenConstraint } from '../generate/constraint.ts';
import { encodeInSlices } from '../tokenizer/slices.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import type { ChatJob, ResponseFormat } from './job.ts';
import { RequestError } from './problem.ts';

export interface PreparedChat {
  readonly prompt: readonly number[];
  /** Special tokens that the parser must see. */
  readonly keep: ReadonlySet<number>;
  /** A parser of one answer. */
  parser(): AnswerParser;
  /** A constraint of one answer, when its form is prescribed. */
  constraint?(): Promise<TokenConstraint>;
}

export interface Backend {
  chat(model: Model, job: ChatJob, signal: AbortSignal): Promise<PreparedChat>;
  constraint(model: Model, format: ResponseFormat): Promise<TokenConstraint>;
}

/** Throws RequestError when the model works with token ids only. */
export function tokenizerOf(model: Model): Tokenizer {
  if (model.tokenizer) return model.tokenizer;
  throw new RequestError('invalid', `${model.info.name} came without a tokenizer, so it cannot serve texts`);
}

const plainText: AnswerParser = {
  push: (text) => (text === '' ? [] : [{ kind: 'text', text }]),
  end: () => [],
};

export const realBackend: Backend = {
  async chat(model, job, signal) {
    const tokenizer = tokenizerOf(model);
    const text = templateOf(tokenizer).render(
      job.messages.map((message) => ({ ...message, content: message.content ?? '' })),
      {
        tools: job.toolChoice === 'none' ? [] : job.tools,
        bosToken: tokenizer.bosToken,
        eosToken: tokenizer.eosToken,
        extra: job.templateOptions,
      },
    );
    const prompt = await encodeInSlices(tokenizer, text + (job.prefill ?? ''), { addSpecial: false, signal });
    return { prompt, keep: new Set(), parser: () => plainText };
  },
  async constraint() {
    throw new RequestError('invalid', 'response_format: is not supported yet');
  },
};
