// What a completion repeats of its prompt: the text, and its tokens with their log probabilities.

import { Turns } from '../base/turn.ts';
import type { Model } from '../engine/types.ts';
import type { CompletionJob, Echo, EchoedToken } from './job.ts';
import { logprobOf } from './logprob.ts';
import { RequestError } from './problem.ts';

/** Prompt tokens of one request whose log probabilities are computed: some seconds of a small machine. */
const MOST_SCORED = 8192;
/** Tokens with their alternatives in one answer: writing more of them would hold up the event loop. */
const MOST_ENTRIES = 6 * MOST_SCORED;

/** One for each prompt of the job, of which `encoded` has the tokens; undefined when none was asked for. */
export async function echoesOf(
  model: Model,
  job: CompletionJob,
  encoded: readonly (readonly number[])[],
  signal: AbortSignal,
): Promise<readonly Echo[] | undefined> {
  if (job.echo !== true) return undefined;
  if (job.logprobs !== undefined) checkSize(encoded, job.logprobs);
  const echoes: Echo[] = [];
  for (const [i, tokens] of encoded.entries()) {
    const prompt = job.prompts[i];
    const text = typeof prompt === 'string' ? prompt : model.tokenizer.decode(tokens, { skipSpecial: false });
    echoes.push({ text, tokens: await scored(model, text, tokens, { top: job.logprobs, signal }) });
  }
  return echoes;
}

function checkSize(encoded: readonly (readonly number[])[], top: number): void {
  const total = encoded.reduce((sum, tokens) => sum + tokens.length, 0);
  const most = Math.min(MOST_SCORED, Math.floor(MOST_ENTRIES / (top + 1)));
  if (total <= most) return;
  throw new RequestError(
    'invalid',
    `prompt: echo with logprobs ${top} takes at most ${most} tokens of prompts in one request, and these are ${total}`,
    { param: 'prompt' },
  );
}

async function scored(
  model: Model,
  text: string,
  tokens: readonly number[],
  { top, signal }: { readonly top: number | undefined; readonly signal: AbortSignal },
): Promise<readonly EchoedToken[] | undefined> {
  if (top === undefined) return undefined;
  const { tokenizer } = model;
  const known = await model.logprobs(tokens, { top, signal });
  const turns = new Turns();
  const echoed: EchoedToken[] = [];
  for (const [i, id] of tokens.entries()) {
    const { logprob, ...rest } = logprobOf(tokenizer, known[i - 1] ?? { id, logprob: 0, top: [] });
    const shown = !tokenizer.specialIds.has(id) || text.includes(rest.token);
    echoed.push({ ...rest, logprob: i === 0 ? undefined : logprob, shown });
    await turns.next();
  }
  signal.throwIfAborted();
  return echoed;
}
