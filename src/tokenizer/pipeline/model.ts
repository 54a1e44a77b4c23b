// What the encoder asks of a vocabulary: the ids of a word.

import type { Steps } from './steps.ts';

export interface TokenModel {
  /** Ids of a word. Words of a text are looked up one by one. */
  encode(word: string): Steps<readonly number[]>;
}

/** How many symbols are worked on between two yields. */
export const symbolsPerStep = 2048;
