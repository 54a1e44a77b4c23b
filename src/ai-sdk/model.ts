// A language model of the AI SDK over a model of Ingot, in this process.

import type {
  LanguageModelV3,
  LanguageModelV3CallOptions,
  LanguageModelV3Content,
  LanguageModelV3StreamPart,
} from '@ai-sdk/provider';
import { type AnsweringModel, answer } from '../engine/answer.ts';
import { finishOf, PartWriter, usageOf } from './parts.ts';
import { requestOf } from './prompt.ts';

/** `model` is asked for at the first call, so a name can be given before anything is loaded. */
export function languageModel(modelId: string, model: () => Promise<AnsweringModel>): LanguageModelV3 {
  return {
    specificationVersion: 'v3',
    provider: 'ingot',
    modelId,
    supportedUrls: {},
    async doStream(call) {
      const parts = streamParts(await model(), modelId, call);
      // The first part is only made once the request has been found valid, so that what is wrong with it rejects.
      const first = await parts.next();
      return { stream: streamOf(first, parts) };
    },
    async doGenerate(call) {
      const content: LanguageModelV3Content[] = [];
      let warnings: LanguageModelV3StreamPart & { type: 'stream-start' } = {
        type: 'stream-start',
        warnings: [],
      };
      for await (const part of streamParts(await model(), modelId, call)) {
        if (part.type === 'stream-start') warnings = part;
        else if (part.type === 'text-delta') append(content, 'text', part.delta);
        else if (part.type === 'reasoning-delta') append(content, 'reasoning', part.delta);
        else if (part.type === 'tool-call') content.push(part);
        else if (part.type === 'finish') {
          const { usage, finishReason } = part;
          return { content, finishReason, usage, warnings: warnings.warnings, response: { modelId } };
        }
      }
      throw new Error('unreachable: a stream of parts ends with its finish');
    },
  };
}

async function* streamParts(
  model: AnsweringModel,
  modelId: string,
  call: LanguageModelV3CallOptions,
): AsyncGenerator<LanguageModelV3StreamPart, void, void> {
  const { messages, options, warnings } = requestOf(call);
  const stream = await answer(model, messages, options);
  yield { type: 'stream-start', warnings };
  yield { type: 'response-metadata', modelId };
  const writer = new PartWriter();
  for await (const event of stream) yield* writer.parts(event);
  yield* writer.end();
  yield { type: 'finish', usage: usageOf(stream), finishReason: finishOf(stream) };
}

function append(content: LanguageModelV3Content[], type: 'text' | 'reasoning', text: string): void {
  const last = content.at(-1);
  if (last?.type === type) content[content.length - 1] = { type, text: last.text + text };
  else content.push({ type, text });
}

function streamOf(
  first: IteratorResult<LanguageModelV3StreamPart>,
  rest: AsyncGenerator<LanguageModelV3StreamPart>,
): ReadableStream<LanguageModelV3StreamPart> {
  let next: IteratorResult<LanguageModelV3StreamPart> | undefined = first;
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = next ?? (await rest.next());
      next = undefined;
      if (done === true) controller.close();
      else controller.enqueue(value);
    },
    /** A reader that leaves ends the generation. */
    async cancel() {
      await rest.return(undefined);
    },
  });
}
