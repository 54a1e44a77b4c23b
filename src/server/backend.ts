// How a chat becomes a prompt and a model's text an answer: the model's own template and format.

import type { AnswerParser } from '../chat/answer.ts';
import { prepareChat } from '../chat/prepare.ts';
import type { Model } from '../engine/types.ts';
import type { TokenConstraint } from '../generate/constraint.ts';
import { compileConstraint } from '../generate/guided/compile.ts';
import { encodeInSlices } from '../tokenizer/slices.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import type { ChatJob, ResponseFormat } from './job.ts';
import { RequestError } from './problem.ts';

export interface ReadyChat {
  readonly prompt: readonly number[];
  /** Special tokens that the parser must see. */
  readonly keep: ReadonlySet<number>;
  /** A parser of one answer. */
  parser(): AnswerParser;
  /** A constraint of one answer, when its form is prescribed. */
  readonly constraint?: (() => Promise<TokenConstraint>) | undefined;
}

/** Throws RequestError when the model works with token ids only. */
export function tokenizerOf(model: Model): Tokenizer {
  if (model.tokenizer) return model.tokenizer;
  throw new RequestError('invalid', 'the model came without a tokenizer, so it cannot serve texts');
}

/** Renders and encodes a chat. Throws what is wrong with its messages, tools or schema. */
export async function readyChat(model: Model, job: ChatJob, signal: AbortSignal): Promise<ReadyChat> {
  const tokenizer = tokenizerOf(model);
  const { reasoningEffort } = job;
  const prepared = prepareChat(tokenizer, {
    ...job,
    templateVariables: {
      ...(reasoningEffort === undefined ? {} : { reasoning_effort: reasoningEffort }),
      ...job.templateOptions,
    },
  });
  const prompt = await encodeInSlices(tokenizer, prepared.text, { addSpecial: false, signal });
  return { prompt, keep: prepared.keep, parser: () => prepared.parser(), constraint: prepared.constraint };
}

/** A constraint of a continued text. Throws `unsupported` for a schema that cannot be followed. */
export const constraintOf = (model: Model, format: ResponseFormat): Promise<TokenConstraint> =>
  compileConstraint(format, tokenizerOf(model));
