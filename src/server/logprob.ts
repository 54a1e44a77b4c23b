// A token and its alternatives as the protocols write them: as text, as bytes, and how probable it was.

import type { GeneratedToken } from '../engine/types.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import type { SpelledLogprob } from './job.ts';

export function logprobOf(tokenizer: Tokenizer, { top, ...token }: GeneratedToken): SpelledLogprob {
  const entry = ({ id, logprob }: { readonly id: number; readonly logprob: number }) => ({
    token: tokenizer.decode([id], { skipSpecial: false }),
    bytes: [...tokenizer.bytesOf(id)],
    logprob,
  });
  return { ...entry(token), top: top.map(entry) };
}
