// The OpenAI embeddings API. https://platform.openai.com/docs/api-reference/embeddings

import { z } from 'zod';
import type { EmbeddingJob } from '../../job.ts';
import { RequestError } from '../../problem.ts';
import { refuseUnfollowed } from '../fields.ts';
import { optional, parse } from '../zod.ts';
import { promptField, promptsOf } from './completions.ts';

const shape = z.object({
  model: optional(z.string()),
  input: promptField,
  encoding_format: optional(z.enum(['float', 'base64'])),
  dimensions: optional(z.int().min(1)),
  /** Mean of the hidden states, or the last of them: what the model was trained for. */
  pooling: optional(z.enum(['mean', 'last'])),
});

/** Inputs of one request at most, as the API has it. */
const MAX_INPUTS = 2048;

export interface EmbeddingRequest {
  readonly job: EmbeddingJob;
  readonly encoding: 'float' | 'base64';
}

/** Throws RequestError naming the field that is wrong. */
export function parseEmbedding(body: unknown): EmbeddingRequest {
  const { model, input, encoding_format, dimensions, pooling } = parse(shape, body);
  refuseUnfollowed(body as Readonly<Record<string, unknown>>);
  const inputs = promptsOf(input);
  if (inputs.length > MAX_INPUTS) {
    throw new RequestError('invalid', `input: ${inputs.length} texts are more than ${MAX_INPUTS}`, {
      param: 'input',
    });
  }
  return { job: { model, inputs, dimensions, pooling }, encoding: encoding_format ?? 'float' };
}

/** The response as pieces of JSON text, one per vector: many vectors in one go would hold up all other answers. */
export async function* embeddingText(
  { encoding }: EmbeddingRequest,
  model: string,
  vectors: readonly Float32Array[],
  promptTokens: number,
): AsyncGenerator<string, void, void> {
  const usage = { prompt_tokens: promptTokens, total_tokens: promptTokens };
  yield `{"object":"list","model":${JSON.stringify(model)},"usage":${JSON.stringify(usage)},"data":[`;
  for (const [index, vector] of vectors.entries()) {
    const embedding = encoding === 'base64' ? base64(vector) : [...vector];
    yield `${index === 0 ? '' : ','}${JSON.stringify({ object: 'embedding', index, embedding })}`;
  }
  yield ']}';
}

const base64 = (vector: Float32Array): string =>
  Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('base64');
