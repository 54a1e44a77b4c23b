// Encoding without holding up the event loop. The text is never cut: the encoder itself stops between two words.

import { Turns } from '../base/turn.ts';
import type { EncodeOptions, Tokenizer } from './tokenizer.ts';

/** The ids of `text`, the same as `tokenizer.encode` gives, with pauses for the event loop. */
export async function encodeInSlices(
  tokenizer: Tokenizer,
  text: string,
  options: EncodeOptions & { readonly signal?: AbortSignal | undefined } = {},
): Promise<number[]> {
  const { signal, ...how } = options;
  const steps = tokenizer.encodeSteps?.(text, how);
  if (!steps) return tokenizer.encode(text, how);
  const turns = new Turns();
  for (;;) {
    signal?.throwIfAborted();
    const { done, value } = steps.next();
    if (done) return value;
    await turns.next();
  }
}

/** A number of tokens that `text` has at least, from its length and the longest token: no work to speak of. */
export const fewestTokens = (tokenizer: Tokenizer, text: string): number =>
  tokenizer.fewestTokens?.(text) ?? 0;
