// What the benchmark asks of an engine: one prompt, some tokens, and when each token came.

export interface RunTimes {
  /** From the call to the first token: the prefill, with one row of logits. Milliseconds. */
  readonly firstTokenMs: number;
  /** From each token to the next one; `decode` values. Milliseconds. */
  readonly tokenMs: readonly number[];
}

export interface Contestant {
  readonly name: string;
  readonly version: string;
  /** Settings in use, for the record. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** CPU seconds used by the process so far. */
  cpuSeconds(): number;
  /** Greedy: prefills `prompt` from an empty cache, then decodes `decode` tokens after the first, past any end token. */
  run(prompt: readonly number[], decode: number): Promise<RunTimes>;
  dispose(): Promise<void>;
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
