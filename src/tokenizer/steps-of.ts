// The steps of a normalizer or pre_tokenizer of a tokenizer.json, sequences within sequences in one list.

import { isObject, type Json } from './json.ts';

/** `list` is the key of the steps of a sequence. */
export const stepsOf = (step: unknown, list: string): readonly Json[] => {
  if (!isObject(step)) return [];
  return step.type === 'Sequence' && Array.isArray(step[list])
    ? step[list].flatMap((part) => stepsOf(part, list))
    : [step];
};

/** What a step looks for: a text, or undefined for an expression. */
export const patternOf = ({ pattern }: Json): unknown => (isObject(pattern) ? pattern.String : pattern);
