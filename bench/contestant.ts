// What the benchmark asks of an engine: one prompt, some tokens, and when each token came.

import type { RunTimes } from '../src/generate/timing.ts';

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
