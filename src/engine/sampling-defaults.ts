// What a model's makers say of how it generates: settings of sampling, and tokens that end an answer. Checkpoints of the hub say so in generation_config.json
// (https://huggingface.co/docs/transformers/main_classes/text_generation), GGUF files in keys of their own
// (`general.sampling.*`, https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).

import { IngotError } from '../base/errors.ts';
import { resolveSampling, type SamplingOptions } from '../generate/sampling.ts';
import type { Checkpoint } from '../weights/checkpoint.ts';

type Name = 'temperature' | 'topK' | 'topP' | 'minP' | 'repetitionPenalty';

const names: Readonly<Record<Name, { readonly json: string; readonly gguf: string }>> = {
  temperature: { json: 'temperature', gguf: 'general.sampling.temp' },
  topK: { json: 'top_k', gguf: 'general.sampling.top_k' },
  topP: { json: 'top_p', gguf: 'general.sampling.top_p' },
  minP: { json: 'min_p', gguf: 'general.sampling.min_p' },
  repetitionPenalty: { json: 'repetition_penalty', gguf: 'general.sampling.penalty_repeat' },
};

/** The settings that a checkpoint advises; empty when it says nothing. What is out of range is told to `onNotice` and left out. */
export async function samplingDefaults(
  checkpoint: Pick<Checkpoint, 'readFile' | 'metadata'>,
  onNotice: (text: string) => void = () => undefined,
): Promise<SamplingOptions> {
  const file = await readConfig(checkpoint);
  const found: { -readonly [K in Name]?: number } = {};
  for (const [name, { json, gguf }] of Object.entries(names) as [Name, (typeof names)[Name]][]) {
    const value = file[json] ?? checkpoint.metadata?.get(gguf);
    if (value === undefined || value === null) continue;
    const problem = typeof value === 'number' ? problemOf({ [name]: value }) : 'it is no number';
    if (problem === undefined) found[name] = value as number;
    else onNotice(`the model's own default of ${json} is left out: ${problem}`);
  }
  // Whoever says so wants the most probable token; a temperature beside it has no effect there either.
  if (file.do_sample === false) found.temperature = 0;
  return found;
}

/** The tokens that end an answer as generation_config.json has them: also without a tokenizer. Those of no vocabulary are left out. */
export async function endTokens(
  checkpoint: Pick<Checkpoint, 'readFile'>,
  vocabSize: number,
): Promise<readonly number[]> {
  const { eos_token_id: found } = await readConfig(checkpoint);
  return [found]
    .flat()
    .filter((id): id is number => Number.isInteger(id) && Number(id) >= 0 && Number(id) < vocabSize);
}

function problemOf(options: SamplingOptions): string | undefined {
  try {
    resolveSampling(options, 1);
    return undefined;
  } catch (error) {
    if (error instanceof IngotError) return error.message;
    throw error;
  }
}

/** The file, when it is there and holds an object. A file that is damaged is of no more use than none. */
async function readConfig(
  checkpoint: Pick<Checkpoint, 'readFile'>,
): Promise<Readonly<Record<string, unknown>>> {
  const bytes = await checkpoint.readFile('generation_config.json');
  if (!bytes) return {};
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
  } catch {
    return {};
  }
}
