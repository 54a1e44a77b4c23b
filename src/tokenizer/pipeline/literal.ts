// Which special tokens of a text are text.

import type { AddedTokenSpec } from '../spec.ts';
import type { EncodeOptions, TextSpan } from '../tokenizer.ts';

/** Whether a token found at `from..to` is text. */
export type LiteralRule = (token: AddedTokenSpec, from: number, to: number) => boolean;

export const nothingLiteral: LiteralRule = () => false;
export const allLiteral: LiteralRule = ({ special }) => special === true;

/** Which special tokens of a text are text: all, or those that touch one of some places. */
export function literalRule({ specialTokens = 'match', literal = [] }: EncodeOptions): LiteralRule {
  if (specialTokens === 'text') return allLiteral;
  if (literal.length === 0) return nothingLiteral;
  return ({ special }, from, to) => special === true && touches(literal, from, to);
}

/** Whether one of `spans`, in order and apart, has a part of `from..to`. */
function touches(spans: readonly TextSpan[], from: number, to: number): boolean {
  let low = 0;
  let high = spans.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((spans[middle]?.to ?? 0) > from) high = middle;
    else low = middle + 1;
  }
  const span = spans[low];
  return span !== undefined && span.from < to;
}
