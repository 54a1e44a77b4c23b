// When the tokens of a stream came.

export interface RunTimes {
  /** From the call to the first token: the prefill, with one row of logits. Milliseconds. */
  readonly firstTokenMs: number;
  /** From each token to the next one; `decode` values. Milliseconds. */
  readonly tokenMs: readonly number[];
}

/** Times an async iterable of tokens. Stops after `decode + 1` tokens; throws when there are fewer. */
export async function timeTokens(tokens: AsyncIterable<unknown>, decode: number): Promise<RunTimes> {
  let last = performance.now();
  const gaps: number[] = [];
  for await (const _ of tokens) {
    const now = performance.now();
    gaps.push(now - last);
    last = now;
    if (gaps.length > decode) break;
  }
  const [firstTokenMs, ...tokenMs] = gaps;
  if (firstTokenMs === undefined || tokenMs.length < decode) {
    throw new Error(`asked for ${decode + 1} tokens, got ${gaps.length}`);
  }
  return { firstTokenMs, tokenMs };
}
